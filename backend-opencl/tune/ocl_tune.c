/* Choice by measurement.
 *
 * Every candidate first computes the shape on operands of the tuner's own, and its result is checked
 * (ocl_checker.c); only correct candidates are timed. They are timed in turns, so that a slowdown of the
 * machine affects all of them, and each is represented by its least time. A candidate that is much slower
 * than the best in the first turn is not timed again. Nothing here changes what a candidate computes.
 */
#include "ocl_tune.h"

#include "ocl_checker.h"
#include "ocl_selftest.h"

#include "conv/ocl_conv.h"
#include "device/ocl_buffer.h"
#include "plan/ocl_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS = 5, COMPARED_TURNS = 8, LEAST_WINS = 6, MOST_RUNS = 64 };

static const double budget_seconds = 0.2; /* of all turns, for one shape */
static const double turn_seconds = 0.002; /* least per turn of a candidate, if its runs are short */
static const double far_off = 1.5; /* a candidate slower than so many times the best is not timed again */
static const double margin = 0.97; /* another way must be faster than this share of the default's time */

typedef struct {
    p2p_be_device *device;
    ocl_conv_way way;
    p2p_be_op *op;
    double seconds; /* of one run, the least so far; 0: none */
    bool out;       /* refused or wrong */
} candidate;

typedef struct {
    ocl_checker check;
    p2p_be_buffer *scratch;
    candidate *list; /* the first is the default */
    int count;
    double spent; /* seconds of timing */
} candidates;

static const char *name_of(const ocl_conv_way *way, char name[P2P_CHOICE_NAME]) {
    ocl_conv_way_print(way, name);
    return name[0] ? name : "the heuristic's choice";
}

/* ---- Candidates ------------------------------------------------------------------------------------ */

/* Lists the ways. Families without a verdict are self-tested first. */
static p2p_status list_tested(p2p_be_device *device, const p2p_op *op, ocl_conv_ways *ways) {
    for (;;) {
        P2P_TRY(ocl_conv_list_ways(&device->target, op, ways));
        if (ways->untested == OCL_CONV_AUTO) return P2P_OK;
        P2P_TRY(ocl_selftest_family(device, ways->untested, op->t[0].type));
    }
}

static p2p_status list_candidates(candidates *c, p2p_be_device *device, const p2p_op *op) {
    ocl_conv_ways ways;
    P2P_TRY(list_tested(device, op, &ways));
    c->list = calloc((size_t)ways.count, sizeof *c->list);
    if (!c->list) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory to tune a convolution");
    c->count = ways.count;
    for (int i = 0; i < c->count; i++) {
        c->list[i].device = device;
        c->list[i].way = ways.way[i];
    }
    return P2P_OK;
}

/* An ocl_plan_maker for a candidate. */
static p2p_status plan_candidate(void *context, const p2p_op *op, ocl_plan *plan) {
    const candidate *one = context;
    return ocl_selftest_plan_way(one->device, &one->way, op, plan);
}

/* Creates one scratch buffer that is large enough for every candidate. */
static p2p_status allocate_scratch(candidates *c) {
    p2p_be_device *device = c->check.device;
    size_t most = 0;
    for (int i = 0; i < c->count; i++) {
        ocl_plan plan;
        P2P_TRY(plan_candidate(&c->list[i], c->check.op, &plan));
        if (plan.answer.scratch_bytes > most) most = plan.answer.scratch_bytes;
    }
    return most ? ocl_buffer_create(device, most, &c->scratch) : P2P_OK;
}

static void release(candidates *c) {
    for (int i = 0; i < c->count; i++)
        if (c->list && c->list[i].op) ocl_op_destroy(c->check.device, c->list[i].op);
    if (c->scratch) ocl_buffer_destroy(c->check.device, c->scratch);
    ocl_checker_close(&c->check);
    free(c->list);
}

/* ---- Checks ---------------------------------------------------------------------------------------- */

/* Excludes a way that cannot be compiled or run, or computes wrong results. Errors of the device as a whole
 * are returned. */
static p2p_status check(candidates *c, candidate *one) {
    const p2p_device_info *info = &c->check.device->info;
    char name[P2P_CHOICE_NAME], descriptor[P2P_OP_TEXT], why[OCL_CHECK_WHY] = "it can't be compiled or run";
    bool right = false;
    name_of(&one->way, name);
    const p2p_status status =
        ocl_checker_try(&c->check, plan_candidate, one, c->scratch, &one->op, &right, why);
    if (status == P2P_OUT_OF_MEMORY || status == P2P_DEVICE_LOST) return status;
    if (status == P2P_OK && right && ocl_environment_fails(&c->check.device->environment, name)) {
        right = false;
        snprintf(why, sizeof why, "P2P_OPENCL_FAIL lists it");
    }
    one->out = status != P2P_OK || !right;
    if (!one->out || status == P2P_UNSUPPORTED) return P2P_OK;
    ocl_host->op_print(c->check.op, descriptor, sizeof descriptor);
    ocl_host->warn("%s, %s: %s is not used for %s: %s", info->name, info->driver, name_of(&one->way, name),
                   descriptor, why);
    return P2P_OK;
}

/* ---- Timing ---------------------------------------------------------------------------------------- */

static double least(const candidates *c) {
    double seconds = 0;
    for (int i = 0; i < c->count; i++) {
        const candidate *one = &c->list[i];
        if (!one->out && one->seconds > 0 && (seconds == 0 || one->seconds < seconds)) seconds = one->seconds;
    }
    return seconds;
}

/* One turn: measures the seconds of one run, and updates the candidate's least time. */
static p2p_status time_one(candidates *c, const ocl_timer *timer, candidate *one, double *seconds) {
    int runs = 1;
    if (one->seconds > 0) runs = (int)fmin(ceil(turn_seconds / one->seconds), MOST_RUNS);
    *seconds = 0;
    P2P_TRY(timer->time(timer->context, c->check.device, &one->way, one->op, runs, seconds));
    c->spent += *seconds;
    *seconds /= runs;
    if (*seconds > 0 && (one->seconds == 0 || *seconds < one->seconds)) one->seconds = *seconds;
    return P2P_OK;
}

static p2p_status time_all(candidates *c, const ocl_timer *timer) {
    double seconds;
    for (int turn = 0; turn < TURNS && (turn < 2 || c->spent < budget_seconds); turn++)
        for (int i = 0; i < c->count; i++) {
            candidate *one = &c->list[i];
            if (one->out || (turn > 0 && one->seconds > far_off * least(c))) continue;
            P2P_TRY(time_one(c, timer, one, &seconds));
        }
    return P2P_OK;
}

static candidate *find_best(candidates *c) {
    candidate *best = NULL;
    for (int i = 0; i < c->count; i++) {
        candidate *one = &c->list[i];
        if (!one->out && one->seconds > 0 && (!best || one->seconds < best->seconds)) best = one;
    }
    return best;
}

/* Times the best candidate against the default alone. It must have the least time by the margin, and be
 * faster in most turns, because a busy machine produces single lucky times. */
static p2p_status compare_with_default(candidates *c, const ocl_timer *timer, const candidate **winner) {
    candidate *by_default = &c->list[0], *best = find_best(c);
    int wins = 0;
    *winner = best;
    if (!best || best == by_default || by_default->out) return P2P_OK;
    *winner = by_default;
    for (int turn = 0; turn < COMPARED_TURNS && best->seconds < margin * by_default->seconds; turn++) {
        double one, other;
        P2P_TRY(time_one(c, timer, by_default, &one));
        P2P_TRY(time_one(c, timer, best, &other));
        wins += other < one;
    }
    if (best->seconds < margin * by_default->seconds && wins >= LEAST_WINS) *winner = best;
    return P2P_OK;
}

static p2p_status choose_fastest(candidates *c, const ocl_timer *timer, ocl_choice *choice) {
    int right = 0;
    P2P_TRY(allocate_scratch(c));
    for (int i = 0; i < c->count; i++) {
        P2P_TRY(check(c, &c->list[i]));
        right += !c->list[i].out;
    }
    if (right == 0)
        return ocl_refuse(&c->check.device->target, c->check.op, "no algorithm computes it correctly");
    const candidate *winner = NULL, *by_default = &c->list[0];
    P2P_TRY(time_all(c, timer));
    P2P_TRY(compare_with_default(c, timer, &winner));
    if (winner)
        *choice = (ocl_choice){winner->way, winner->seconds,
                               by_default->seconds > 0 ? by_default->seconds : winner->seconds};
    return P2P_OK;
}

p2p_status ocl_tune(p2p_be_device *device, const p2p_op *op, const ocl_timer *timer, ocl_choice *choice) {
    candidates c = {.check = {.device = device, .op = op}};
    *choice = (ocl_choice){0};
    p2p_status status = list_candidates(&c, device, op);
    if (status == P2P_OK && c.count > 1) {
        status = ocl_checker_open(&c.check, device, op);
        if (status == P2P_OK) status = choose_fastest(&c, timer, choice);
    }
    release(&c);
    return status;
}
