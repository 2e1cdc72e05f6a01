/* Choice by measurement. See p2p_tune.h.
 *
 * Every candidate first computes the shape on operands of the tuner's own, and its result is checked
 * (tune_check.c); only correct candidates are timed. They are timed in turns, so that a slowdown of the
 * machine affects all of them, and each is represented by its least time. A candidate that is much slower
 * than the best in the first turn is not timed again. Nothing here changes what a candidate computes.
 */
#include "p2p_tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS = 5, COMPARED_TURNS = 8, LEAST_WINS = 6, MOST_RUNS = 64 };

static const double budget_seconds = 0.2; /* of all turns, for one shape */
static const double turn_seconds = 0.002; /* least per turn of a candidate, if its runs are short */
static const double far_off = 1.5; /* a candidate slower than so many times the best is not timed again */
static const double margin = 0.97; /* another one must be faster than this share of the default's time */

typedef struct {
    const char *name;
    p2p_be_op *op;
    double seconds; /* of one run, the least so far; 0: none */
    bool out;       /* refused or wrong */
} candidate;

typedef struct {
    p2p_tune_check check;
    const p2p_tune_maker *maker;
    p2p_be_buffer *scratch;
    candidate *list; /* the first is the default */
    int count;
    double spent; /* seconds of timing */
} candidates;

static p2p_status list_candidates(candidates *c, const p2p_tune_device *device,
                                  char (*names)[P2P_CHOICE_NAME], int count) {
    c->list = calloc((size_t)count, sizeof *c->list);
    if (!c->list) return device->host->fail(P2P_OUT_OF_MEMORY, "no host memory to tune a convolution");
    c->count = count;
    for (int i = 0; i < count; i++) c->list[i].name = names[i];
    return P2P_OK;
}

/* Creates one scratch buffer that is large enough for every candidate. */
static p2p_status allocate_scratch(candidates *c) {
    const p2p_tune_device *device = &c->check.device;
    size_t most = 0;
    for (int i = 0; i < c->count; i++) {
        size_t bytes;
        P2P_TRY(c->maker->scratch(c->maker->context, c->check.op, c->list[i].name, &bytes));
        if (bytes > most) most = bytes;
    }
    return most ? device->table->buffer_create(device->device, most, &c->scratch) : P2P_OK;
}

static void release(candidates *c) {
    const p2p_tune_device *device = &c->check.device;
    for (int i = 0; i < c->count; i++)
        if (c->list && c->list[i].op) device->table->op_destroy(device->device, c->list[i].op);
    if (c->scratch) device->table->buffer_destroy(device->device, c->scratch);
    p2p_tune_check_close(&c->check);
    free(c->list);
}

/* ---- Checks ---------------------------------------------------------------------------------------- */

static p2p_status create_and_try(candidates *c, candidate *one, bool *right, char why[P2P_TUNE_WHY]) {
    p2p_binding bindings[P2P_MAX_OPERANDS];
    p2p_tune_check_bind(&c->check, bindings);
    P2P_TRY(c->maker->create(c->maker->context, c->check.op, one->name, bindings,
                             (p2p_binding){c->scratch, 0}, &one->op));
    return p2p_tune_check_try(&c->check, one->op, right, why);
}

static void warn(const candidates *c, const candidate *one, const char *why) {
    const p2p_tune_device *device = &c->check.device;
    char descriptor[P2P_OP_TEXT];
    device->host->op_print(c->check.op, descriptor, sizeof descriptor);
    device->host->warn("%s, %s: %s is not used for %s: %s", device->info->name, device->info->driver,
                       one->name[0] ? one->name : "the heuristic's choice", descriptor, why);
}

/* Excludes a candidate that cannot be compiled or run, or computes wrong results. Errors of the device as a
 * whole are returned. */
static p2p_status check(candidates *c, candidate *one) {
    const p2p_tune_maker *maker = c->maker;
    char why[P2P_TUNE_WHY] = "it can't be compiled or run";
    bool right = false;
    const p2p_status status = create_and_try(c, one, &right, why);
    if (status == P2P_OUT_OF_MEMORY || status == P2P_DEVICE_LOST) return status;
    const char *fault = maker->fault ? maker->fault(maker->context, one->name) : NULL;
    if (status == P2P_OK && right && fault) {
        right = false;
        snprintf(why, sizeof why, "%s", fault);
    }
    one->out = status != P2P_OK || !right;
    if (one->out && status != P2P_UNSUPPORTED) warn(c, one, why);
    return P2P_OK;
}

/* ---- Timing ---------------------------------------------------------------------------------------- */

/* By the device's clock. A run before the measurement keeps the device busy while the host enqueues the
 * others. */
static p2p_status time_on_device(const p2p_tune_device *device, p2p_be_op *op, int runs, double *seconds) {
    P2P_TRY(device->table->op_run(device->device, op));
    P2P_TRY(device->table->time_begin(device->device));
    for (int i = 0; i < runs; i++) P2P_TRY(device->table->op_run(device->device, op));
    return device->table->time_end(device->device, seconds);
}

p2p_status p2p_tune_time(const p2p_tune_device *device, double (*clock)(void), p2p_be_op *op, int runs,
                         double *seconds) {
    p2p_ticket ticket;
    if (device->table->time_begin) return time_on_device(device, op, runs, seconds);
    const double begin = clock();
    for (int i = 0; i < runs; i++) P2P_TRY(device->table->op_run(device->device, op));
    P2P_TRY(device->table->submit(device->device, &ticket));
    P2P_TRY(device->table->wait(device->device, ticket));
    *seconds = clock() - begin;
    return P2P_OK;
}

static double least(const candidates *c) {
    double seconds = 0;
    for (int i = 0; i < c->count; i++) {
        const candidate *one = &c->list[i];
        if (!one->out && one->seconds > 0 && (seconds == 0 || one->seconds < seconds)) seconds = one->seconds;
    }
    return seconds;
}

/* One turn: measures the seconds of one run, and updates the candidate's least time. */
static p2p_status time_one(candidates *c, candidate *one, double *seconds) {
    int runs = 1;
    if (one->seconds > 0) runs = (int)fmin(ceil(turn_seconds / one->seconds), MOST_RUNS);
    *seconds = 0;
    P2P_TRY(c->maker->time(c->maker->context, one->name, one->op, runs, seconds));
    c->spent += *seconds;
    *seconds /= runs;
    if (*seconds > 0 && (one->seconds == 0 || *seconds < one->seconds)) one->seconds = *seconds;
    return P2P_OK;
}

static p2p_status time_all(candidates *c) {
    double seconds;
    for (int turn = 0; turn < TURNS && (turn < 2 || c->spent < budget_seconds); turn++)
        for (int i = 0; i < c->count; i++) {
            candidate *one = &c->list[i];
            if (one->out || (turn > 0 && one->seconds > far_off * least(c))) continue;
            P2P_TRY(time_one(c, one, &seconds));
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
static p2p_status compare_with_default(candidates *c, const candidate **winner) {
    candidate *by_default = &c->list[0], *best = find_best(c);
    int wins = 0;
    *winner = best;
    if (!best || best == by_default || by_default->out) return P2P_OK;
    *winner = by_default;
    for (int turn = 0; turn < COMPARED_TURNS && best->seconds < margin * by_default->seconds; turn++) {
        double one, other;
        P2P_TRY(time_one(c, by_default, &one));
        P2P_TRY(time_one(c, best, &other));
        wins += other < one;
    }
    if (best->seconds < margin * by_default->seconds && wins >= LEAST_WINS) *winner = best;
    return P2P_OK;
}

static p2p_status choose_fastest(candidates *c, p2p_choice *choice) {
    int right = 0;
    P2P_TRY(allocate_scratch(c));
    for (int i = 0; i < c->count; i++) {
        P2P_TRY(check(c, &c->list[i]));
        right += !c->list[i].out;
    }
    if (right == 0)
        return c->check.device.host->fail(P2P_UNSUPPORTED, "%s: no algorithm computes it correctly",
                                          p2p_kind_name(c->check.op->kind));
    const candidate *winner = NULL, *by_default = &c->list[0];
    P2P_TRY(time_all(c));
    P2P_TRY(compare_with_default(c, &winner));
    if (!winner) return P2P_OK;
    memcpy(choice->name, winner->name, strlen(winner->name) + 1);
    choice->seconds = winner->seconds;
    choice->default_seconds = by_default->seconds > 0 ? by_default->seconds : winner->seconds;
    return P2P_OK;
}

p2p_status p2p_tune_fastest(const p2p_tune_device *device, const p2p_op *op, char (*names)[P2P_CHOICE_NAME],
                            int count, const p2p_tune_maker *maker, p2p_choice *choice) {
    candidates c = {.check = {.device = *device, .op = op}, .maker = maker};
    *choice = (p2p_choice){0};
    if (count <= 1) return P2P_OK;
    p2p_status status = list_candidates(&c, device, names, count);
    if (status == P2P_OK) status = p2p_tune_check_open(&c.check, device, op);
    if (status == P2P_OK) status = choose_fastest(&c, choice);
    release(&c);
    return status;
}
