/* Self-test of a family or algorithm on small convolutions. See ocl_selftest.h. */
#include "ocl_selftest.h"

#include "ocl_cache_key.h"

#include "conv/ocl_conv.h"
#include "device/ocl_buffer.h"
#include "device/ocl_error.h"

#include <stdlib.h>
#include <string.h>

/* ---- Shapes ---------------------------------------------------------------------------------------- */

/* Filters of 4 x 4 with a padding of 1, as in the networks. Each shape is small enough for tune_check.c to
 * compare every element. */
typedef struct {
    int n, c, h, w, k, stride, out_h, out_w;
} test_shape;

static const test_shape shapes[] = {
    {2, 18, 9, 11, 33, 2, 4, 5}, /* partial blocks of channels, extents that tiles do not divide */
    {1, 20, 7, 12, 17, 1, 6, 11},
    /* small maps: the planners choose `stream` (CPUs with AVX-512) and `thin` (other devices) */
    {1, 128, 2, 2, 128, 2, 1, 1},
    {1, 272, 2, 4, 48, 2, 1, 2}, /* more channels than a group of `thin` sums */
};

enum { SHAPES = sizeof shapes / sizeof shapes[0], TAPS = 4, PAD = 1 };

static p2p_op describe(const test_shape *s, p2p_kind kind, p2p_type stored) {
    p2p_op op = {.kind = kind, .stride = s->stride};
    p2p_tune_roles roles = p2p_tune_roles_of(kind);
    p2p_tensor tensors[P2P_TUNE_ROLES] = {
        [P2P_TUNE_X] = p2p_tensor_activation(stored, s->n, s->c, s->h, s->w),
        [P2P_TUNE_W] = p2p_tensor_filter(P2P_TYPE_f32, s->k, s->c, TAPS, TAPS),
        [P2P_TUNE_Y] = p2p_tensor_activation(stored, s->n, s->k, s->out_h, s->out_w),
    };
    op.pad_top = op.pad_left = op.pad_bottom = op.pad_right = PAD;
    for (int role = 0; role < P2P_TUNE_ROLES; role++) {
        tensors[role].layout = role == P2P_TUNE_W ? P2P_LAYOUT_ckrs : P2P_LAYOUT_nchwc;
        tensors[role].block = OCL_LANES;
        op.t[roles.at[role]] = tensors[role];
    }
    return op;
}

/* ---- On the device --------------------------------------------------------------------------------- */

static p2p_status run(p2p_be_device *device, p2p_tune_check *check, ocl_plan_maker make, void *context,
                      size_t scratch_bytes, bool *right, char why[P2P_TUNE_WHY]) {
    p2p_be_buffer *scratch = NULL;
    p2p_be_op *made = NULL;
    p2p_binding bindings[P2P_MAX_OPERANDS];
    if (scratch_bytes > 0) P2P_TRY(ocl_buffer_create(device, scratch_bytes, &scratch));
    p2p_tune_check_bind(check, bindings);
    p2p_status status =
        ocl_op_create_by(device, make, context, check->op, bindings, (p2p_binding){scratch, 0}, &made);
    if (status == P2P_OK) status = p2p_tune_check_try(check, made, right, why);
    if (made) ocl_op_destroy(device, made);
    if (scratch) ocl_buffer_destroy(device, scratch);
    return status;
}

/* Returns P2P_FAILED, and sets `why`, if the result is wrong. A refused shape is not used, so a refusal is
 * no failure. Otherwise *tested is incremented. */
static p2p_status test_one(p2p_be_device *device, const p2p_op *op, ocl_plan_maker make, void *context,
                           int *tested, char why[P2P_TUNE_WHY]) {
    p2p_tune_check check;
    ocl_plan plan = {0};
    bool right = false;
    p2p_status status = make(context, op, &plan);
    if (status == P2P_OK) {
        const p2p_tune_device tuned = ocl_tune_device(device);
        status = p2p_tune_check_open(&check, &tuned, op);
        if (status == P2P_OK)
            status = run(device, &check, make, context, plan.answer.scratch_bytes, &right, why);
        p2p_tune_check_close(&check);
        if (status == P2P_OK && !right) status = ocl_host->fail(P2P_FAILED, "%s", why);
        *tested += status == P2P_OK;
    }
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

/* Sets *tested to the number of shapes and kinds that were not refused. */
static p2p_status test_all(p2p_be_device *device, p2p_type stored, ocl_plan_maker make, void *context,
                           int *tested, char why[P2P_TUNE_WHY]) {
    static const p2p_kind kinds[] = {P2P_KIND_conv_fwd, P2P_KIND_conv_bwd_data, P2P_KIND_conv_bwd_filter};
    *tested = 0;
    for (int s = 0; s < SHAPES; s++)
        for (int kind = 0; kind < 3; kind++) {
            const p2p_op op = describe(&shapes[s], kinds[kind], stored);
            P2P_TRY(test_one(device, &op, make, context, tested, why));
        }
    return P2P_OK;
}

/* ---- Stored passes --------------------------------------------------------------------------------- */

/* Only passes are stored: a driver that fails is tested again at each start, so no verdict has to be
 * cleared. */
static const char key_format[] = "p2p selftest 2";
static const char passed[] = "passed";

/* Each storage type has a pass of its own. */
static const char *kept_as(p2p_type stored) {
    return stored == P2P_TYPE_bf16 ? "selftest-bf16" : "selftest";
}

static bool passed_before(const p2p_be_device *device, const char *name, p2p_type stored) {
    ocl_cache_key *key = ocl_cache_key_make(device, key_format, name);
    void *value = NULL;
    size_t size = 0;
    const bool found = key && ocl_host->cache_get(kept_as(stored), key->part, key->count, &value, &size) &&
                       size == sizeof passed && memcmp(value, passed, size) == 0;
    free(value);
    free(key);
    return found;
}

static void keep_pass(const p2p_be_device *device, const char *name, p2p_type stored) {
    ocl_cache_key *key = ocl_cache_key_make(device, key_format, name);
    if (key) ocl_host->cache_put(kept_as(stored), key->part, key->count, passed, sizeof passed);
    free(key);
}

/* ---- Verdicts -------------------------------------------------------------------------------------- */

static void warn(const p2p_be_device *device, const char *name, const char *why) {
    ocl_host->warn("%s, %s: the %s convolutions are not used, because %s", device->info.name,
                   device->info.driver, name, why);
}

p2p_status ocl_selftest_plans(p2p_be_device *device, const char *name, p2p_type stored, ocl_plan_maker make,
                              void *context, ocl_verdict *verdict) {
    char why[P2P_TUNE_WHY] = "they can't be compiled or run";
    *verdict = OCL_VERDICT_UNKNOWN;
    P2P_TRY(ocl_check_alive(device));
    if (ocl_environment_fails(&device->environment, name)) {
        *verdict = OCL_VERDICT_FAILS;
        warn(device, name, "P2P_OPENCL_FAIL lists them");
        return P2P_OK;
    }
    if (passed_before(device, name, stored)) {
        *verdict = OCL_VERDICT_PASSES;
        return P2P_OK;
    }
    int tested;
    const p2p_status status = test_all(device, stored, make, context, &tested, why);
    if (status == P2P_FAILED) {
        *verdict = OCL_VERDICT_FAILS;
        warn(device, name, why);
        return P2P_OK;
    }
    P2P_TRY(status);
    *verdict = tested > 0 ? OCL_VERDICT_PASSES : OCL_VERDICT_REFUSES;
    if (tested == 0) return P2P_OK;
    ocl_host->log("%s: the %s convolutions pass their test", device->info.name, name);
    keep_pass(device, name, stored);
    return P2P_OK;
}

/* The context of plan_algorithm: an algorithm and its device. */
typedef struct {
    p2p_be_device *device;
    const ocl_conv_algorithm *algorithm;
} tested_algorithm;

static p2p_status plan_algorithm(void *context, const p2p_op *op, ocl_plan *plan) {
    const tested_algorithm *tested = context;
    return ocl_conv_plan_untested_algorithm(&tested->device->target, tested->algorithm, op, plan);
}

static p2p_status test_algorithm(p2p_be_device *device, const ocl_conv_algorithm *algorithm, p2p_type stored,
                                 ocl_verdict *verdict) {
    char name[P2P_CHOICE_NAME];
    tested_algorithm tested = {device, algorithm};
    ocl_conv_algorithm_print(algorithm, name);
    return ocl_selftest_plans(device, name, stored, plan_algorithm, &tested, verdict);
}

p2p_status ocl_selftest_family(p2p_be_device *device, ocl_conv_family family, p2p_type stored) {
    ocl_verdict *verdict = &device->tuning->verdicts.family[family][stored == P2P_TYPE_bf16];
    const ocl_conv_algorithm algorithm = {family, ""};
    return *verdict == OCL_VERDICT_UNKNOWN ? test_algorithm(device, &algorithm, stored, verdict) : P2P_OK;
}

static ocl_verdict known_verdict(const ocl_tuning *tuning, const ocl_conv_algorithm *algorithm,
                                 p2p_type stored) {
    for (const ocl_algorithm_verdict *known = tuning->algorithm_verdicts; known; known = known->next)
        if (known->algorithm.family == algorithm->family && known->stored == stored &&
            strcmp(known->algorithm.variant, algorithm->variant) == 0)
            return known->verdict;
    return OCL_VERDICT_UNKNOWN;
}

p2p_status ocl_selftest_algorithm(p2p_be_device *device, const ocl_conv_algorithm *algorithm, p2p_type stored,
                                  bool *passes) {
    ocl_tuning *tuning = device->tuning;
    ocl_verdict verdict = known_verdict(tuning, algorithm, stored);
    *passes = false;
    P2P_TRY(ocl_check_alive(device));
    if (verdict == OCL_VERDICT_UNKNOWN) {
        P2P_TRY(test_algorithm(device, algorithm, stored, &verdict));
        ocl_algorithm_verdict *known = malloc(sizeof *known);
        if (!known) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a verdict");
        *known = (ocl_algorithm_verdict){tuning->algorithm_verdicts, *algorithm, stored, verdict};
        tuning->algorithm_verdicts = known;
    }
    *passes = verdict != OCL_VERDICT_FAILS;
    return P2P_OK;
}

p2p_status ocl_selftest_plan_algorithm(p2p_be_device *device, const ocl_conv_algorithm *algorithm,
                                       const p2p_op *op, ocl_plan *plan) {
    for (;;) {
        P2P_TRY(ocl_conv_plan_algorithm(&device->target, algorithm, op, plan));
        if (plan->untested == OCL_CONV_AUTO) return P2P_OK;
        P2P_TRY(ocl_selftest_family(device, plan->untested, op->t[0].type));
    }
}
