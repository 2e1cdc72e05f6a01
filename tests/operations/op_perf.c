/* Timing of one descriptor. Has no verdict. */
#include "op_suite.h"
#include "support/test_clock.h"

#include <stdlib.h>

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Measures `runs` runs, all submitted before the wait. */
static p2p_status time_runs(op_execution *execution, int runs, double *seconds) {
    double start = test_clock();
    for (int i = 0; i < runs; i++) P2P_TRY(p2p_operation_run(execution->operation));
    P2P_TRY(p2p_device_finish(execution->bench->device));
    *seconds = test_clock() - start;
    return P2P_OK;
}

/* Measures a run: the median of nine batches, each long enough for the clock. */
static p2p_status measure(op_execution *execution, const op_contents *contents, double *seconds) {
    enum { BATCHES = 9 };
    double times[BATCHES], once = 0;
    P2P_TRY(op_execution_run(execution, contents));
    P2P_TRY(time_runs(execution, 1, &once));
    int runs = once < 1e-4 ? 100 : once < 1e-2 ? (int)(1e-2 / once) : 1;
    for (int i = 0; i < BATCHES; i++) {
        P2P_TRY(time_runs(execution, runs, &times[i]));
        times[i] /= runs;
    }
    qsort(times, BATCHES, sizeof times[0], compare);
    *seconds = times[BATCHES / 2];
    return P2P_OK;
}

p2p_status op_perf(op_bench *bench, const p2p_op *op, uint64_t seed) {
    op_execution execution;
    op_contents contents;
    double seconds = 0;
    char text[P2P_OP_TEXT];
    P2P_TRY(op_contents_create(op, OP_REAL, seed, &contents));
    p2p_status status = op_execution_create(bench, op, &execution);
    if (status == P2P_OK) {
        status = measure(&execution, &contents, &seconds);
        p2p_op_print(op, text, sizeof text);
        if (status == P2P_OK) {
            printf("%10.3f ms %9.2f GFLOP/s %8.2f GB/s  %-24s %s\n", seconds * 1e3,
                   p2p_op_flops(op) / seconds * 1e-9, p2p_op_bytes(op) / seconds * 1e-9,
                   execution.query.kernel, text);
            fflush(stdout);
        }
        op_execution_destroy(&execution);
    }
    op_contents_destroy(&contents);
    return status;
}
