/* The operations of a plan, each timed alone: their times, groups of equal operations, and a timeline.
 *
 * Nothing is printed here; tables and JSON are in bench_report.c.
 */
#ifndef P2P_BENCH_PROFILE_H
#define P2P_BENCH_PROFILE_H

#include "p2p.h"

typedef struct {
    const p2p_op *op;
    const char *kernel;
    double begin, end; /* clock readings of the last repetition */
    double *seconds;   /* per repetition */
} bench_operation;

/* Operations in the plan's order. The session owns `op` and `kernel`, the profile everything else. Start with
 * {.repeats = ...}, and release it with bench_profile_free(). */
typedef struct {
    bench_operation *operations;
    int count, capacity, repeats, done;
} bench_profile;

/* Run the plan once and add one repetition; call it at most `repeats` times. The caller fills the inputs
 * before each call. The learning rate is 0, so that the parameters keep their values. */
p2p_status bench_profile_pass(p2p_plan *plan, uint32_t step, bench_profile *profile);
void bench_profile_free(bench_profile *profile);

/* Floating point operations of all convolutions in one step, counted as direct convolution. */
double bench_profile_convolution_flops(const bench_profile *profile);
/* How the convolutions round their factors. */
p2p_math bench_profile_math(const bench_profile *profile);

/* All operations with equal descriptors and equal kernels. */
typedef struct {
    const p2p_op *op;
    const char *kernel;
    int count;
    double seconds;      /* of all of them: the sum of their medians */
    double flops, bytes; /* of all of them */
} bench_group;

/* Groups in order of decreasing time. The caller frees *groups with free(). */
p2p_status bench_profile_group(const bench_profile *profile, bench_group **groups, int *count);

/* Write the last repetition as a timeline in the trace event format of chrome://tracing and Perfetto. */
p2p_status bench_profile_trace(const bench_profile *profile, const char *device, const char *path);

/* "conv_fwd 1x64x128x128 128x64x4x4 1x128x64x64": the kind and the extents of its main operands. */
void bench_operation_name(const p2p_op *op, char *text, size_t size);

#endif
