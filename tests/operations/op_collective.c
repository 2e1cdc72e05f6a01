/* Collectives on the device under test: its op_query refuses them, and a communicator over three such devices
 * computes what three reference devices compute in double precision.
 */
#include "check/op_budget.h"
#include "check/op_contents.h"
#include "op_suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPLICAS = 3 };

/* Three devices, each with a copy of the tensor, and their communicator. */
typedef struct {
    p2p_device *devices[REPLICAS];
    p2p_place places[REPLICAS];
    p2p_comm *comm;
} team;

static void team_close(team *all) {
    p2p_comm_close(all->comm);
    for (int i = 0; i < REPLICAS; i++) {
        p2p_buffer_destroy(all->places[i].buffer);
        p2p_device_close(all->devices[i]);
    }
    memset(all, 0, sizeof *all);
}

static p2p_status team_open(const char *address, size_t bytes, team *all) {
    memset(all, 0, sizeof *all);
    for (int i = 0; i < REPLICAS; i++) {
        P2P_TRY(p2p_device_open(address, &all->devices[i]));
        size_t offset = p2p_device_describe(all->devices[i])->alignment;
        P2P_TRY(p2p_buffer_create(all->devices[i], offset + bytes, &all->places[i].buffer));
        all->places[i].offset = offset;
    }
    return p2p_comm_open(all->devices, REPLICAS, REPLICAS, 0, NULL, &all->comm);
}

/* Runs the collective. Replica i starts with values[i] and ends with results[i]. */
static p2p_status team_run(team *all, const p2p_op *op, double *const values[REPLICAS],
                           double *const results[REPLICAS], void *raw) {
    size_t bytes = p2p_tensor_bytes(&op->t[0]);
    p2p_ticket tickets[REPLICAS];
    for (int i = 0; i < REPLICAS; i++) {
        memset(raw, 0, bytes);
        p2p_tensor_pack(&op->t[0], values[i], P2P_TYPE_f64, raw);
        P2P_TRY(p2p_buffer_write(all->devices[i], all->places[i], raw, bytes));
        P2P_TRY(p2p_device_submit(all->devices[i], &tickets[i]));
        P2P_TRY(p2p_device_wait(all->devices[i], tickets[i]));
    }
    p2p_ticket done[REPLICAS];
    P2P_TRY(p2p_comm_run(all->comm, op, all->places, tickets, done));
    for (int i = 0; i < REPLICAS; i++) {
        P2P_TRY(p2p_device_order(all->devices[i], done[i]));
        P2P_TRY(p2p_buffer_read(all->devices[i], all->places[i], raw, bytes));
        P2P_TRY(p2p_device_finish(all->devices[i]));
        p2p_tensor_unpack(&op->t[0], raw, results[i], P2P_TYPE_f64);
    }
    return P2P_OK;
}

static p2p_status run_on(const char *address, const p2p_op *op, double *const values[REPLICAS],
                         double *const results[REPLICAS]) {
    void *raw = malloc(p2p_tensor_bytes(&op->t[0]));
    if (!raw) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a replica's tensor");
    team all;
    p2p_status status = team_open(address, p2p_tensor_bytes(&op->t[0]), &all);
    if (status == P2P_OK) status = team_run(&all, op, values, results, raw);
    team_close(&all);
    free(raw);
    return status;
}

/* ---- Comparison --------------------------------------------------------------------------------------- */

/* The sum over replicas of the magnitudes of element e. For the M2 of moments also the terms that deviations
 * between the replicas' means add. */
static double scale_of(const p2p_op *op, double *const values[REPLICAS], int64_t e) {
    double scale = 0;
    int64_t columns = op->t[0].w, row = e / columns % 3;
    for (int i = 0; i < REPLICAS; i++) {
        scale += fabs(values[i][e]);
        if (op->reduction != P2P_REDUCE_MOMENTS || row != 2) continue;
        for (int other = 0; other < REPLICAS; other++) {
            double distance = fabs(values[i][e - columns]) + fabs(values[other][e - columns]);
            scale += fabs(values[i][e - 2 * columns]) * distance * distance;
        }
    }
    return scale;
}

static p2p_status compare(const p2p_op *op, double *const values[REPLICAS], double *const truth[REPLICAS],
                          double *const results[REPLICAS], double *used) {
    double factor = p2p_budget_of(op->kind, op->t[0].type) * p2p_budget_eps(op->t[0].type) * sqrt(REPLICAS);
    for (int i = 0; i < REPLICAS; i++) {
        for (int64_t e = 0; e < p2p_tensor_elements(&op->t[0]); e++) {
            double error = fabs(results[i][e] - truth[i][e]), tolerance = factor * scale_of(op, values, e);
            if (!(error <= tolerance)) {
                return p2p_fail(P2P_FAILED, "replica %d has %.9g at element %lld, not %.9g within %.3g", i,
                                results[i][e], (long long)e, truth[i][e], tolerance);
            }
            if (results[i][e] != results[0][e]) {
                return p2p_fail(P2P_FAILED, "replicas 0 and %d differ at element %lld", i, (long long)e);
            }
            if (error > 0) *used = fmax(*used, error / tolerance);
        }
    }
    return P2P_OK;
}

/* Draws a replica's contents, rounded to the tensor's type. For moments, counts and M2 are not negative, and
 * one replica has a count of 0. */
static p2p_status draw(const p2p_op *op, uint64_t seed, int replica, double *values) {
    op_contents contents;
    P2P_TRY(op_contents_create(op, OP_REAL, seed + (uint64_t)replica, &contents));
    int64_t columns = op->t[0].w;
    for (int64_t e = 0; e < p2p_tensor_elements(&op->t[0]); e++) {
        values[e] = contents.values[0][e];
        if (op->reduction != P2P_REDUCE_MOMENTS) continue;
        if (e / columns % 3 == 0) values[e] = replica == 1 ? 0 : replica * 5 + 3;
        if (e / columns % 3 == 2) values[e] = replica == 1 ? 0 : fabs(values[e]);
    }
    op_contents_destroy(&contents);
    return P2P_OK;
}

static p2p_status check_refusal(op_suite *suite, const p2p_op *op) {
    p2p_query answer;
    p2p_status status = p2p_operation_query(suite->device.device, op, &answer);
    if (status == P2P_UNSUPPORTED) return P2P_OK;
    return p2p_fail(P2P_FAILED, "op_query of a collective gave %s, not UNSUPPORTED", p2p_status_name(status));
}

static p2p_status check_with(op_suite *suite, const char *address, const p2p_op *op, double *values[REPLICAS],
                             double *truth[REPLICAS], double *results[REPLICAS], double *used) {
    p2p_op plain = *op;
    plain.t[0] = p2p_tensor_activation(P2P_TYPE_f64, op->t[0].n, op->t[0].c, op->t[0].h, op->t[0].w);
    for (int i = 0; i < REPLICAS; i++) P2P_TRY(draw(op, suite->seed, i, values[i]));
    P2P_TRY(run_on("reference:0", &plain, values, truth));
    P2P_TRY(run_on(address, op, values, results));
    return compare(op, values, truth, results, used);
}

static p2p_status check(op_suite *suite, const char *address, const p2p_op *op, double *used) {
    P2P_TRY(check_refusal(suite, op));
    double *arrays[3][REPLICAS] = {{NULL}};
    bool complete = true;
    for (int i = 0; i < 3 * REPLICAS; i++) {
        double *array = malloc((size_t)p2p_tensor_elements(&op->t[0]) * sizeof(double));
        arrays[i / REPLICAS][i % REPLICAS] = array;
        complete = complete && array;
    }
    p2p_status status = complete ? check_with(suite, address, op, arrays[0], arrays[1], arrays[2], used)
                                 : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for replicas");
    for (int i = 0; i < 3 * REPLICAS; i++) free(arrays[i / REPLICAS][i % REPLICAS]);
    return status;
}

static void run(op_suite *suite, const char *address, p2p_op op) {
    if (suite->only_kind >= 0 && (int)op.kind != suite->only_kind) return;
    double used = 0;
    p2p_status status = check(suite, address, &op, &used);
    op_suite_count(suite, &op, status, used);
    status = op_invalid_check(suite->device.device, &op, &suite->tally[op.kind].refused);
    if (status != P2P_OK) op_suite_count(suite, &op, status, 0);
}

void op_suite_collectives(op_suite *suite, const char *address) {
    static const int64_t counts[] = {1, 17, 1000, 100003};
    p2p_type type = suite->storages.vector.type;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        p2p_op op = {.kind = P2P_KIND_all_reduce};
        op.t[0] = p2p_tensor_flat(type, counts[i]);
        run(suite, address, op);
        op.kind = P2P_KIND_broadcast;
        op.root = (int64_t)i % REPLICAS;
        run(suite, address, op);
    }
    p2p_op filter = {.kind = P2P_KIND_all_reduce};
    filter.t[0] = p2p_tensor_filter(suite->storages.filter.type, 17, 5, 4, 4);
    filter.t[0].layout = suite->storages.filter.layout;
    filter.t[0].block = suite->storages.filter.block;
    run(suite, address, filter);
    p2p_op moments = {.kind = P2P_KIND_all_reduce, .reduction = P2P_REDUCE_MOMENTS};
    moments.t[0] = p2p_tensor_stats(type, 2, 3, 33);
    run(suite, address, moments);
}
