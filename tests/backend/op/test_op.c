/* Tensors, descriptors as text, the rules of every kind, counts of work.
 *
 * Descriptors are written as text where possible, as in logs and plans. The results of operations are tested
 * elsewhere.
 */
#include "p2p_op.h"
#include "p2p_philox.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* Random numbers for the cases: the same in every run. */
static const p2p_draw draw = {.seed = 20, .stream = 7};
static uint64_t draws;

static int64_t below(int64_t bound) {
    return p2p_draw_below(&draw, draws++, (uint32_t)bound);
}

static p2p_tensor random_tensor(void) {
    p2p_tensor t = {.type = (p2p_type)below(P2P_TYPE_COUNT),
                    .layout = (p2p_layout)below(P2P_LAYOUT_COUNT),
                    .n = 1 + below(5),
                    .c = 1 + below(9),
                    .h = 1 + below(4),
                    .w = 1 + below(4)};
    static const int blocks[] = {0, 1, 2, 3, 4, 8, 16};
    if (t.layout != P2P_LAYOUT_plain) t.block = blocks[below(7)];
    if (below(2) == 0) {
        t.c0 = below(6);
        t.cp = t.c0 + t.c + below(6);
    }
    assert_int_equal(p2p_tensor_validate(&t), P2P_OK);
    return t;
}

/* ---- Tensors ------------------------------------------------------------------------------------------ */

static int64_t up(int64_t extent, int64_t block) {
    return (extent + block - 1) / block * block;
}

/* The position of an element in the documented storage order: the axes, outermost first, with their extents
 * and the element's coordinate on each. */
static int64_t walked_index(const p2p_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w) {
    int64_t b = t->block > 1 ? t->block : 1, cp = up(t->cp > 0 ? t->cp : t->c, b), np = up(t->n, b);
    c += t->c0;
    int64_t axes[P2P_LAYOUT_COUNT][6][2] = {
        [P2P_LAYOUT_plain] = {{t->n, n}, {cp, c}, {t->h, h}, {t->w, w}, {1, 0}, {1, 0}},
        [P2P_LAYOUT_nchwc] = {{t->n, n}, {cp / b, c / b}, {t->h, h}, {t->w, w}, {b, c % b}, {1, 0}},
        [P2P_LAYOUT_nhwc] = {{t->n, n}, {t->h, h}, {t->w, w}, {cp, c}, {1, 0}, {1, 0}},
        [P2P_LAYOUT_ckrs] = {{np / b, n / b}, {cp / b, c / b}, {t->h, h}, {t->w, w}, {b, c % b}, {b, n % b}},
        [P2P_LAYOUT_kcrs_t] =
            {{cp / b, c / b}, {np / b, n / b}, {t->h, h}, {t->w, w}, {b, n % b}, {b, c % b}},
        [P2P_LAYOUT_krsc] = {{np, n}, {t->h, h}, {t->w, w}, {cp, c}, {1, 0}, {1, 0}},
    };
    int64_t index = 0;
    for (int i = 0; i < 6; i++) index = index * axes[t->layout][i][0] + axes[t->layout][i][1];
    return index;
}

static void index_follows_the_documented_order(void **state) {
    (void)state;
    for (int round = 0; round < 500; round++) {
        p2p_tensor t = random_tensor();
        char *seen = calloc((size_t)p2p_tensor_stored(&t), 1);
        for (int64_t n = 0; n < t.n; n++)
            for (int64_t c = 0; c < t.c; c++)
                for (int64_t h = 0; h < t.h; h++)
                    for (int64_t w = 0; w < t.w; w++) {
                        int64_t at = p2p_tensor_index(&t, n, c, h, w);
                        assert_int_equal(at, walked_index(&t, n, c, h, w));
                        assert_in_range(at, 0, p2p_tensor_stored(&t) - 1);
                        assert_int_equal(seen[at]++, 0);
                    }
        free(seen);
    }
}

static void stored_sizes_include_padding(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t stored;
    } cases[] = {
        {"f32:plain:2x3x4x5", 120},
        {"f32:nchwc16:2x3x4x5", 640},
        {"f32:nchwc16:2x3@3/33x4x5", 1920},
        {"f32:nhwc8:2x3x4x5", 320},
        {"u8:nhwc:2x3x4x5", 120},
        {"u16:nhwc:2x3x4x5", 120},
        {"f32:ckrs16:17x3x4x4", 32 * 16 * 16},
        {"f32:kcrs_t16:17x3x4x4", 8192},
        {"f32:krsc8:17x3x4x4", 24 * 8 * 16},
        {"f64:plain:1x1x1x1000", 1000},
        {"f32:plain:1x4@2/9x2x2", 36},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p2p_tensor t;
        assert_int_equal(p2p_tensor_parse(cases[i].text, &t), P2P_OK);
        assert_int_equal(p2p_tensor_stored(&t), cases[i].stored);
        assert_int_equal(p2p_tensor_bytes(&t), (size_t)cases[i].stored * p2p_type_bytes(t.type));
    }
}

/* Small integers are exact in every type, so packing and unpacking must return them. All bytes that are not
 * logical elements keep their values. */
static void pack_and_unpack_round_trip(void **state) {
    (void)state;
    for (int round = 0; round < 500; round++) {
        p2p_tensor t = random_tensor();
        size_t count = (size_t)p2p_tensor_elements(&t), bytes = p2p_tensor_bytes(&t);
        size_t element = p2p_type_bytes(t.type);
        double *doubles = malloc(count * sizeof *doubles), *back = malloc(count * sizeof *back);
        float *floats = malloc(count * sizeof *floats);
        unsigned char *raw = malloc(bytes), *again = malloc(bytes), *used = calloc(bytes, 1);
        for (size_t i = 0; i < count; i++) floats[i] = (float)(doubles[i] = (double)below(200));
        memset(raw, 0xA5, bytes);
        memset(again, 0xA5, bytes);
        p2p_tensor_pack(&t, doubles, P2P_TYPE_f64, raw);
        p2p_tensor_pack(&t, floats, P2P_TYPE_f32, again);
        assert_memory_equal(raw, again, bytes);
        p2p_tensor_unpack(&t, raw, back, P2P_TYPE_f64);
        assert_memory_equal(doubles, back, count * sizeof *back);
        memset(floats, 0, count * sizeof *floats);
        p2p_tensor_unpack(&t, raw, floats, P2P_TYPE_f32);
        size_t i = 0;
        for (int64_t n = 0; n < t.n; n++)
            for (int64_t c = 0; c < t.c; c++)
                for (int64_t h = 0; h < t.h; h++)
                    for (int64_t w = 0; w < t.w; w++, i++) {
                        assert_true(floats[i] == (float)doubles[i]);
                        memset(used + (size_t)p2p_tensor_index(&t, n, c, h, w) * element, 1, element);
                    }
        for (size_t at = 0; at < bytes; at++)
            if (!used[at]) assert_int_equal(raw[at], 0xA5);
        free(doubles), free(back), free(floats), free(raw), free(again), free(used);
    }
}

/* A plane larger than the pieces that conversion works in, at a lane in the middle of a block. */
static void large_planes_convert_whole(void **state) {
    (void)state;
    p2p_tensor t;
    assert_int_equal(p2p_tensor_parse("f32:nchwc4:2x3@2/7x37x41", &t), P2P_OK);
    size_t count = (size_t)p2p_tensor_elements(&t);
    float *raw = calloc((size_t)p2p_tensor_stored(&t), sizeof *raw);
    double *host = malloc(count * sizeof *host), *back = malloc(count * sizeof *back);
    for (size_t i = 0; i < count; i++) host[i] = (double)i;
    p2p_tensor_pack(&t, host, P2P_TYPE_f64, raw);
    assert_true(raw[p2p_tensor_index(&t, 1, 2, 36, 40)] == (float)(count - 1));
    p2p_tensor_unpack(&t, raw, back, P2P_TYPE_f64);
    assert_memory_equal(host, back, count * sizeof *back);
    free(raw), free(host), free(back);
}

static double stored_as(p2p_type type, double value) {
    p2p_tensor t = p2p_tensor_flat(type, 1);
    double raw, back;
    p2p_tensor_pack(&t, &value, P2P_TYPE_f64, &raw);
    p2p_tensor_unpack(&t, &raw, &back, P2P_TYPE_f64);
    return back;
}

static void conversion_rounds_to_nearest(void **state) {
    (void)state;
    assert_true(stored_as(P2P_TYPE_f32, 0.1) == (double)0.1f);
    assert_true(stored_as(P2P_TYPE_f64, 0.1) == 0.1);
    assert_true(stored_as(P2P_TYPE_bf16, 1.00390625) == 1.0);      /* halfway: to even, down */
    assert_true(stored_as(P2P_TYPE_bf16, 1.01171875) == 1.015625); /* halfway: to even, up */
    assert_true(stored_as(P2P_TYPE_bf16, -3.1415926) == -3.140625);
    assert_true(isinf(stored_as(P2P_TYPE_bf16, HUGE_VAL)));
    assert_true(isnan(stored_as(P2P_TYPE_bf16, NAN)));
    assert_true(isnan(stored_as(P2P_TYPE_f32, NAN)));
    assert_true(stored_as(P2P_TYPE_u8, 254.6) == 255);
    assert_true(stored_as(P2P_TYPE_u8, 300) == 255);
    assert_true(stored_as(P2P_TYPE_u8, -3) == 0);
    assert_true(stored_as(P2P_TYPE_u8, NAN) == 0);
    assert_true(stored_as(P2P_TYPE_u16, 65534.6) == 65535);
    assert_true(stored_as(P2P_TYPE_u16, 70000) == 65535);
    assert_true(stored_as(P2P_TYPE_u16, 257) == 257);
    assert_true(stored_as(P2P_TYPE_u16, -3) == 0);
    assert_true(stored_as(P2P_TYPE_u32, 4294967295.0) == 4294967295.0);
    assert_true(stored_as(P2P_TYPE_u32, 1e20) == 4294967295.0);
}

static void factors_are_rounded(void **state) {
    (void)state;
    assert_true(p2p_round_tf32(1 + 0x1p-11) == 1); /* halfway: to even, down */
    assert_true(p2p_round_tf32(1 + 0x1p-11 + 0x1p-20) == 1 + 0x1p-10);
    assert_true(p2p_round_tf32(1 + 0x1.8p-10) == 1 + 0x1p-9); /* halfway: to even, up */
    assert_true(p2p_round_tf32(-2047) == -2047 && p2p_round_tf32(2049) == 2048);
    assert_true(isinf(p2p_round_tf32(HUGE_VAL)) && isnan(p2p_round_tf32(NAN)));
    assert_true(p2p_round_factor(P2P_MATH_stored, 0.1) == 0.1);
    assert_true(p2p_round_factor(P2P_MATH_bf16, 1.01171875) == 1.015625);
    assert_true(p2p_round_factor(P2P_MATH_tf32, 1 + 0x1p-12) == 1);
}

/* Padding lanes are those of channels and filters that do not exist, in every layout, whatever the range. */
static void padding_is_found_and_cleared(void **state) {
    (void)state;
    for (int round = 0; round < 500; round++) {
        p2p_tensor t = random_tensor();
        const p2p_tensor whole = p2p_tensor_whole(&t);
        const size_t bytes = p2p_tensor_bytes(&t), count = (size_t)p2p_tensor_elements(&whole);
        double *ones = malloc(count * sizeof *ones), *back = malloc(count * sizeof *back);
        unsigned char *raw = malloc(bytes);
        for (size_t i = 0; i < count; i++) ones[i] = 1;
        memset(raw, 1, bytes);
        p2p_tensor_pack(&whole, ones, P2P_TYPE_f64, raw);
        const bool padded = p2p_tensor_stored(&t) > (int64_t)count;
        assert_int_equal(p2p_tensor_find_padding(&t, raw) >= 0, padded);
        p2p_tensor_clear_padding(&t, raw);
        assert_int_equal(p2p_tensor_find_padding(&t, raw), -1);
        p2p_tensor_unpack(&whole, raw, back, P2P_TYPE_f64);
        assert_memory_equal(back, ones, count * sizeof *ones);
        assert_int_equal(p2p_tensor_owns_padding(&t), t.c0 + t.c == whole.c);
        free(ones);
        free(back);
        free(raw);
    }
}

static void tensor_text_round_trips(void **state) {
    (void)state;
    for (int round = 0; round < 1000; round++) {
        p2p_tensor t = random_tensor(), back;
        char text[P2P_TENSOR_TEXT];
        assert_true(p2p_tensor_print(&t, text, sizeof text) < (int)sizeof text);
        assert_int_equal(p2p_tensor_parse(text, &back), P2P_OK);
        assert_true(p2p_tensor_equal(&t, &back));
    }
    p2p_tensor t = {.type = P2P_TYPE_f32,
                    .layout = P2P_LAYOUT_nchwc,
                    .block = 16,
                    .n = 4,
                    .c = 64,
                    .c0 = 64,
                    .cp = 128,
                    .h = 32,
                    .w = 32};
    char text[P2P_TENSOR_TEXT];
    p2p_tensor_print(&t, text, sizeof text);
    assert_string_equal(text, "f32:nchwc16:4x64@64/128x32x32");
}

static void tensor_text_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *fragment;
    } cases[] = {
        {"", "expected a type"},
        {"f16:plain:1x1x1x1", "expected a type"},
        {"f32", "expected a type"},
        {"f32plain:1x1x1x1", "expected a type"},
        {"f32:", "expected a layout"},
        {"f32:plane:1x1x1x1", "expected a layout"},
        {"f32:nchwc-4:1x1x1x1", "expected a layout"},
        {"f32:nchwc99999:1x1x1x1", "expected a layout"},
        {"f32:nchwc99999999999999999999:1x1x1x1", "expected a layout"},
        {"f32:plain16:1x1x1x1", "layout plain has no blocks"},
        {"f32:plain:1x1x1", "expected extents"},
        {"f32:plain:1x1x1x1x1", "expected extents"},
        {"f32:plain:1x1x1x1 ", "expected extents"},
        {"f32:plain:1x1x1x 1", "expected extents"},
        {"f32:plain:1x1x1x+1", "expected extents"},
        {"f32:plain:1x3@0x1x1", "expected extents"},
        {"f32:plain:1x1x1x9223372036854775808", "expected extents"},
        {"f32:plain:0x1x1x1", "not positive"},
        {"f32:plain:1x1x-1x1", "not positive"},
        {"f32:plain:1x3@2/4x1x1", "outside a tensor of 4"},
        {"f32:plain:1x3@-1/4x1x1", "outside a tensor of 4"},
        {"f32:plain:1x3@9223372036854775807/4x1x1", "outside a tensor of 4"},
        {"f32:plain:1x1@9223372036854775807/9223372036854775807x1x1", "outside a tensor"},
        {"f32:plain:1x1x1x9223372036854775807", "more bytes than can be counted"},
        {"u8:nhwc16:1x9223372036854775807x1x1", "more bytes than can be counted"},
        {"f32:ckrs16:9223372036854775807x1x1x1", "more bytes than can be counted"},
        {"f64:plain:2147483648x2147483648x1x1", "more bytes than can be counted"},
        {"f32:plain:3037000500x3037000500x3037000500x3037000500", "more bytes than can be counted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p2p_tensor t;
        if (p2p_tensor_parse(cases[i].text, &t) != P2P_INVALID) fail_msg("accepted: %s", cases[i].text);
        if (strstr(p2p_message(), cases[i].fragment) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].text, p2p_message(), cases[i].fragment);
    }
}

/* ---- Descriptors as text ------------------------------------------------------------------------------ */

/* At least one valid descriptor of every kind and mode. */
static const char *const valid[] = {
    "copy x=f32:plain:1x1x1x100 y=f32:plain:1x1x1x100",
    "axpby x=bf16:ckrs16:20x3x4x4 y+=bf16:ckrs16:20x3x4x4 alpha=0.5",
    "copy x=f32:nchwc16:2x3@3/32x4x4 y=bf16:plain:2x3x4x4",
    "copy x=f32:ckrs16:20x3x4x4 y+=f32:kcrs_t16:20x3x4x4",
    "prepare x=u8:nhwc:2x3x8x8 y=f32:nchwc16:2x3@3/6x8x8 alpha=0.0078125 offset=-1",
    "conv_fwd x=f32:plain:1x3x8x8 w=f32:plain:4x3x4x4 y+=f32:plain:1x4x4x4 stride=2 pad_top=1 pad_left=1 "
    "pad_bottom=1 pad_right=1",
    "conv_fwd x=f32:nchwc16:2x3@3/6x9x8 w=f32:ckrs16:4x3x4x4 bias=f32:plain:1x4x1x1 y=f32:nchwc16:2x4x3x4 "
    "stride=2 pad_left=1 pad_right=1 act=lrelu slope=0.2",
    "conv_fwd x=f64:plain:1x3x8x8 w=f64:plain:4x3x1x1 y=f64:plain:1x4x8x8",
    "conv_bwd_data dy=f32:plain:1x4x4x4 w=f32:plain:4x3x4x4 bias=f32:plain:1x3x1x1 dx=f32:plain:1x3x8x8 "
    "stride=2 "
    "pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 act=tanh",
    "conv_bwd_data dy=f32:plain:1x4x4x4 w=f32:plain:4x3x4x4 dx+=f32:plain:1x3x9x9 stride=2 pad_top=1 "
    "pad_left=1",
    "conv_bwd_filter x=f32:plain:2x3x8x8 dy=f32:plain:2x4x5x5 dw+=f32:ckrs16:4x3x4x4",
    "gemm a=f32:plain:1x5x1x7 b=f32:plain:1x7x1x3 y=f32:plain:1x5x1x3 alpha=1",
    "gemm a=f32:plain:1x7x1x5 b=f32:plain:1x3x1x7 y+=f32:plain:1x5x1x3 transpose_a=1 transpose_b=1 "
    "alpha=-2.5",
    "norm_stats x=f32:nchwc16:4x5x6x7 stats=f64:plain:2x3x1x5 images=2",
    "norm_apply x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 scale=f32:plain:1x5x1x1 shift=f32:plain:1x5x1x1 "
    "y=f32:plain:4x5x6x7 eps=1e-05",
    "norm_apply x=f32:plain:4x5x6x7 stats=f64:plain:4x3x1x5 scale=f32:plain:1x5x1x1 shift=f32:plain:1x5x1x1 "
    "running=f32:plain:1x2x1x5 step=u32:plain:1x1x1x14 y=f32:plain:4x5x6x7 y2+=f32:plain:4x5@5/10x6x7 "
    "act=lrelu "
    "act2=relu images=1 merged=1 layer=4294967295 slope=0.2 eps=1e-05 momentum=0.1 dropout=0.5",
    "norm_apply x=f32:plain:4x5x6x7 scale=f32:plain:1x5x1x1 shift=f32:plain:1x5x1x1 "
    "running=f32:plain:1x2x1x5 "
    "y=f32:plain:4x5x6x7 use_running=1 eps=1e-05",
    "norm_apply x=f32:plain:4x5x6x7 stats=f64:plain:4x3x1x5 y=f32:plain:4x5x6x7 images=1 merged=1 eps=1e-05",
    "norm_bwd_apply x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 dy=f32:plain:4x5x6x7 sums=f64:plain:1x2x1x5 "
    "dx=f32:plain:4x5x6x7 eps=1e-05",
    "norm_bwd_stats x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 scale=f32:plain:1x5x1x1 "
    "shift=f32:plain:1x5x1x1 "
    "dy=f32:plain:4x5x6x7 dy2=f32:plain:4x5x6x7 step=u32:plain:1x1x1x20 sums=f64:plain:1x2x1x5 "
    "dscale+=f32:plain:1x5x1x1 dshift+=f32:plain:1x5x1x1 act=relu act2=tanh layer=9 eps=1e-05 dropout=0.25",
    "norm_bwd_apply x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 scale=f32:plain:1x5x1x1 "
    "shift=f32:plain:1x5x1x1 "
    "dy=f32:plain:4x5x6x7 sums=f64:plain:1x2x1x5 dx=f32:plain:4x5x6x7 eps=1e-05",
    "norm_bwd_apply x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 scale=f32:plain:1x5x1x1 "
    "shift=f32:plain:1x5x1x1 "
    "dy=f32:plain:4x5x6x7 sums=f64:plain:1x2x1x5 dx+=f32:plain:4x5x6x7 dscale=f32:plain:1x5x1x1 "
    "dshift=f32:plain:1x5x1x1 merged=1 eps=1e-05",
    "act_fwd x=f32:plain:1x3x8x8 y=bf16:nhwc8:1x3x8x8 act=relu",
    "act_bwd y=f32:plain:1x3x8x8 dy=f32:plain:1x3x8x8 dx+=f32:plain:1x3x8x8 act=lrelu slope=0.2",
    "dropout x=f32:plain:2x3x8x8 step=u32:plain:1x1x1x12 y=f32:plain:2x3x8x8 layer=77 dropout=0.5",
    "axpby x=f32:plain:1x3x8x8 y+=f32:plain:1x3x8x8 alpha=0.5",
    "axpby x=f32:plain:1x3x1x1 y+=f32:nchwc16:2x3x8x8 alpha=1",
    "axpby x=f32:ckrs16:4x3x4x4 y+=f32:ckrs16:4x3x4x4 alpha=1",
    "bias_grad dy=f32:plain:2x3x8x8 db=f32:plain:1x3x1x1",
    "loss_bce x=f32:plain:2x1x8x8 loss=f64:plain:1x1x1x1 dx=f32:plain:2x1x8x8 target=1 loss_scale=0.0078125 "
    "grad_scale=0.0078125",
    "loss_bce x=f32:plain:2x1x8x8 loss+=f64:plain:1x1x1x1 loss_scale=1",
    "loss_mse x=f32:plain:2x1x8x8 loss=f64:plain:1x1x1x1 dx+=f32:plain:2x1x8x8 target=1 loss_scale=0.5",
    "loss_l1 x=f32:plain:2x3x8x8 target=f32:plain:2x3x8x8 loss=f64:plain:1x1x1x1 dx=f32:plain:2x3x8x8 "
    "loss_scale=1 grad_scale=100",
    "adam p=f32:plain:1x1x1x100 g=f32:plain:1x1x1x100 m=f32:plain:1x1x1x100 v=f32:plain:1x1x1x100 "
    "step=u32:plain:1x1x1x10 eps=1e-08 beta1=0.5 beta2=0.999",
    "all_reduce y=f32:plain:1x1x1x100",
    "all_reduce y=f64:plain:2x3x1x5 reduction=moments",
    "broadcast y=u32:plain:1x1x1x100 root=3",
    "prepare x=u16:nhwc:2x3x8x8 y=f32:plain:2x3x8x8 alpha=3e-05 offset=-1",
};

enum { VALID_COUNT = sizeof valid / sizeof valid[0] };

static p2p_op parsed(const char *text) {
    p2p_op op;
    if (p2p_op_parse(text, &op) != P2P_OK) fail_msg("%s: %s", text, p2p_message());
    return op;
}

static void valid_descriptors_pass_and_print_as_written(void **state) {
    (void)state;
    bool seen[P2P_KIND_COUNT] = {false};
    for (int i = 0; i < VALID_COUNT; i++) {
        p2p_op op = parsed(valid[i]);
        seen[op.kind] = true;
        if (p2p_op_validate(&op) != P2P_OK) fail_msg("%s: %s", valid[i], p2p_message());
        char text[P2P_OP_TEXT];
        assert_int_equal(p2p_op_print(&op, text, sizeof text), strlen(valid[i]));
        assert_string_equal(text, valid[i]);
        assert_true(p2p_op_flops(&op) >= 0 && p2p_op_bytes(&op) > 0);
    }
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++)
        if (!seen[kind]) fail_msg("no descriptor of kind %s", p2p_kind_name((p2p_kind)kind));
}

static double random_real(void) {
    union {
        uint32_t words[2];
        double value;
    } bits;
    do {
        bits.words[0] = (uint32_t)below(UINT32_MAX);
        bits.words[1] = (uint32_t)below(UINT32_MAX);
    } while (!isfinite(bits.value));
    return below(2) ? bits.value : (double)below(1000) / 128;
}

static int64_t random_int(void) {
    return below(2) ? below(4) : (int64_t)((uint64_t)below(UINT32_MAX) << 32 | (uint64_t)below(UINT32_MAX));
}

/* Text is independent of the rules: any operands, bits and numbers are parsed back. */
static void random_descriptors_round_trip(void **state) {
    (void)state;
    for (int round = 0; round < 50 * P2P_KIND_COUNT; round++) {
        p2p_op op = {.kind = (p2p_kind)(round % P2P_KIND_COUNT)}, back;
        for (int i = 0; i < p2p_kind_operand_count(op.kind); i++) {
            if (below(4) == 0) continue;
            op.t[i] = random_tensor();
            if (below(2)) op.accumulate |= UINT32_C(1) << i;
        }
#define X(name, default_value)                                                                               \
    if (below(4) == 0) op.name = random_int();
        P2P_OP_INT_LIST(X)
#undef X
#define X(name, default_value)                                                                               \
    if (below(4) == 0) op.name = random_real();
        P2P_OP_REAL_LIST(X)
#undef X
        if (op.kind == P2P_KIND_loss_l1) op.target = 0; /* its operand has the name of that field */
        char text[P2P_OP_TEXT], short_text[32];
        int length = p2p_op_print(&op, text, sizeof text);
        assert_int_equal(length, strlen(text));
        if (p2p_op_parse(text, &back) != P2P_OK) fail_msg("%s: %s", text, p2p_message());
        assert_true(p2p_op_equal(&op, &back));
        assert_int_equal(p2p_op_print(&op, short_text, sizeof short_text), length);
        assert_memory_equal(short_text, text, sizeof short_text - 1);
        back.alpha += 1;
        assert_true(back.alpha == op.alpha || !p2p_op_equal(&op, &back));
    }
}

static void equality_knows_defaults(void **state) {
    (void)state;
    p2p_op a = parsed(valid[7]), b = a;
    b.stride = 1;
    b.t[P2P_AT_conv_fwd_x].block = 1;
    b.t[P2P_AT_conv_fwd_x].cp = b.t[P2P_AT_conv_fwd_x].c;
    assert_true(p2p_op_equal(&a, &b));
    b.pad_top = 1;
    assert_false(p2p_op_equal(&a, &b));
    b = a;
    b.accumulate = 1u << P2P_AT_conv_fwd_y;
    assert_false(p2p_op_equal(&a, &b));
    b = a;
    b.t[P2P_AT_conv_fwd_y].layout = P2P_LAYOUT_nhwc;
    assert_false(p2p_op_equal(&a, &b));
}

static void text_is_refused(void **state) {
    (void)state;
    char long_token[400];
    memset(long_token, 'a', sizeof long_token - 1);
    long_token[sizeof long_token - 1] = '\0';
    const struct {
        const char *text, *fragment;
    } cases[] = {
        {"", "the text is empty"},
        {"   ", "the text is empty"},
        {long_token, "longer than any part"},
        {"conv", "there is no kind 'conv'"},
        {"axpby\x01", "byte 0x01"},
        {"axpby y=\xff", "byte 0xff"},
        {"axpby y", "'y' is not of the form"},
        {"axpby =3", "'=3' is not of the form"},
        {"axpby +=3", "there is no operand ''"},
        {"axpby z=f32:plain:1x1x1x1", "there is no operand or field 'z'"},
        {"axpby alpha+=1", "there is no operand 'alpha'"},
        {"axpby y=f32", "axpby: operand y: tensor 'f32'"},
        {"axpby y=", "axpby: operand y: tensor ''"},
        {"axpby y=f32:plain:1x1x1x1 y=f32:plain:1x1x1x1", "y is given twice"},
        {"axpby alpha=1 alpha=1", "alpha is given twice"},
        {"axpby alpha=", "alpha='' is not a finite number"},
        {"axpby alpha=inf", "not a finite number"},
        {"axpby alpha=nan", "not a finite number"},
        {"axpby alpha=1e999", "not a finite number"},
        {"axpby alpha=0x10", "not a finite number"},
        {"axpby alpha=1.5.2", "not a finite number"},
        {"axpby stride=2.5", "not a 64-bit integer"},
        {"axpby stride=9223372036854775808", "not a 64-bit integer"},
        {"axpby stride=-9223372036854775809", "not a 64-bit integer"},
        {"axpby stride=", "not a 64-bit integer"},
        {"act_fwd act=selu", "act='selu' is not one of its names"},
        {"all_reduce reduction=mean", "reduction='mean' is not one of its names"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p2p_op op;
        if (p2p_op_parse(cases[i].text, &op) != P2P_INVALID) fail_msg("accepted: %s", cases[i].text);
        if (strstr(p2p_message(), cases[i].fragment) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].text, p2p_message(), cases[i].fragment);
    }
    assert_int_equal(p2p_op_parse("axpby stride=-9223372036854775808", &(p2p_op){0}), P2P_OK);
}

/* For any damage to a line, parsing and validation return a status, and the work of a valid result can be
 * counted. */
static void damaged_text_does_no_harm(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[P2P_OP_TEXT];
        strcpy(text, valid[below(VALID_COUNT)]);
        int64_t length = (int64_t)strlen(text);
        for (int64_t damage = 1 + below(3); damage > 0; damage--) {
            int64_t at = below(length);
            if (below(3) == 0)
                memmove(text + at, text + at + 1, (size_t)(length-- - at));
            else
                text[at] = "0123456789x@/:=+-. nchwkrst\x7f\x80"[below(29)];
        }
        p2p_op op;
        if (p2p_op_parse(text, &op) != P2P_OK || p2p_op_validate(&op) != P2P_OK) {
            assert_true(strlen(p2p_message()) > 10);
        } else {
            assert_true(p2p_op_flops(&op) >= 0 && p2p_op_bytes(&op) > 0);
        }
    }
}

/* ---- Rules -------------------------------------------------------------------------------------------- */

#define NORM   "x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 scale=f32:plain:1x5x1x1 shift=f32:plain:1x5x1x1 "
#define FLAT   "f32:plain:1x1x1x9 "
#define IMAGES "f32:plain:1x3x8x8 "
static const struct {
    const char *text, *fragment;
} invalid[] = {
    {"axpby", "axpby: operand x is missing"},
    {"axpby x=" FLAT "y=u8:plain:1x1x1x9",
     "axpby: operand y (u8:plain:1x1x1x9): its type must be f32, f64 or bf16"},
    {"axpby x=" FLAT "y=" FLAT "stride=2", "axpby: stride has no meaning here"},
    {"axpby x=" FLAT "y=" FLAT "eps=0.1", "axpby: eps has no meaning here"},
    {"copy x+=" FLAT "y=" FLAT, "operand x (f32:plain:1x1x1x9): it is not an output"},
    {"copy x=" FLAT "y=f32:plain:1x1x1x8", "its shape must be that of x, 1x1x1x9"},
    {"copy x=u32:plain:1x1x1x9 y=" FLAT, "operand x (u32:plain:1x1x1x9): its type"},
    {"prepare x=" IMAGES "y=" IMAGES, "images must be u8:nhwc or u16:nhwc"},
    {"prepare x=u8:nhwc8:1x3x8x8 y=" IMAGES, "images must be u8:nhwc or u16:nhwc"},
    {"prepare x=u8:nhwc:1x3x8x8 y=f32:ckrs16:1x3x8x8", "the layout is one of filters"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x2x4x4 y=f32:plain:1x4x5x5",
     "operand w (f32:plain:4x2x4x4): its shape "
     "must be 4x3x4x4"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:2x4x5x5", "its shape must be 1x4x5x5"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x4x5", "its height must be 5"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x4 stride=1", "its width must be 5"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x9x4 y=f32:plain:1x4x5x5", "a filter of height 9 does not fit"},
    {"conv_fwd x=" IMAGES "w=f32:nchwc16:4x3x4x4 y=f32:plain:1x4x5x5",
     "one of activations, and this is a filter"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3@0/6x4x4 y=f32:plain:1x4x5x5", "a filter has no channel range"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 bias=f32:plain:1x3x1x1 y=f32:plain:1x4x5x5",
     "operand bias (f32:plain:1x3x1x1): its shape must be 1x4x1x1"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 bias=f32:nchwc16:1x4x1x1 y=f32:plain:1x4x5x5",
     "its layout must be plain"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x5 stride=-1", "stride=-1 is outside"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x5 pad_top=-1", "pad_top=-1 is outside"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x5 pad_top=9223372036854775807",
     "is outside 0 to"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x5 act=7", "act=7 is outside"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x5 slope=0.2", "but act is not lrelu"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x5 act=lrelu slope=-1",
     "slope=-1 is outside"},
    {"conv_fwd x=" IMAGES "w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x5 images=2", "groups of images=2"},
    {"conv_bwd_filter x=" IMAGES "dw=f32:plain:4x3x4x4 dy=f32:plain:1x4x5x5 images=1",
     "images has no meaning"},
    {"conv_bwd_data dy=f32:plain:1x4x5x5 w=f32:plain:3x4x4x4 dx=" IMAGES, "its shape must be 4x3x4x4"},
    {"conv_bwd_data dy=f32:plain:1x4x5x5 w=f32:plain:4x3x4x4 bias=f32:plain:1x4x1x1 dx=" IMAGES,
     "its shape must be 1x3x1x1"},
    {"conv_bwd_filter x=" IMAGES "dy=f32:plain:1x4x5x5 dw=f32:plain:4x3x4x4 act=relu", "act has no meaning"},
    {"conv_bwd_filter x=" IMAGES "dy=f32:plain:1x4x5x6 dw=f32:plain:4x3x4x4", "its width must be 5"},
    {"gemm a=f32:plain:1x5x1x7 b=f32:plain:1x6x1x3 y=f32:plain:1x5x1x3", "its shape must be 1x7x1x3"},
    {"gemm a=f32:plain:1x5x1x7 b=f32:plain:1x7x1x3 y=f32:plain:1x3x1x5", "its shape must be 1x5x1x3"},
    {"gemm a=f32:plain:2x5x1x7 b=f32:plain:1x7x1x3 y=f32:plain:1x5x1x3", "its shape must be 1x5x1x7"},
    {"gemm a=f32:plain:1x5x1x7 b=f32:plain:1x7x1x3 y=f32:plain:1x5x1x3 transpose_a=2",
     "transpose_a=2 is outside"},
    {"norm_stats x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 images=3", "groups of images=3"},
    {"norm_stats x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 images=8", "groups of images=8"},
    {"norm_stats x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 images=2", "its shape must be 2x3x1x5"},
    {"norm_stats x=f32:plain:4x5x6x7 stats+=f64:plain:1x3x1x5", "it can't accumulate"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x7", "eps must be above 0"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x6 eps=1e-5", "its shape must be that of x"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x7 eps=1e-5 act2=relu", "operand y2 is absent"},
    {"norm_apply x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 scale=f32:plain:1x5x1x1 y=f32:plain:4x5x6x7 "
     "eps=1e-5",
     "operand shift is missing"},
    {"norm_apply x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 shift=f32:plain:1x5x1x1 y=f32:plain:4x5x6x7 "
     "eps=1e-5",
     "it must be absent without scale"},
    {"norm_bwd_stats x=f32:plain:4x5x6x7 stats=f64:plain:1x3x1x5 dy=f32:plain:4x5x6x7 "
     "sums=f64:plain:1x2x1x5 dshift=f32:plain:1x5x1x1 eps=1e-5",
     "it must be absent without scale"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x7 eps=1e-5 slope2=0.1", "act2 is not lrelu"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x7 eps=1e-5 momentum=1.5", "momentum=1.5 is outside"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x7 eps=1e-5 dropout=0.5",
     "step is missing; it must be present when"},
    {"norm_apply " NORM "step=u32:plain:1x1x1x14 y=f32:plain:4x5x6x7 eps=1e-5",
     "must be absent when dropout is 0"},
    {"norm_apply " NORM "step=u32:plain:1x1x1x13 y=f32:plain:4x5x6x7 eps=1e-5 dropout=0.5",
     "too short for 4 images, which take 14 words"},
    {"norm_apply " NORM "step=f32:plain:1x1x1x14 y=f32:plain:4x5x6x7 eps=1e-5 dropout=0.5",
     "type must be u32"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x7 eps=1e-5 dropout=1", "dropout=1 is outside"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x7 eps=1e-5 merged=2", "merged=2 is outside"},
    {"norm_apply " NORM "y=f32:plain:4x5x6x7 eps=1e-5 use_running=1",
     "stats (f64:plain:1x3x1x5): it must be absent"},
    {"norm_apply x=f32:plain:4x5x6x7 scale=f32:plain:1x5x1x1 shift=f32:plain:1x5x1x1 y=f32:plain:4x5x6x7 "
     "eps=1e-5",
     "operand stats is missing"},
    {"norm_apply x=f32:plain:4x5x6x7 scale=f32:plain:1x5x1x1 shift=f32:plain:1x5x1x1 y=f32:plain:4x5x6x7 "
     "eps=1e-5 "
     "use_running=1",
     "operand running is missing"},
    {"norm_apply x=f32:plain:4x5x6x7 scale=f32:plain:1x5x1x1 shift=f32:plain:1x5x1x1 "
     "running=f32:plain:1x2x1x5 "
     "y=f32:plain:4x5x6x7 eps=1e-5 use_running=1 merged=1",
     "exclude each other"},
    {"norm_apply " NORM "running=f32:plain:1x3x1x5 y=f32:plain:4x5x6x7 eps=1e-5",
     "its shape must be 1x2x1x5"},
    {"norm_apply x=f32:plain:4x5x6x7 stats+=f64:plain:1x3x1x5 scale=f32:plain:1x5x1x1 "
     "shift=f32:plain:1x5x1x1 "
     "y=f32:plain:4x5x6x7 eps=1e-5",
     "it is not an output"},
    {"norm_bwd_stats " NORM "dy=f32:plain:4x5x6x7 sums=f64:plain:1x3x1x5 eps=1e-5",
     "its shape must be 1x2x1x5"},
    {"norm_bwd_stats " NORM "dy=f32:plain:4x5x6x7 sums+=f64:plain:1x2x1x5 eps=1e-5", "it can't accumulate"},
    {"norm_bwd_stats " NORM "dy=f32:plain:4x5x6x7 sums=f64:plain:1x2x1x5 eps=1e-5 merged=1",
     "merged has no meaning"},
    {"norm_bwd_stats " NORM "dy=f32:plain:4x5x6x7 sums=f64:plain:1x2x1x5 eps=1e-5 act2=relu",
     "dy2 is absent"},
    {"norm_bwd_apply " NORM "dy=f32:plain:4x5x6x7 sums=f64:plain:1x2x1x5 dx=f32:plain:4x5x6x7 "
     "dscale=f32:plain:1x5x1x1 eps=1e-5",
     "absent without merged"},
    {"act_fwd x=" IMAGES "y=f32:plain:1x3x8x9", "its shape must be that of x"},
    {"act_bwd y=" IMAGES "dy=" IMAGES "dx=f32:plain:1x3x8x9", "its shape must be that of y"},
    {"act_bwd y=" IMAGES "dy=" IMAGES "dx=" IMAGES "act=tanh slope=0.1", "act is not lrelu"},
    {"dropout x=" IMAGES "y=" IMAGES, "operand step is missing"},
    {"dropout x=" IMAGES "step=u32:plain:1x1x1x10 y=" IMAGES, "too short for 1 images"},
    {"dropout x=" IMAGES "step=u32:plain:1x1x11x1 y=" IMAGES, "it must be a flat array"},
    {"dropout x=f32:plain:1x1x1x70000 step=u32:plain:1x1x1x11 y=f32:plain:1x1x1x70000", "up to 65536 only"},
    {"dropout x=" IMAGES "step=u32:plain:1x1x1x11 y=" IMAGES "layer=4294967296",
     "layer=4294967296 is outside"},
    {"axpby x=f32:plain:1x2x1x1 y=" IMAGES, "or one number per channel of y"},
    {"axpby x=f32:plain:1x3x1x1 y=f32:ckrs16:1x3x8x8", "the layout is one of filters"},
    {"bias_grad dy=" IMAGES "db=f32:plain:1x1x1x3", "its shape must be 1x3x1x1"},
    {"loss_bce x=" IMAGES "loss=f32:plain:1x1x1x2", "its shape must be 1x1x1x1"},
    {"loss_bce x=" IMAGES "loss=f32:plain:1x1x1x1 target=2", "target=2 is outside"},
    {"loss_mse x=" IMAGES "loss=f32:plain:1x1x2x1", "its shape must be 1x1x1x1"},
    {"loss_mse x=" IMAGES "loss=f32:plain:1x1x1x1 target=-1", "target=-1 is outside"},
    {"loss_l1 x=" IMAGES "target=f32:plain:1x3x8x7 loss=f32:plain:1x1x1x1", "its shape must be that of x"},
    {"adam p=" FLAT "g=" FLAT "m=" FLAT "v=f32:plain:1x1x1x8 step=u32:plain:1x1x1x10", "must be 1x1x1x9"},
    {"adam p=f32:plain:1x9x1x1 g=" FLAT "m=" FLAT "v=" FLAT "step=u32:plain:1x1x1x10", "must be 1x1x1x1"},
    {"adam p=" FLAT "g=" FLAT "m=" FLAT "v=" FLAT "step=u32:plain:1x1x1x9", "too short for 0 images"},
    {"adam p=" FLAT "g=" FLAT "m=" FLAT "v=" FLAT "step=u32:plain:1x1x1x10 beta1=1", "beta1=1 is outside"},
    {"adam p=" FLAT "g=" FLAT "m=" FLAT "v=" FLAT "step=u32:plain:1x1x1x10 eps=-1", "eps=-1 is outside"},
    {"all_reduce y=f32:plain:1x2x1x5 reduction=moments", "its shape must be 1x3x1x5"},
    {"all_reduce y=u32:plain:1x1x1x5", "its type must be"},
    {"all_reduce y=" FLAT "reduction=2", "reduction=2 is outside"},
    {"broadcast y=" FLAT "root=-1", "root=-1 is outside"},
};

static void invalid_descriptors_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        p2p_op op = parsed(invalid[i].text);
        if (p2p_op_validate(&op) != P2P_INVALID) fail_msg("accepted: %s", invalid[i].text);
        if (strstr(p2p_message(), invalid[i].fragment) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", invalid[i].text, p2p_message(), invalid[i].fragment);
    }
}

/* Values that text cannot express. */
static void impossible_values_are_refused(void **state) {
    (void)state;
    p2p_op good = parsed("axpby x=f32:plain:1x1x1x9 y=f32:plain:1x1x1x9 alpha=1"), op = good;
    op.kind = (p2p_kind)P2P_KIND_COUNT;
    assert_int_equal(p2p_op_validate(&op), P2P_INVALID);
    op = good;
    op.alpha = NAN;
    assert_int_equal(p2p_op_validate(&op), P2P_INVALID);
    MESSAGE_HAS("alpha is not finite");
    op = good;
    op.t[2] = op.t[0];
    assert_int_equal(p2p_op_validate(&op), P2P_INVALID);
    MESSAGE_HAS("operand 2 is set");
    op = good;
    op.accumulate = 1u << 31;
    assert_int_equal(p2p_op_validate(&op), P2P_INVALID);
    op = good;
    op.t[0].type = P2P_TYPE_COUNT;
    assert_int_equal(p2p_op_validate(&op), P2P_INVALID);
    op = good;
    op.t[0].n = -1;
    assert_int_equal(p2p_op_validate(&op), P2P_INVALID);
    op = good;
    op.t[0].c0 = 1;
    assert_int_equal(p2p_op_validate(&op), P2P_INVALID);
    assert_int_equal(p2p_op_validate(&good), P2P_OK);
}

/* ---- Work and use ------------------------------------------------------------------------------------- */

static void work_is_counted(void **state) {
    (void)state;
    p2p_op op =
        parsed("conv_fwd x=f32:plain:4x3x256x256 w=f32:plain:64x3x4x4 y=f32:plain:4x64x128x128 stride=2 "
               "pad_top=1 pad_left=1 pad_bottom=1 pad_right=1");
    assert_int_equal(p2p_op_validate(&op), P2P_OK);
    assert_true(p2p_op_flops(&op) == 2.0 * 4 * 64 * 3 * 4 * 4 * 128 * 128);
    assert_true(p2p_op_bytes(&op) == 4.0 * (4 * 3 * 256 * 256 + 64 * 3 * 4 * 4 + 4 * 64 * 128 * 128));
    op.accumulate = 1u << P2P_AT_conv_fwd_y;
    assert_true(p2p_op_bytes(&op) == 4.0 * (4 * 3 * 256 * 256 + 64 * 3 * 4 * 4 + 2 * 4 * 64 * 128 * 128));
    op = parsed("gemm a=f32:plain:1x7x1x5 b=f32:plain:1x7x1x3 y=f32:plain:1x5x1x3 transpose_a=1 alpha=1");
    assert_true(p2p_op_flops(&op) == 2.0 * 5 * 7 * 3);
    op = parsed(
        "conv_bwd_data dy=f32:plain:2x4x4x4 w=f32:plain:4x3x4x4 dx=f32:plain:2x3x8x8 stride=2 pad_top=1 "
        "pad_left=1 pad_bottom=1 pad_right=1");
    assert_true(p2p_op_flops(&op) == 2.0 * 2 * 16 * 4 * 3 * 16);
}

static void operand_use_follows_modes(void **state) {
    (void)state;
    p2p_op op = parsed(valid[14]);
    assert_int_equal(op.kind, P2P_KIND_norm_apply);
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_apply_x), P2P_IN);
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_apply_stats), P2P_IN);
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_apply_running), 0);
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_apply_y), P2P_OUT);
    op = parsed(valid[15]);
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_apply_stats), P2P_OUT);
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_apply_running), P2P_INOUT);
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_apply_y2), P2P_INOUT);
    assert_int_equal(p2p_op_mode_use(&op, P2P_AT_norm_apply_y2), P2P_OUT); /* accumulation apart */
    op = parsed(valid[16]);
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_apply_running), P2P_IN);
    assert_int_equal(p2p_op_mode_use(&op, P2P_AT_norm_apply_running), P2P_IN);
    op = (p2p_op){.kind = P2P_KIND_norm_bwd_apply}; /* no operand is present */
    assert_int_equal(p2p_op_operand_use(&op, P2P_AT_norm_bwd_apply_sums), 0);
    assert_int_equal(p2p_op_mode_use(&op, P2P_AT_norm_bwd_apply_sums), P2P_IN);
    op.merged = 1;
    assert_int_equal(p2p_op_mode_use(&op, P2P_AT_norm_bwd_apply_sums), P2P_OUT);
}

static void activations_and_slopes(void **state) {
    (void)state;
    assert_true(p2p_act_value(P2P_ACT_none, 0, -2) == -2 && p2p_act_slope(P2P_ACT_none, 0, -2) == 1);
    assert_true(p2p_act_value(P2P_ACT_relu, 0, -2) == 0 && p2p_act_value(P2P_ACT_relu, 0, 3) == 3);
    for (int act = 0; act < P2P_ACT_COUNT; act++) assert_true(isnan(p2p_act_value(act, 0.25, NAN)));
    assert_true(p2p_act_slope(P2P_ACT_relu, 0, 0) == 0 && p2p_act_slope(P2P_ACT_relu, 0, 3) == 1);
    assert_true(p2p_act_value(P2P_ACT_lrelu, 0.25, -2) == -0.5 && p2p_act_value(P2P_ACT_lrelu, 0.25, 2) == 2);
    assert_true(p2p_act_slope(P2P_ACT_lrelu, 0.25, 0) == 0.25 && p2p_act_slope(P2P_ACT_lrelu, 0.25, 2) == 1);
    double step = 1e-6, y = p2p_act_value(P2P_ACT_tanh, 0, 0.7);
    double difference = (tanh(0.7 + step) - tanh(0.7 - step)) / (2 * step);
    assert_true(fabs(y - tanh(0.7)) < 1e-15 && fabs(p2p_act_slope(P2P_ACT_tanh, 0, y) - difference) < 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_follows_the_documented_order),
        cmocka_unit_test(stored_sizes_include_padding),
        cmocka_unit_test(pack_and_unpack_round_trip),
        cmocka_unit_test(large_planes_convert_whole),
        cmocka_unit_test(conversion_rounds_to_nearest),
        cmocka_unit_test(tensor_text_round_trips),
        cmocka_unit_test(tensor_text_is_refused),
        cmocka_unit_test(valid_descriptors_pass_and_print_as_written),
        cmocka_unit_test(random_descriptors_round_trip),
        cmocka_unit_test(equality_knows_defaults),
        cmocka_unit_test(text_is_refused),
        cmocka_unit_test(damaged_text_does_no_harm),
        cmocka_unit_test(invalid_descriptors_are_refused),
        cmocka_unit_test(impossible_values_are_refused),
        cmocka_unit_test(work_is_counted),
        cmocka_unit_test(operand_use_follows_modes),
        cmocka_unit_test(activations_and_slopes),
        cmocka_unit_test(factors_are_rounded),
        cmocka_unit_test(padding_is_found_and_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
