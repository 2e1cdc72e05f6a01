/* Queries, creation and choices of operations. See ocl_operation.h. */
#include "ocl_operation.h"

#include "ocl_planners.h"

#include "conv/ocl_conv.h"
#include "device/ocl_bf16.h"
#include "device/ocl_error.h"
#include "device/ocl_op.h"
#include "device/ocl_queue.h"
#include "plan/ocl_plan.h"
#include "tune/ocl_kept.h"
#include "tune/ocl_selftest.h"
#include "tune/ocl_tune.h"
#include "tune/ocl_tuning.h"

/* ---- Queries and creation -------------------------------------------------------------------------- */

/* An ocl_plan_maker: a plan whose convolution family, if any, has passed its self-test. */
static p2p_status plan_tested(void *context, const p2p_op *op, ocl_plan *plan) {
    p2p_be_device *device = context;
    for (;;) {
        P2P_TRY(ocl_plan_op(&device->target, op, plan));
        if (plan->untested == OCL_CONV_AUTO) return P2P_OK;
        P2P_TRY(ocl_selftest_family(device, plan->untested, op->t[0].type));
    }
}

p2p_status ocl_op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    ocl_plan plan;
    P2P_TRY(plan_tested(device, op, &plan));
    *answer = plan.answer;
    return P2P_OK;
}

p2p_status ocl_op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                         p2p_binding scratch, p2p_be_op **created) {
    *created = NULL;
    P2P_TRY(ocl_check_alive(device));
    if (op->math == P2P_MATH_bf16) P2P_TRY(ocl_bf16_test(device));
    return ocl_op_create_by(device, plan_tested, device, op, bindings, scratch, created);
}

/* ---- Choices --------------------------------------------------------------------------------------- */

static p2p_status time_by_clock(void *context, p2p_be_device *device, const ocl_conv_algorithm *algorithm,
                                p2p_be_op *op, int runs, double *seconds) {
    double (*const *clock)(void) = context;
    const p2p_tune_device tuned = ocl_tune_device(device);
    (void)algorithm;
    return p2p_tune_time(&tuned, *clock, op, runs, seconds);
}

/* Measures, and stores the result. If measuring is not possible, the default choice is used and not
 * stored. */
static p2p_status measure(p2p_be_device *device, const p2p_op *op, double (*clock)(void),
                          ocl_choice *choice) {
    const ocl_timer timer = {time_by_clock, &clock};
    if (op->math == P2P_MATH_bf16) P2P_TRY(ocl_bf16_test(device));
    const p2p_status status = ocl_tune(device, op, &timer, choice);
    if (status == P2P_OK && choice->seconds > 0) ocl_kept_put(device, op, choice);
    if (status != P2P_OUT_OF_MEMORY && status != P2P_UNSUPPORTED) return status;
    ocl_host->log("%s: not measured", device->info.name);
    *choice = (ocl_choice){0};
    return P2P_OK;
}

/* Replaces a variant that fails the self-test by the default choice. The self-test's small shapes may
 * reveal errors that the measured shape did not. A family's own choice has already passed. */
static p2p_status test_chosen(p2p_be_device *device, const p2p_op *op, ocl_choice *chosen) {
    bool passes = true;
    if (chosen->algorithm.variant[0])
        P2P_TRY(ocl_selftest_algorithm(device, &chosen->algorithm, op->t[0].type, &passes));
    if (!passes) *chosen = (ocl_choice){0};
    return P2P_OK;
}

static p2p_status remember(p2p_be_device *device, const p2p_op *op, const ocl_choice *chosen) {
    if (ocl_choice_remember(&device->tuning->choices, op, &chosen->algorithm)) return P2P_OK;
    return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for the choice of a convolution");
}

/* Finds a choice stored by an earlier process, if this device supports it. */
static bool find_kept(p2p_be_device *device, const p2p_op *op, ocl_choice *choice) {
    ocl_plan plan;
    return ocl_kept_get(device, op, choice) &&
           (choice->algorithm.family == OCL_CONV_AUTO ||
            ocl_selftest_plan_algorithm(device, &choice->algorithm, op, &plan) == P2P_OK);
}

p2p_status ocl_op_choose(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                         p2p_choice *choice) {
    ocl_choice chosen = {0};
    P2P_TRY(ocl_check_alive(device));
    if (device->target.variant) return P2P_OK;
    const bool kept = (mode == P2P_TUNE_STORED || mode == P2P_TUNE_MEASURE) && find_kept(device, op, &chosen);
    if (!kept) chosen = (ocl_choice){0};
    if (!kept && mode >= P2P_TUNE_MEASURE) {
        P2P_TRY(measure(device, op, clock, &chosen));
        choice->measured = chosen.seconds > 0;
    }
    P2P_TRY(test_chosen(device, op, &chosen));
    P2P_TRY(remember(device, op, &chosen));
    ocl_conv_algorithm_print(&chosen.algorithm, choice->name);
    choice->seconds = chosen.seconds;
    choice->default_seconds = chosen.default_seconds;
    return P2P_OK;
}

p2p_status ocl_op_impose(p2p_be_device *device, const p2p_op *op, const char *name) {
    ocl_choice chosen = {0};
    ocl_plan plan;
    P2P_TRY(ocl_check_alive(device));
    if (!ocl_conv_algorithm_parse(name, &chosen.algorithm))
        return ocl_refuse(&device->target, op, "'%s' is not an algorithm for this convolution here", name);
    if (device->target.variant && name[0])
        return ocl_refuse(&device->target, op, "P2P_OPENCL_VARIANT leaves no choice");
    if (name[0]) P2P_TRY(ocl_selftest_plan_algorithm(device, &chosen.algorithm, op, &plan));
    P2P_TRY(test_chosen(device, op, &chosen));
    if (name[0] && chosen.algorithm.family == OCL_CONV_AUTO)
        return ocl_refuse(&device->target, op, "'%s' fails its test here", name);
    return remember(device, op, &chosen);
}

p2p_status ocl_op_list(p2p_be_device *device, const p2p_op *op, char (*names)[P2P_CHOICE_NAME], int *count) {
    ocl_conv_algorithms algorithms = {0};
    /* With P2P_OPENCL_VARIANT nothing can be imposed. */
    if (!device->target.variant) P2P_TRY(ocl_conv_list_all_algorithms(&device->target, op, &algorithms));
    for (int i = 0; i < algorithms.count; i++) ocl_conv_algorithm_print(&algorithms.algorithm[i], names[i]);
    *count = algorithms.count;
    return P2P_OK;
}
