/* The algorithms of a convolution as candidates of the shared tuner (p2p_tune.h). See ocl_tune.h. */
#include "ocl_tune.h"

#include "ocl_selftest.h"

#include "conv/ocl_conv.h"
#include "device/ocl_op.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    p2p_be_device *device;
    const ocl_timer *timer;
} tuner;

/* An ocl_plan_maker for a candidate. */
typedef struct {
    p2p_be_device *device;
    ocl_conv_algorithm algorithm;
} candidate;

static candidate candidate_of(const tuner *t, const char *name) {
    candidate one = {.device = t->device};
    ocl_conv_algorithm_parse(name, &one.algorithm); /* as printed by list_names */
    return one;
}

static p2p_status plan_candidate(void *context, const p2p_op *op, ocl_plan *plan) {
    const candidate *one = context;
    return ocl_selftest_plan_algorithm(one->device, &one->algorithm, op, plan);
}

static p2p_status find_scratch(void *context, const p2p_op *op, const char *name, size_t *bytes) {
    candidate one = candidate_of(context, name);
    ocl_plan plan;
    P2P_TRY(plan_candidate(&one, op, &plan));
    *bytes = plan.answer.scratch_bytes;
    return P2P_OK;
}

static p2p_status create(void *context, const p2p_op *op, const char *name, const p2p_binding *bindings,
                         p2p_binding scratch, p2p_be_op **created) {
    candidate one = candidate_of(context, name);
    return ocl_op_create_by(one.device, plan_candidate, &one, op, bindings, scratch, created);
}

static const char *find_fault(void *context, const char *name) {
    const tuner *t = context;
    const char *listed = name[0] ? name : "the heuristic's choice";
    return ocl_environment_fails(&t->device->environment, listed) ? "P2P_OPENCL_FAIL lists it" : NULL;
}

static p2p_status time_candidate(void *context, const char *name, p2p_be_op *op, int runs, double *seconds) {
    const tuner *t = context;
    const candidate one = candidate_of(t, name);
    return t->timer->time(t->timer->context, t->device, &one.algorithm, op, runs, seconds);
}

/* Lists the algorithms. Families without a verdict are self-tested first. */
static p2p_status list_tested(p2p_be_device *device, const p2p_op *op, ocl_conv_algorithms *algorithms) {
    for (;;) {
        P2P_TRY(ocl_conv_list_algorithms(&device->target, op, algorithms));
        if (algorithms->untested == OCL_CONV_AUTO) return P2P_OK;
        P2P_TRY(ocl_selftest_family(device, algorithms->untested, op->t[0].type));
    }
}

p2p_status ocl_tune(p2p_be_device *device, const p2p_op *op, const ocl_timer *timer, ocl_choice *choice) {
    tuner t = {device, timer};
    const p2p_tune_maker maker = {&t, find_scratch, create, find_fault, time_candidate};
    const p2p_tune_device tuned = ocl_tune_device(device);
    ocl_conv_algorithms algorithms;
    p2p_choice fastest;
    *choice = (ocl_choice){0};
    P2P_TRY(list_tested(device, op, &algorithms));
    char(*names)[P2P_CHOICE_NAME] = calloc((size_t)algorithms.count + 1, sizeof *names);
    if (!names) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory to tune a convolution");
    for (int i = 0; i < algorithms.count; i++) ocl_conv_algorithm_print(&algorithms.algorithm[i], names[i]);
    const p2p_status status = p2p_tune_fastest(&tuned, op, names, algorithms.count, &maker, &fastest);
    free(names);
    P2P_TRY(status);
    *choice = (ocl_choice){.seconds = fastest.seconds, .default_seconds = fastest.default_seconds};
    ocl_conv_algorithm_parse(fastest.name, &choice->algorithm);
    return P2P_OK;
}
