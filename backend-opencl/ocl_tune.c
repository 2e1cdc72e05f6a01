/* Choosing by measurement.
 *
 * Every candidate first computes the very shape, on operands of the tuner's own, and is compared
 * (ocl_tune_check.c); only those that are right are timed. They are timed in turns, so that a machine that
 * slows down slows all of them, each by its least time; one that is far off after its first turn is left out
 * of the others. Nothing here changes what a candidate computes.
 */
#include "ocl_tune.h"

#include "ocl_selftest.h"
#include "ocl_tune_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS = 5, DUEL_TURNS = 8, DUEL_WINS = 6, MOST_RUNS = 64 };

static const double budget_seconds = 0.2; /* of the turns of all, for one shape, */
static const double turn_seconds =
    0.002;                         /* and of one turn of a candidate at least, where its runs are short */
static const double far_off = 1.5; /* times the best: not timed a second time */
static const double margin = 0.97; /* of arithmetic's time: what another way must beat */

typedef struct {
    ocl_conv_way way;
    p2p_be_op *op;
    double seconds; /* of one run, the least so far; 0: none */
    bool out;
} candidate;

typedef struct {
    ocl_check_operands operands;
    p2p_be_buffer *scratch;
    candidate *candidates; /* the first is arithmetic's */
    int count;
    double spent; /* seconds of timing */
} contest;

static const char *name_of(const ocl_conv_way *way, char name[P2P_CHOICE_NAME]) {
    ocl_conv_way_print(way, name);
    return name[0] ? name : "arithmetic's way";
}

/* ---- Candidates ---------------------------------------------------------------------------------------- */

static p2p_status list(contest *c, p2p_be_device *device, const p2p_op *op) {
    ocl_conv_way ways[OCL_MOST_WAYS];
    P2P_TRY(ocl_conv_list_ways(&device->target, op, ways, &c->count));
    c->candidates = calloc((size_t)c->count, sizeof *c->candidates);
    if (!c->candidates) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory to tune a convolution");
    for (int i = 0; i < c->count; i++) c->candidates[i].way = ways[i];
    return P2P_OK;
}

/* One buffer that is large enough for each of them. */
static p2p_status allocate_scratch(contest *c) {
    p2p_be_device *device = c->operands.device;
    size_t most = 0;
    for (int i = 0; i < c->count; i++) {
        ocl_plan plan;
        P2P_TRY(ocl_conv_plan_way(&device->target, &c->candidates[i].way, c->operands.op, &plan));
        if (plan.answer.scratch_bytes > most) most = plan.answer.scratch_bytes;
    }
    return most ? ocl_device_table.buffer_create(device, most, &c->scratch) : P2P_OK;
}

static void release(contest *c) {
    for (int i = 0; i < c->count; i++)
        if (c->candidates && c->candidates[i].op) ocl_op_destroy(c->operands.device, c->candidates[i].op);
    if (c->scratch) ocl_device_table.buffer_destroy(c->operands.device, c->scratch);
    ocl_check_close(&c->operands);
    free(c->candidates);
}

static p2p_status plan_usual(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const ocl_conv_way automatic = {0};
    return ocl_conv_plan_way(target, &automatic, op, plan);
}

static p2p_status create(contest *c, candidate *one) {
    p2p_be_device *device = c->operands.device;
    const p2p_binding scratch = {c->scratch, 0};
    p2p_binding bindings[P2P_MAX_OPERANDS] = {{0}};
    for (int role = 0; role < OCL_CHECK_ROLES; role++)
        bindings[c->operands.at[role]].buffer = c->operands.buffer[role];
    if (one->way.family == OCL_CONV_AUTO)
        return ocl_op_create_by(device, plan_usual, c->operands.op, bindings, scratch, &one->op);
    const ocl_conv_asked before = ocl_conv_ask(device, &one->way);
    const p2p_status status =
        ocl_op_create_by(device, ocl_conv_plan_asked, c->operands.op, bindings, scratch, &one->op);
    ocl_conv_ask_again(device, before);
    return status;
}

/* ---- Who is right -------------------------------------------------------------------------------------- */

static p2p_status finish(p2p_be_device *device) {
    p2p_ticket ticket = 0;
    P2P_TRY(ocl_device_table.submit(device, &ticket));
    return ocl_device_table.wait(device, ticket);
}

static p2p_status try_one(contest *c, candidate *one, bool *right, char why[OCL_CHECK_WHY]) {
    p2p_be_device *device = c->operands.device;
    P2P_TRY(ocl_check_prepare(&c->operands));
    P2P_TRY(create(c, one));
    P2P_TRY(ocl_op_run(device, one->op));
    P2P_TRY(finish(device));
    return ocl_check_result(&c->operands, right, why);
}

/* A way that can't be compiled or run, or computes wrong, is out; what concerns the device as a whole is an
 * error. */
static p2p_status check(contest *c, candidate *one) {
    const p2p_device_info *info = &c->operands.device->info;
    char name[P2P_CHOICE_NAME], descriptor[P2P_OP_TEXT], why[OCL_CHECK_WHY] = "it can't be compiled or run";
    bool right = false;
    name_of(&one->way, name);
    const p2p_status status = try_one(c, one, &right, why);
    if (status == P2P_OUT_OF_MEMORY || status == P2P_DEVICE_LOST) return status;
    if (status == P2P_OK && right && ocl_told_to_fail(name)) {
        right = false;
        snprintf(why, sizeof why, "P2P_OPENCL_FAIL says so");
    }
    one->out = status != P2P_OK || !right;
    if (!one->out || status == P2P_UNSUPPORTED) return P2P_OK;
    ocl_host->op_print(c->operands.op, descriptor, sizeof descriptor);
    ocl_host->warn("%s, %s: %s is not used for %s: %s", info->name, info->driver, name_of(&one->way, name),
                   descriptor, why);
    return P2P_OK;
}

/* ---- Who is fastest ------------------------------------------------------------------------------------ */

static double least(const contest *c) {
    double seconds = 0;
    for (int i = 0; i < c->count; i++) {
        const candidate *one = &c->candidates[i];
        if (!one->out && one->seconds > 0 && (seconds == 0 || one->seconds < seconds)) seconds = one->seconds;
    }
    return seconds;
}

/* One turn: the seconds of one run, which the candidate keeps if they are its least. */
static p2p_status time_one(contest *c, const ocl_timer *timer, candidate *one, double *seconds) {
    int runs = 1;
    if (one->seconds > 0) runs = (int)fmin(ceil(turn_seconds / one->seconds), MOST_RUNS);
    *seconds = 0;
    P2P_TRY(timer->time(timer->context, c->operands.device, &one->way, one->op, runs, seconds));
    c->spent += *seconds;
    *seconds /= runs;
    if (*seconds > 0 && (one->seconds == 0 || *seconds < one->seconds)) one->seconds = *seconds;
    return P2P_OK;
}

static p2p_status time_all(contest *c, const ocl_timer *timer) {
    double seconds;
    for (int turn = 0; turn < TURNS && (turn < 2 || c->spent < budget_seconds); turn++)
        for (int i = 0; i < c->count; i++) {
            candidate *one = &c->candidates[i];
            if (one->out || (turn > 0 && one->seconds > far_off * least(c))) continue;
            P2P_TRY(time_one(c, timer, one, &seconds));
        }
    return P2P_OK;
}

static candidate *find_best(contest *c) {
    candidate *best = NULL;
    for (int i = 0; i < c->count; i++) {
        candidate *one = &c->candidates[i];
        if (!one->out && one->seconds > 0 && (!best || one->seconds < best->seconds)) best = one;
    }
    return best;
}

/* The best of the turns of all against arithmetic's way alone: it must have the least time by the margin, and
 * win most of their turns, for a busy machine gives single lucky times. */
static p2p_status duel(contest *c, const ocl_timer *timer, const candidate **winner) {
    candidate *usual = &c->candidates[0], *best = find_best(c);
    int wins = 0;
    *winner = best;
    if (!best || best == usual || usual->out) return P2P_OK;
    *winner = usual;
    for (int turn = 0; turn < DUEL_TURNS && best->seconds < margin * usual->seconds; turn++) {
        double one, other;
        P2P_TRY(time_one(c, timer, usual, &one));
        P2P_TRY(time_one(c, timer, best, &other));
        wins += other < one;
    }
    if (best->seconds < margin * usual->seconds && wins >= DUEL_WINS) *winner = best;
    return P2P_OK;
}

static p2p_status hold(contest *c, const ocl_timer *timer, ocl_choice *choice) {
    int right = 0;
    P2P_TRY(allocate_scratch(c));
    for (int i = 0; i < c->count; i++) {
        P2P_TRY(check(c, &c->candidates[i]));
        right += !c->candidates[i].out;
    }
    if (right == 0)
        return ocl_refuse(&c->operands.device->target, c->operands.op, "no way of computing it is right");
    const candidate *winner = NULL, *usual = &c->candidates[0];
    P2P_TRY(time_all(c, timer));
    P2P_TRY(duel(c, timer, &winner));
    if (winner)
        *choice =
            (ocl_choice){winner->way, winner->seconds, usual->seconds > 0 ? usual->seconds : winner->seconds};
    return P2P_OK;
}

p2p_status ocl_tune(p2p_be_device *device, const p2p_op *op, const ocl_timer *timer, ocl_choice *choice) {
    contest c = {.operands = {.device = device, .op = op}};
    *choice = (ocl_choice){0};
    p2p_status status = list(&c, device, op);
    if (status == P2P_OK && c.count > 1) {
        status = ocl_check_open(&c.operands, device, op);
        if (status == P2P_OK) status = hold(&c, timer, choice);
    }
    release(&c);
    return status;
}

/* ---- The table's functions ----------------------------------------------------------------------------- */

static p2p_status time_by_clock(void *context, p2p_be_device *device, const ocl_conv_way *way, p2p_be_op *op,
                                int runs, double *seconds) {
    double (*const *clock)(void) = context;
    (void)way;
    const double begin = (*clock)();
    for (int i = 0; i < runs; i++) P2P_TRY(ocl_op_run(device, op));
    P2P_TRY(finish(device));
    *seconds = (*clock)() - begin;
    return P2P_OK;
}

/* Measured now, and kept; where that can't be done, what arithmetic says, and nothing is kept. */
static p2p_status measure(p2p_be_device *device, const p2p_op *op, double (*clock)(void),
                          ocl_choice *choice) {
    const ocl_timer timer = {time_by_clock, &clock};
    if (op->math == P2P_MATH_bf16) P2P_TRY(ocl_bf16_test(device));
    const p2p_status status = ocl_tune(device, op, &timer, choice);
    if (status == P2P_OK && choice->seconds > 0) ocl_choice_keep(device, op, choice);
    if (status != P2P_OUT_OF_MEMORY && status != P2P_UNSUPPORTED) return status;
    ocl_host->log("%s: not measured", device->info.name);
    *choice = (ocl_choice){0};
    return P2P_OK;
}

/* A way that fails its test on small odd shapes, which the measured one may not have shown, is none: the
 * family's own choice has passed it. */
static p2p_status test_chosen(p2p_be_device *device, const p2p_op *op, ocl_choice *chosen) {
    bool passes = true;
    if (chosen->way.variant[0]) P2P_TRY(ocl_selftest_way(device, &chosen->way, op->t[0].type, &passes));
    if (!passes) *chosen = (ocl_choice){0};
    return P2P_OK;
}

p2p_status ocl_op_choose(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                         p2p_choice *choice) {
    ocl_choice chosen = {0};
    P2P_TRY(ocl_check_alive(device));
    if (device->target.variant) return P2P_OK;
    const bool kept =
        (mode == P2P_TUNE_STORED || mode == P2P_TUNE_MEASURE) && ocl_choice_kept(device, op, &chosen);
    if (!kept) chosen = (ocl_choice){0};
    if (!kept && mode >= P2P_TUNE_MEASURE) {
        P2P_TRY(measure(device, op, clock, &chosen));
        choice->measured = chosen.seconds > 0;
    }
    P2P_TRY(test_chosen(device, op, &chosen));
    P2P_TRY(ocl_choice_remember(device, op, &chosen));
    ocl_conv_way_print(&chosen.way, choice->name);
    choice->seconds = chosen.seconds;
    choice->default_seconds = chosen.default_seconds;
    return P2P_OK;
}

p2p_status ocl_op_impose(p2p_be_device *device, const p2p_op *op, const char *name) {
    ocl_choice chosen = {0};
    ocl_plan plan;
    P2P_TRY(ocl_check_alive(device));
    if (!ocl_conv_way_parse(name, &chosen.way))
        return ocl_refuse(&device->target, op, "'%s' is no way of computing a convolution here", name);
    if (device->target.variant && name[0])
        return ocl_refuse(&device->target, op, "P2P_OPENCL_VARIANT leaves no choice");
    if (name[0]) P2P_TRY(ocl_conv_plan_way(&device->target, &chosen.way, op, &plan));
    P2P_TRY(test_chosen(device, op, &chosen));
    if (name[0] && chosen.way.family == OCL_CONV_AUTO)
        return ocl_refuse(&device->target, op, "'%s' fails its test here", name);
    return ocl_choice_remember(device, op, &chosen);
}
