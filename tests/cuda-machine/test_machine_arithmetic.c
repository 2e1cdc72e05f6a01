/* The operations of PTX whose lanes are independent, compared with the host's arithmetic: by other means than
 * the interpreter's where there are any, such as the host's rounding modes. The approximate functions stay
 * within the bounds that PTX documents, and are not better than that everywhere. */
#include "machine_test.h"

#include <fenv.h>
#include <math.h>
#include <stdio.h>

typedef union {
    uint64_t u64;
    int64_t s64;
    uint32_t u32;
    int32_t s32;
    uint16_t u16;
    float f32;
    double f64;
} value;

enum { COUNT = 1024 }; /* cases of each operation */

typedef enum { BITS_32, BITS_64, BITS_16, PREDICATE } register_width;

/* A register of each width: its letter and first number in load_kernel's declarations, and the statements
 * that load it from %x1 and store it there. */
static const struct {
    char letter;
    int first;
    const char *load, *store;
} registers[] = {
    [BITS_32] = {'b', 0, "ld.global.b32 %%b%d, [%%x1];\n", "st.global.b32 [%x1], %b0;"},
    [BITS_64] = {'x', 10, "ld.global.b64 %%x%d, [%%x1];\n", "st.global.b64 [%x1], %x10;"},
    [BITS_16] = {'h', 0, "ld.global.u16 %%h%d, [%%x1];\n", "st.global.b16 [%x1], %h0;"},
    [PREDICATE] = {'p', 0, "ld.global.b32 %%r9, [%%x1];\nsetp.ne.u32 %%p%d, %%r9, 0;\n",
                   "selp.u32 %r9, 1, 0, %p0;\nst.global.b32 [%x1], %r9;"},
};

typedef enum { INTEGERS, FLOATS, DOUBLES, SHIFTS /* counts in the second source */ } value_kind;

typedef struct {
    const char *op, *widths; /* of the result and the sources, in the letters of width_at */
    void (*expect)(const value *s, value *d);
    value_kind kind;
} operation;

/* The width of the result, position 0, or of a source. */
static register_width width_at(const operation *o, int position) {
    static const char letters[] = {[BITS_32] = 'w', [BITS_64] = 'd', [BITS_16] = 'h', [PREDICATE] = 'p'};
    const char *found = memchr(letters, o->widths[position], sizeof letters);
    assert_non_null(found);
    return (register_width)(found - letters);
}

static uint64_t state = 88172645463325252u;

static uint64_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static value draw_value(value_kind kind, register_width width, int position) {
    static const double edges[] = {0,    -0.0,  1,        -1,        0.5, 2,     1e-40, -1e-40,
                                   3e38, -3e38, INFINITY, -INFINITY, NAN, 255.5, -7.25, 1e-3};
    static const uint32_t corners[] = {0,          1,          2,          31,     32,     33,     63,  64,
                                       0x7fffffff, 0x80000000, 0xffffffff, 0xffff, 0x8000, 0x7fff, 255, 128};
    value v = {.u64 = draw()};
    const unsigned which = (unsigned)(draw() % 64);
    if (kind == FLOATS || kind == DOUBLES) {
        const double random = ldexp((double)(int64_t)draw(), (int)(draw() % 90) - 108),
                     chosen = which < 16 ? edges[which] : random;
        if (width == BITS_64)
            v.f64 = chosen;
        else
            v.u64 = 0, v.f32 = (float)chosen;
    } else if (kind == SHIFTS && position > 0) {
        v.u64 = draw() % 70;
    } else if (which < 16) {
        v.u64 = which % 2 ? (uint64_t)(int64_t)(int32_t)corners[which] : corners[which];
    }
    if (width == BITS_16) v.u64 &= 0xffff;
    if (width == BITS_32) v.u64 &= 0xffffffff;
    if (width == PREDICATE) v.u64 &= 1;
    return v;
}

/* ---- The kernel of an operation ------------------------------------------------------------------------ */

static int add_load(char *text, size_t size, register_width width, int position) {
    const int used = snprintf(text, size, "ld.param.u64 %%x1, [p%d];\nadd.s64 %%x1, %%x1, %%x0;\n", position);
    return used + snprintf(text + used, size - (size_t)used, registers[width].load,
                           registers[width].first + position);
}

static void name_register(char *text, size_t size, register_width width, int position) {
    snprintf(text, size, "%%%c%d", registers[width].letter, registers[width].first + position);
}

static CUmodule load_operation(const operation *o) {
    char text[2048] = "mov.u32 %r2, %ctaid.x;\nmov.u32 %r3, %ntid.x;\nmad.lo.s32 %r1, %r2, %r3, "
                      "%r0;\nmul.wide.u32 %x0, %r1, 8;\n";
    size_t used = strlen(text);
    char name[16];
    const int sources = (int)strlen(o->widths) - 1;
    for (int i = 1; i <= sources; i++)
        used += (size_t)add_load(text + used, sizeof text - used, width_at(o, i), i);
    used += (size_t)snprintf(text + used, sizeof text - used, "%s ", o->op);
    for (int i = 0; i <= sources; i++) {
        name_register(name, sizeof name, width_at(o, i), i);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", name);
    }
    snprintf(text + used, sizeof text - used, ";\nld.param.u64 %%x1, [p0];\nadd.s64 %%x1, %%x1, %%x0;\n%s",
             registers[width_at(o, 0)].store);
    return load_kernel("", 4, text);
}

/* Runs the operation on drawn values: results and sources[position][case]. The last block is not full. */
static void run_operation(const operation *o, value *results, value (*sources)[COUNT]) {
    const int count = (int)strlen(o->widths) - 1;
    CUdeviceptr params[4] = {0};
    for (int i = 0; i < count; i++)
        for (int n = 0; n < COUNT; n++) sources[i][n] = draw_value(o->kind, width_at(o, i + 1), i);
    memset(results, 0, sizeof *results * COUNT);
    params[0] = new_copy(results, sizeof *results * COUNT);
    for (int i = 0; i < count; i++) params[i + 1] = new_copy(sources[i], sizeof *sources);
    CUmodule module = load_operation(o);
    OK(run_kernel(module, (shape){COUNT / 16, 16, 0}, params, 4)); /* some lanes */
    value *first = malloc(sizeof *first * COUNT);
    assert_non_null(first);
    read_memory(params[0], first, sizeof *first * COUNT);
    OK(run_kernel(module, (shape){COUNT / 64, 64, 0}, params, 4)); /* all lanes */
    read_memory(params[0], results, sizeof *results * COUNT);
    assert_memory_equal(first, results, sizeof *first * COUNT);
    free(first);
    OK(cuModuleUnload(module));
    for (int i = 0; i <= count; i++) OK(cuMemFree(params[i]));
}

static bool is_equal(value_kind kind, register_width width, value a, value b) {
    if (kind == FLOATS && width == BITS_32 && isnan(a.f32) && isnan(b.f32)) return true;
    if (kind == DOUBLES && width == BITS_64 && isnan(a.f64) && isnan(b.f64)) return true;
    return a.u64 == b.u64;
}

static void check_operation(const operation *o) {
    static value results[COUNT], sources[3][COUNT];
    run_operation(o, results, sources);
    for (int n = 0; n < COUNT; n++) {
        value s[3] = {sources[0][n], sources[1][n], sources[2][n]}, expected = {0};
        o->expect(s, &expected);
        if (!is_equal(o->kind, width_at(o, 0), results[n], expected))
            fail_msg("%s of %llx, %llx, %llx: %llx instead of %llx", o->op, (unsigned long long)s[0].u64,
                     (unsigned long long)s[1].u64, (unsigned long long)s[2].u64,
                     (unsigned long long)results[n].u64, (unsigned long long)expected.u64);
    }
}

/* ---- Expected values: s[0], s[1], s[2] and *d ---------------------------------------------------------- */

#define A s[0]
#define B s[1]
#define C s[2]
#define EXPECT(id, field, expression)                                                                        \
    static void id(const value *s, value *d) {                                                               \
        d->field = (expression);                                                                             \
    }
#define ROUNDED(id, mode, field, expression)                                                                 \
    static void id(const value *s, value *d) {                                                               \
        const int before = fegetround();                                                                     \
        fesetround(mode);                                                                                    \
        volatile value v = *s;                                                                               \
        (void)v;                                                                                             \
        d->field = (expression);                                                                             \
        fesetround(before);                                                                                  \
    }
EXPECT(add32, u32, (uint32_t)(A.u64 + B.u64))
EXPECT(sub32, u32, (uint32_t)(A.u64 - B.u64))
EXPECT(mul32, u32, (uint32_t)(A.u64 *B.u64))
EXPECT(mad32, u32, (uint32_t)(A.u64 *B.u64 + C.u64))
EXPECT(hi_u, u32, (uint32_t)(A.u64 *B.u64 >> 32))
EXPECT(hi_s, u32, (uint32_t)((uint64_t)((int64_t)A.s32 *B.s32) >> 32))
EXPECT(wide_u, u64, A.u64 *B.u64)
EXPECT(wide_s, s64, (int64_t)A.s32 *B.s32)
EXPECT(add64, u64, A.u64 + B.u64)
EXPECT(mul64, u64, A.u64 *B.u64)
EXPECT(min_s, s32, A.s32 < B.s32 ? A.s32 : B.s32)
EXPECT(max_u, u32, A.u32 > B.u32 ? A.u32 : B.u32)
EXPECT(div_u, u32, B.u32 ? A.u32 / B.u32 : 0xffffffff)
EXPECT(rem_u, u32, B.u32 ? A.u32 % B.u32 : A.u32)
EXPECT(div_s, u32, B.s32 ? (uint32_t)((int64_t)A.s32 / B.s32) : 0xffffffff)
EXPECT(shl32, u32, B.u32 > 31 ? 0 : A.u32 << B.u32)
EXPECT(shr32, u32, B.u32 > 31 ? 0 : A.u32 >> B.u32)
EXPECT(sar32, u32, (uint32_t)(A.s32 >> (B.u32 > 31 ? 31 : B.u32)))
EXPECT(shl64, u64, B.u32 > 63 ? 0 : A.u64 << B.u32)
EXPECT(popc, u32, (uint32_t)__builtin_popcount(A.u32))
EXPECT(clz, u32, A.u32 ? (uint32_t)__builtin_clz(A.u32) : 32)
EXPECT(funnel, u32, (uint32_t)((B.u64 << 32 | A.u64) >> (C.u32 & 31)))
EXPECT(sext, s64, A.s32)
EXPECT(zext, u64, A.u32)
EXPECT(low, u32, (uint32_t)A.u64)
EXPECT(half_s, u32, (uint32_t)(int32_t)(int16_t)A.u16)
EXPECT(add16, u16, (uint16_t)(A.u16 + B.u16))
EXPECT(sar16, u16, (uint16_t)((int16_t)A.u16 >> (B.u32 > 15 ? 15 : B.u32)))
EXPECT(select, u32, C.u32 ? A.u32 : B.u32)
EXPECT(less_s, u32, A.s32 < B.s32)
EXPECT(above_u, u32, A.u32 > B.u32)
EXPECT(less_f, u32, isless(A.f32, B.f32))
EXPECT(not_less_f, u32, !isgreaterequal(A.f32, B.f32))
EXPECT(unequal_f, u32, islessgreater(A.f32, B.f32))
EXPECT(number_f, u32, !isunordered(A.f32, B.f32))
EXPECT(add_f, f32, A.f32 + B.f32)
EXPECT(mul_f, f32, A.f32 *B.f32)
EXPECT(div_f, f32, A.f32 / B.f32)
EXPECT(fma_f, f32, fmaf(A.f32, B.f32, C.f32))
EXPECT(sqrt_f, f32, sqrtf(A.f32))
EXPECT(min_f, f32, A.f32 == B.f32 && signbit(A.f32) ? A.f32 : fminf(A.f32, B.f32))
EXPECT(copysign_f, f32, copysignf(B.f32, A.f32))
EXPECT(add_g, f64, A.f64 + B.f64)
EXPECT(fma_g, f64, fma(A.f64, B.f64, C.f64))
EXPECT(div_g, f64, A.f64 / B.f64)
EXPECT(to_f_s, f32, (float)A.s32)
EXPECT(to_f_u, f32, (float)A.u32)
EXPECT(to_f_64, f32, (float)A.s64)
EXPECT(to_g, f64, A.f32)
EXPECT(from_g, f32, (float)A.f64)
EXPECT(to_s, s32, isnan(A.f32) ? 0 : (int32_t)fmax(fmin(trunc((double)A.f32), 2147483647.0), -2147483648.0))
EXPECT(to_u, u32, isnan(A.f32) ? 0 : (uint32_t)fmax(fmin(rint((double)A.f32), 4294967295.0), 0))
EXPECT(floor_f, f32, floorf(A.f32))
EXPECT(sat_f, f32, isnan(A.f32) ? 0 : fminf(fmaxf(A.f32, 0), 1))
ROUNDED(add_rz, FE_TOWARDZERO, f32, v.f32 + s[1].f32)
ROUNDED(fma_rm, FE_DOWNWARD, f32, fmaf(v.f32, s[1].f32, s[2].f32))

/* The nearest bfloat16 by trying both neighbours. */
static void bf16(const value *s, value *d) {
    value low = {.u64 = A.u64 & 0xffff0000}, high = {.u64 = low.u64 + 0x10000};
    if (isnan(A.f32)) {
        d->u16 = 0x7fff;
        return;
    }
    const double below = fabs((double)A.f32 - low.f32),
                 above = isinf(high.f32) ? 0x1p128 - fabs((double)A.f32) : fabs((double)A.f32 - high.f32);
    const bool up = !isinf(A.f32) && (above < below || (above == below && low.u32 >> 16 & 1));
    d->u16 = (uint16_t)((up ? high.u32 : low.u32) >> 16);
}
EXPECT(of_bf16, u32, A.u32 << 16)

static const operation operations[] = {
    {"add.s32", "www", add32, INTEGERS},
    {"sub.s32", "www", sub32, INTEGERS},
    {"mul.lo.s32", "www", mul32, INTEGERS},
    {"mad.lo.s32", "wwww", mad32, INTEGERS},
    {"mul.hi.u32", "www", hi_u, INTEGERS},
    {"mul.hi.s32", "www", hi_s, INTEGERS},
    {"mul.wide.u32", "dww", wide_u, INTEGERS},
    {"mul.wide.s32", "dww", wide_s, INTEGERS},
    {"add.s64", "ddd", add64, INTEGERS},
    {"mul.lo.s64", "ddd", mul64, INTEGERS},
    {"min.s32", "www", min_s, INTEGERS},
    {"max.u32", "www", max_u, INTEGERS},
    {"div.u32", "www", div_u, INTEGERS},
    {"rem.u32", "www", rem_u, INTEGERS},
    {"div.s32", "www", div_s, INTEGERS},
    {"shl.b32", "www", shl32, SHIFTS},
    {"shr.u32", "www", shr32, SHIFTS},
    {"shr.s32", "www", sar32, SHIFTS},
    {"shl.b64", "ddw", shl64, SHIFTS},
    {"popc.b32", "ww", popc, INTEGERS},
    {"clz.b32", "ww", clz, INTEGERS},
    {"shf.r.wrap.b32", "wwww", funnel, INTEGERS},
    {"cvt.s64.s32", "dw", sext, INTEGERS},
    {"cvt.u64.u32", "dw", zext, INTEGERS},
    {"cvt.u32.u64", "wd", low, INTEGERS},
    {"cvt.s32.s16", "wh", half_s, INTEGERS},
    {"add.s16", "hhh", add16, INTEGERS},
    {"shr.s16", "hhw", sar16, SHIFTS},
    {"selp.b32", "wwwp", select, INTEGERS},
    {"setp.lt.s32", "pww", less_s, INTEGERS},
    {"setp.gt.u32", "pww", above_u, INTEGERS},
    {"setp.lt.f32", "pww", less_f, FLOATS},
    {"setp.ltu.f32", "pww", not_less_f, FLOATS},
    {"setp.ne.f32", "pww", unequal_f, FLOATS},
    {"setp.num.f32", "pww", number_f, FLOATS},
    {"add.f32", "www", add_f, FLOATS},
    {"mul.rn.f32", "www", mul_f, FLOATS},
    {"div.rn.f32", "www", div_f, FLOATS},
    {"fma.rn.f32", "wwww", fma_f, FLOATS},
    {"sqrt.rn.f32", "ww", sqrt_f, FLOATS},
    {"min.f32", "www", min_f, FLOATS},
    {"copysign.f32", "www", copysign_f, FLOATS},
    {"add.f64", "ddd", add_g, DOUBLES},
    {"fma.rn.f64", "dddd", fma_g, DOUBLES},
    {"div.rn.f64", "ddd", div_g, DOUBLES},
    {"cvt.rn.f32.s32", "ww", to_f_s, INTEGERS},
    {"cvt.rn.f32.u32", "ww", to_f_u, INTEGERS},
    {"cvt.rn.f32.s64", "wd", to_f_64, INTEGERS},
    {"cvt.f64.f32", "dw", to_g, FLOATS},
    {"cvt.rn.f32.f64", "wd", from_g, DOUBLES},
    {"cvt.rzi.s32.f32", "ww", to_s, FLOATS},
    {"cvt.rni.u32.f32", "ww", to_u, FLOATS},
    {"cvt.rmi.f32.f32", "ww", floor_f, FLOATS},
    {"cvt.sat.f32.f32", "ww", sat_f, FLOATS},
    {"add.rz.f32", "www", add_rz, FLOATS},
    {"fma.rm.f32", "wwww", fma_rm, FLOATS},
    {"cvt.rn.bf16.f32", "hw", bf16, FLOATS},
    {"cvt.f32.bf16", "wh", of_bf16, INTEGERS},
};

static void test_operations(void **unused) {
    (void)unused;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) check_operation(&operations[i]);
}

/* ---- Approximate functions ----------------------------------------------------------------------------- */

typedef struct {
    const char *op;
    double (*exact)(double);
    double ulps;     /* PTX's bound in units in the last place */
    double absolute; /* or its bound of the error, where that is larger */
    bool flushes;
} approximation;

static double reciprocal(double x) {
    return 1 / x;
}

static double reciprocal_root(double x) {
    return 1 / sqrt(x);
}

static void check_approximation(const approximation *a) {
    static value results[COUNT], sources[3][COUNT];
    run_operation(&(operation){a->op, "ww", NULL, FLOATS}, results, sources);
    int inexact = 0;
    for (int n = 0; n < COUNT; n++) {
        float x = sources[0][n].f32;
        if (a->flushes && fabsf(x) < 0x1p-126f) x = copysignf(0, x);
        const double exact = a->exact((double)x);
        const float nearest = (float)exact, got = results[n].f32;
        if (isnan(nearest) || isinf(nearest) || fabsf(nearest) < 0x1p-126f) {
            if (isnan(nearest) != isnan(got) || (isinf(nearest) && nearest != got))
                fail_msg("%s of %g: %g instead of %g", a->op, (double)x, (double)got, exact);
            continue;
        }
        const double ulp = (double)nextafterf(fabsf(nearest), INFINITY) - (double)fabsf(nearest);
        if (fabs((double)got - exact) > fmax(a->ulps * ulp, a->absolute))
            fail_msg("%s of %g: %.9g instead of %.9g", a->op, (double)x, (double)got, exact);
        inexact += got != nearest;
    }
    if (a->ulps > 1 && inexact < 20)
        fail_msg("%s is wrong in %d cases only: results are too good", a->op, inexact);
}

static void test_approximations(void **unused) {
    (void)unused;
    static const approximation all[] = {
        {"rcp.approx.ftz.f32", reciprocal, 1, 0, true},
        {"sqrt.approx.f32", sqrt, 1, 0, false},
        {"rsqrt.approx.f32", reciprocal_root, 2, 0, false},
        {"rsqrt.approx.ftz.f32", reciprocal_root, 2, 0, true},
        {"ex2.approx.ftz.f32", exp2, 2, 0, true},
        {"ex2.approx.f32", exp2, 2, 0, false},
        {"lg2.approx.f32", log2, 1, 0x1p-22, false},
        {"tanh.approx.f32", tanh, 4096, 0, false},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) check_approximation(&all[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_operations),
                                       cmocka_unit_test(test_approximations)};
    return cmocka_run_group_tests(tests, setup_contexts, release_contexts);
}
