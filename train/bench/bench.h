/* What `p2p bench` measures: whole steps, the operations of a step, transfers, and the device's ceilings.
 *
 * A bench is a session with one plan, the training step or the generator alone, fed with noise from memory:
 * no files, no decoding. Everything here measures and returns numbers; how they are shown is in
 * bench_report.c. Nothing is asserted about them.
 */
#ifndef P2P_BENCH_H
#define P2P_BENCH_H

#include "options/options.h"
#include "p2p.h"
#include "pix2pix.h"

#include <stdint.h>

typedef struct {
    const settings *all;
    bool training;  /* the training step; else the generator alone */
    double started; /* clock reading of bench_open */
    p2p_device *device;
    pix2pix *model;
    p2p_graph *graph;
    p2p_session *session;
    p2p_plan *plan;
    uint8_t *pixels;  /* noise: a batch of inputs, one of targets */
    float *generated; /* translation: the result, as the host gets it */
    uint32_t step;    /* runs so far */
} bench;

/* Open the device, plan and allocate. Call bench_close() in any case. */
p2p_status bench_open(bench *b, const settings *all, bool training);
void bench_close(bench *b);

/* A repeated measurement, sorted by bench_summary: the median, least and greatest of what was measured. */
typedef struct {
    double median, least, greatest;
} bench_range;

/* Sorts `values`; count > 0. */
bench_range bench_summary(double *values, int count);

typedef struct {
    double first_step_s; /* from bench_open to the first result on the host */
    bench_range step_s;
    int steps;
    p2p_session_memory memory;
    size_t host_peak_bytes; /* of the process, up to now */
} bench_speed;

/* Training steps as a training makes them, two in flight, so that each time is the mean of two successive
 * steps; generator runs one by one, results read. Two warm up. A loss that is no finite number is P2P_FAILED:
 * such a step's time means nothing. */
p2p_status bench_measure_speed(bench *b, int steps, bench_speed *speed);

/* ---- Operations --------------------------------------------------------------------------------------- */

typedef struct {
    const p2p_op *op;
    const char *kernel;
    double begin, end; /* clock readings of the last repetition */
    double *seconds;   /* per repetition */
} bench_operation;

/* In the plan's order. `op` and `kernel` belong to the session, the rest to the profile. */
typedef struct {
    bench_operation *operations;
    int count, capacity, repeats, done;
} bench_profile;

/* One more repetition, the profile's `repeats` at most: a run in which each operation is timed alone. The
 * inputs are the caller's to fill before. The learning rate is 0, so parameters stay. */
p2p_status bench_profile_pass(p2p_plan *plan, uint32_t step, bench_profile *profile);
/* All repetitions of a profile of the bench's plan, on noise. Call bench_profile_free() in any case. */
p2p_status bench_profile_take(bench *b, int repeats, bench_profile *profile);
void bench_profile_free(bench_profile *profile);

/* Work of one step: floating point operations of the convolutions, counted as direct. */
double bench_profile_convolution_flops(const bench_profile *profile);
bool bench_is_convolution(const p2p_op *op);
/* Whether any operation multiplies in bf16. */
bool bench_profile_uses_bf16(const bench_profile *profile);

/* Equal operations with equal kernels, taken together. */
typedef struct {
    const p2p_op *op;
    const char *kernel;
    int count;
    double seconds;      /* of all of them: the sum of each one's median */
    double flops, bytes; /* of all of them */
} bench_group;

/* Largest share of time first. *groups is the caller's to free(). */
p2p_status bench_profile_group(const bench_profile *profile, bench_group **groups, int *count);

/* The last repetition as a timeline in the trace event format, which chrome://tracing and Perfetto read. */
p2p_status bench_profile_trace(const bench_profile *profile, const char *device, const char *path);

/* Work per second; 0 where the clock saw no time pass. */
double bench_rate(double work, double seconds);

/* "conv_fwd 1x64x128x128 128x64x4x4 1x128x64x64": the kind and the extents of its main operands. */
void bench_operation_name(const p2p_op *op, char *text, size_t size);

/* ---- Ceilings and transfers --------------------------------------------------------------------------- */

/* What the device can do, as far as this program can show it. flops_per_s: of a kernel that only multiplies
 * and adds; where the device has none, the best of a fixed set of convolutions. bytes_per_s: the best rate at
 * which a copy within the device, or an operation of a layer with 16 million parameters (fewer where that
 * takes too long), moved memory. */
typedef struct {
    bool by_convolution; /* the device has no kernel of its peak */
    bool bf16;           /* flops_per_s is that of factors in bf16; sums are always float32 */
    double flops_per_s, fp32_flops_per_s, bytes_per_s;
} bench_peaks;

/* With `bf16` both peaks; without, or where the device has no kernel for bf16, two names of one. */
p2p_status bench_measure_peaks(p2p_device *device, bool bf16, bench_peaks *peaks);

enum { BENCH_TRANSFER_BYTES = 64 << 20 };

typedef struct {
    bench_range write_s, read_s, copy_s, kernel_s; /* of BENCH_TRANSFER_BYTES; kernel: a copy by one */
    int count;
} bench_transfers;

p2p_status bench_measure_transfers(p2p_device *device, int count, bench_transfers *transfers);

#endif
