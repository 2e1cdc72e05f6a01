/* Small odd convolutions of a family, each compared with plain loops on the host.
 *
 * Drivers miscompile, and a training on wrong gradients fails slowly and silently. Operands are small whole
 * numbers, so results are whole too, and anything a quarter away is wrong; Winograd's fractions stay far
 * below that. This is no substitute for the operation tests, which cover all kinds, shapes and options.
 */
#include "ocl_selftest.h"
#include "ocl_cache_key.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Shapes and the truth ------------------------------------------------------------------------------ */

/* Filters of 4 x 4 with a padding of 1, as in the networks. */
typedef struct {
    int n, c, h, w, k, stride, out_h, out_w;
} test_shape;

static const test_shape shapes[] = {
    {2, 18, 9, 11, 33, 2, 4, 5}, /* partial blocks of channels, sides that tiles don't divide */
    {1, 20, 7, 12, 17, 1, 6, 11},
};

/* The operands of the three kinds in one order: input or its gradient, filter or its gradient, output or its
 * gradient; and which of them is the result. */
enum { X, W, Y, ROLES };
static const struct {
    p2p_kind kind;
    int at[ROLES], result;
} kinds[] = {
    {P2P_KIND_conv_fwd, {P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_y}, Y},
    {P2P_KIND_conv_bwd_data, {P2P_AT_conv_bwd_data_dx, P2P_AT_conv_bwd_data_w, P2P_AT_conv_bwd_data_dy}, X},
    {P2P_KIND_conv_bwd_filter,
     {P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dw, P2P_AT_conv_bwd_filter_dy},
     W},
};

enum {
    SHAPES = sizeof shapes / sizeof shapes[0],
    KINDS = sizeof kinds / sizeof kinds[0],
    TAPS = 4,
    PAD = 1,
    WHY_BYTES = 160
};

/* One convolution on its way through the device. */
typedef struct {
    p2p_be_device *device;
    const test_shape *shape;
    int kind;        /* of kinds[] */
    p2p_type stored; /* of activations */
    p2p_op op;
    double *values[ROLES]; /* logical: what is given, and the true result */
    p2p_be_buffer *buffer[ROLES], *scratch;
    void *raw[ROLES]; /* as the device stores it */
} trial;

static void describe(trial *t) {
    const test_shape *s = t->shape;
    p2p_tensor tensors[ROLES] = {
        [X] = p2p_tensor_activation(t->stored, s->n, s->c, s->h, s->w),
        [W] = p2p_tensor_filter(P2P_TYPE_f32, s->k, s->c, TAPS, TAPS),
        [Y] = p2p_tensor_activation(t->stored, s->n, s->k, s->out_h, s->out_w),
    };
    t->op = (p2p_op){.kind = kinds[t->kind].kind, .stride = s->stride};
    t->op.pad_top = t->op.pad_left = t->op.pad_bottom = t->op.pad_right = PAD;
    for (int role = X; role < ROLES; role++) {
        tensors[role].layout = role == W ? P2P_LAYOUT_ckrs : P2P_LAYOUT_nchwc;
        tensors[role].block = OCL_LANES;
        t->op.t[kinds[t->kind].at[role]] = tensors[role];
    }
}

/* One multiplication of the convolution, with the position of each operand's element. */
static void multiply(trial *t, size_t x, size_t w, size_t y) {
    double *const *v = t->values;
    switch (kinds[t->kind].result) {
    case X:
        v[X][x] += v[Y][y] * v[W][w];
        break;
    case W:
        v[W][w] += v[X][x] * v[Y][y];
        break;
    default:
        v[Y][y] += v[X][x] * v[W][w];
        break;
    }
}

/* All of them for one output position and pair of channels. */
static void multiply_taps(trial *t, int n, int k, int c, int oh, int ow) {
    const test_shape *s = t->shape;
    const size_t y = (((size_t)n * s->k + k) * s->out_h + oh) * s->out_w + ow;
    for (int r = 0; r < TAPS; r++)
        for (int q = 0; q < TAPS; q++) {
            const int h = oh * s->stride + r - PAD, w = ow * s->stride + q - PAD;
            if (h < 0 || h >= s->h || w < 0 || w >= s->w) continue;
            multiply(t, (((size_t)n * s->c + c) * s->h + h) * s->w + w,
                     (((size_t)k * s->c + c) * TAPS + r) * TAPS + q, y);
        }
}

/* Whole numbers from -3 to 3 in what is given; the truth in the result, which must be zero before. */
static void compute(trial *t) {
    const test_shape *s = t->shape;
    for (int role = X; role < ROLES; role++) {
        const int64_t count = p2p_tensor_elements(&t->op.t[kinds[t->kind].at[role]]);
        for (int64_t i = 0; role != kinds[t->kind].result && i < count; i++)
            t->values[role][i] = (double)((i * 5 + i / 7 + role) % 7 - 3);
    }
    for (int n = 0; n < s->n; n++)
        for (int k = 0; k < s->k; k++)
            for (int c = 0; c < s->c; c++)
                for (int oh = 0; oh < s->out_h; oh++)
                    for (int ow = 0; ow < s->out_w; ow++) multiply_taps(t, n, k, c, oh, ow);
}

/* ---- On the device ------------------------------------------------------------------------------------- */

static p2p_status allocate(trial *t) {
    for (int role = X; role < ROLES; role++) {
        const p2p_tensor *tensor = &t->op.t[kinds[t->kind].at[role]];
        t->values[role] = calloc((size_t)p2p_tensor_elements(tensor), sizeof(double));
        t->raw[role] = calloc(1, p2p_tensor_bytes(tensor));
        if (!t->values[role] || !t->raw[role])
            return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for the test of a convolution");
        P2P_TRY(ocl_device_table.buffer_create(t->device, p2p_tensor_bytes(tensor), &t->buffer[role]));
    }
    return P2P_OK;
}

static void release(trial *t) {
    for (int role = X; role < ROLES; role++) {
        free(t->values[role]);
        free(t->raw[role]);
        if (t->buffer[role]) ocl_device_table.buffer_destroy(t->device, t->buffer[role]);
    }
    if (t->scratch) ocl_device_table.buffer_destroy(t->device, t->scratch);
}

/* Results become NaN first, so that an element that isn't written shows. */
static p2p_status upload(trial *t) {
    for (int role = X; role < ROLES; role++) {
        const p2p_tensor *tensor = &t->op.t[kinds[t->kind].at[role]];
        if (role == kinds[t->kind].result)
            memset(t->raw[role], 0xFF, p2p_tensor_bytes(tensor));
        else
            p2p_tensor_pack(tensor, t->values[role], P2P_TYPE_f64, t->raw[role]);
        const p2p_binding to = {t->buffer[role], 0};
        P2P_TRY(ocl_device_table.buffer_write(t->device, to, t->raw[role], p2p_tensor_bytes(tensor)));
    }
    return P2P_OK;
}

static p2p_status finish(p2p_be_device *device) {
    p2p_ticket ticket = 0;
    P2P_TRY(ocl_device_table.submit(device, &ticket));
    return ocl_device_table.wait(device, ticket);
}

static p2p_status run(trial *t, ocl_planner planner) {
    p2p_be_device *device = t->device;
    p2p_binding bindings[P2P_MAX_OPERANDS] = {{0}}, scratch = {0};
    ocl_plan plan = {0};
    p2p_be_op *made = NULL;
    const int result = kinds[t->kind].result;
    for (int role = X; role < ROLES; role++) bindings[kinds[t->kind].at[role]].buffer = t->buffer[role];
    P2P_TRY(planner(&device->target, &t->op, &plan));
    if (plan.answer.scratch_bytes > 0) {
        P2P_TRY(ocl_device_table.buffer_create(device, plan.answer.scratch_bytes, &t->scratch));
        scratch.buffer = t->scratch;
    }
    P2P_TRY(upload(t));
    P2P_TRY(ocl_op_create_by(device, planner, &t->op, bindings, scratch, &made));
    p2p_status status = ocl_op_run(device, made);
    if (status == P2P_OK)
        status = ocl_device_table.buffer_read(device, (p2p_binding){t->buffer[result], 0}, t->raw[result],
                                              p2p_tensor_bytes(&t->op.t[kinds[t->kind].at[result]]));
    if (status == P2P_OK) status = finish(device);
    ocl_op_destroy(device, made);
    return status;
}

/* False for NaN. Whole numbers up to 256 are exact in bf16, larger ones have 8 digits. */
static bool is_right(p2p_type type, double got, double truth) {
    const double rounding = type == P2P_TYPE_bf16 && fabs(truth) > 256 ? fabs(truth) / 128 : 0;
    return fabs(got - truth) < 0.25 + rounding;
}

/* P2P_FAILED, and why, when the result is wrong. */
static p2p_status compare(const trial *t, char why[WHY_BYTES]) {
    const int result = kinds[t->kind].result;
    const p2p_tensor *tensor = &t->op.t[kinds[t->kind].at[result]];
    const int64_t count = p2p_tensor_elements(tensor);
    double *got = malloc((size_t)count * sizeof *got);
    if (!got) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for the test of a convolution");
    p2p_tensor_unpack(tensor, t->raw[result], got, P2P_TYPE_f64);
    int64_t i = 0;
    while (i < count && is_right(tensor->type, got[i], t->values[result][i])) i++;
    if (i < count)
        snprintf(why, WHY_BYTES, "element %lld of a small %s came out as %g instead of %g", (long long)i,
                 p2p_kind_name(t->op.kind), got[i], t->values[result][i]);
    free(got);
    return i < count ? ocl_host->fail(P2P_FAILED, "%s", why) : P2P_OK;
}

static p2p_status test_one(trial t, ocl_planner planner, char why[WHY_BYTES]) {
    describe(&t);
    p2p_status status = allocate(&t);
    if (status == P2P_OK) {
        compute(&t);
        status = run(&t, planner);
    }
    if (status == P2P_OK) status = compare(&t, why);
    release(&t);
    return status == P2P_UNSUPPORTED ? P2P_OK : status; /* what a family refuses it doesn't get */
}

static p2p_status test_all(p2p_be_device *device, p2p_type stored, ocl_planner planner, char why[WHY_BYTES]) {
    for (int s = 0; s < SHAPES; s++)
        for (int kind = 0; kind < KINDS; kind++) {
            const trial t = {.device = device, .shape = &shapes[s], .kind = kind, .stored = stored};
            P2P_TRY(test_one(t, planner, why));
        }
    return P2P_OK;
}

/* ---- Known between runs -------------------------------------------------------------------------------- */

/* Only passes are kept: a driver that fails is tested again at each start, so nobody has to clear a verdict.
 */
static const char key_format[] = "p2p selftest 1";
static const char passed[] = "passed";

/* Each storage has a pass of its own. */
static const char *kept_as(p2p_type stored) {
    return stored == P2P_TYPE_bf16 ? "selftest-bf16" : "selftest";
}

static bool passed_before(const p2p_be_device *device, const char *family, p2p_type stored) {
    ocl_cache_key *key = ocl_cache_key_make(device, key_format, family);
    void *value = NULL;
    size_t size = 0;
    const bool found = key && ocl_host->cache_get(kept_as(stored), key->part, key->count, &value, &size) &&
                       size == sizeof passed && memcmp(value, passed, size) == 0;
    free(value);
    free(key);
    return found;
}

static void keep_pass(const p2p_be_device *device, const char *family, p2p_type stored) {
    ocl_cache_key *key = ocl_cache_key_make(device, key_format, family);
    if (key) ocl_host->cache_put(kept_as(stored), key->part, key->count, passed, sizeof passed);
    free(key);
}

/* ---- Verdicts ------------------------------------------------------------------------------------------ */

bool ocl_told_to_fail(const char *name) {
    const char *list = getenv("P2P_OPENCL_FAIL");
    const size_t length = strlen(name);
    while (list && *list) {
        const size_t item = strcspn(list, ",");
        if (item == length && strncmp(list, name, length) == 0) return true;
        list += item + (list[item] == ',');
    }
    return false;
}

static void warn(const p2p_be_device *device, const char *family, const char *why) {
    ocl_host->warn("%s, %s: the %s convolutions are not used, because %s", device->info.name,
                   device->info.driver, family, why);
}

static p2p_status find_verdict(p2p_be_device *device, const char *family, p2p_type stored,
                               ocl_planner planner, ocl_verdict *verdict) {
    char why[WHY_BYTES] = "they can't be compiled or run";
    *verdict = OCL_VERDICT_PASSES;
    if (ocl_told_to_fail(family)) {
        *verdict = OCL_VERDICT_FAILS;
        warn(device, family, "P2P_OPENCL_FAIL says so");
        return P2P_OK;
    }
    if (passed_before(device, family, stored)) return P2P_OK;
    p2p_status status = test_all(device, stored, planner, why);
    if (status == P2P_OK) {
        ocl_host->log("%s: the %s convolutions pass their test", device->info.name, family);
        keep_pass(device, family, stored);
    } else if (status == P2P_FAILED) {
        *verdict = OCL_VERDICT_FAILS;
        warn(device, family, why);
        return P2P_OK;
    }
    return status;
}

p2p_status ocl_selftest(const ocl_target *target, ocl_conv_family family, p2p_type stored,
                        ocl_planner planner, bool *passes) {
    p2p_be_device *device = target->device;
    ocl_verdict *known = &device->verdict[family][stored == P2P_TYPE_bf16];
    *passes = false;
    P2P_TRY(ocl_check_alive(device));
    if (*known == OCL_VERDICT_UNKNOWN) {
        ocl_verdict found;
        P2P_TRY(find_verdict(device, ocl_conv_family_name(family), stored, planner, &found));
        *known = found;
    }
    *passes = *known == OCL_VERDICT_PASSES;
    return P2P_OK;
}

/* ---- Single ways --------------------------------------------------------------------------------------- */

struct ocl_way_verdict {
    ocl_way_verdict *next;
    ocl_conv_way way;
    p2p_type stored;
    ocl_verdict verdict;
};

void ocl_selftest_release(p2p_be_device *device) {
    while (device->way_verdicts) {
        ocl_way_verdict *next = device->way_verdicts->next;
        free(device->way_verdicts);
        device->way_verdicts = next;
    }
}

static ocl_verdict known_verdict(const p2p_be_device *device, const ocl_conv_way *way, p2p_type stored) {
    for (const ocl_way_verdict *known = device->way_verdicts; known; known = known->next)
        if (known->way.family == way->family && known->stored == stored &&
            strcmp(known->way.variant, way->variant) == 0)
            return known->verdict;
    return OCL_VERDICT_UNKNOWN;
}

static p2p_status test_way(p2p_be_device *device, const ocl_conv_way *way, p2p_type stored,
                           ocl_verdict *found) {
    char name[P2P_CHOICE_NAME];
    ocl_conv_way_print(way, name);
    const ocl_conv_asked before = ocl_conv_ask(device, way);
    const p2p_status status = find_verdict(device, name, stored, ocl_conv_plan_asked, found);
    ocl_conv_ask_again(device, before);
    return status;
}

p2p_status ocl_selftest_way(p2p_be_device *device, const ocl_conv_way *way, p2p_type stored, bool *passes) {
    ocl_verdict verdict = known_verdict(device, way, stored);
    *passes = false;
    P2P_TRY(ocl_check_alive(device));
    if (verdict == OCL_VERDICT_UNKNOWN) {
        P2P_TRY(test_way(device, way, stored, &verdict));
        ocl_way_verdict *known = malloc(sizeof *known);
        if (!known) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a verdict");
        *known = (ocl_way_verdict){device->way_verdicts, *way, stored, verdict};
        device->way_verdicts = known;
    }
    *passes = verdict == OCL_VERDICT_PASSES;
    return P2P_OK;
}
