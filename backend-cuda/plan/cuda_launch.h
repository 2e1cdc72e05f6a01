/* Plans: the steps that execute an operation on a CUDA device, as plain data.
 *
 * A planner (for example cuda_pointwise.c) fills a cuda_plan from a descriptor. It calls no function of CUDA,
 * so planning is cheap and can be tested without a device or a driver. device/cuda_op.c resolves the
 * arguments to addresses once, when the operation is created, and enqueues the steps. The structs own
 * nothing: strings are literals or arrays inside the struct.
 */
#ifndef CUDA_LAUNCH_H
#define CUDA_LAUNCH_H

#include "p2p_backend.h"

enum { CUDA_LAUNCH_ARGS = 48, CUDA_PLAN_STEPS = 6 };

/* One kernel argument, in the kernel's order. An operand is passed as a pointer to the first element of the
 * whole tensor (p2p_binding), the scratch memory and counters as pointers. Counters are unsigned; they belong
 * to the operation alone, and are 0 before its first run. */
typedef enum {
    CUDA_ARG_OPERAND,  /* value.operand: position in p2p_op.t[]; NULL is passed for -1 or an absent operand */
    CUDA_ARG_SCRATCH,  /* value.offset: bytes from the start of the operation's scratch memory */
    CUDA_ARG_COUNTERS, /* value.offset: bytes from the start of the operation's counters */
    CUDA_ARG_INT,      /* value.i: int */
    CUDA_ARG_LONG,     /* value.l: long long */
    CUDA_ARG_FLOAT     /* value.f: float */
} cuda_arg_kind;

typedef struct {
    cuda_arg_kind kind;
    union {
        int operand;
        uint64_t offset;
        int32_t i;
        int64_t l;
        float f;
    } value;
} cuda_arg;

/* One kernel over a grid of blocks. */
typedef struct {
    const char *source;    /* file name in kernels/ without ".cu": the module that has the kernel */
    const char *kernel;    /* its name, extern "C" */
    unsigned grid[3];      /* blocks */
    unsigned block[3];     /* threads; at most 1024 in all */
    unsigned shared_bytes; /* dynamic shared memory */
    int arg_count;
    cuda_arg arg[CUDA_LAUNCH_ARGS];
} cuda_launch;

/* A row-major matrix: an operand, or a part of the scratch memory. */
typedef struct {
    int operand;          /* position in p2p_op.t[]; -1: scratch memory */
    uint64_t offset;      /* bytes from the start of the operand or the scratch memory */
    int64_t row_distance; /* elements from one row to the next */
    p2p_type type;        /* f32 or bf16 */
} cuda_matrix;

/* y = alpha op(a) op(b) + beta y by cuBLAS: op(a) is m x k, op(b) is k x n; sums in float32. `math` is that
 * of the factors: P2P_MATH_stored multiplies f32 without tensor cores. */
typedef struct {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
    float alpha, beta;
    p2p_math math;
    cuda_matrix a, b, y;
} cuda_gemm;

/* A convolution by cuDNN, cut into `repeats` convolutions of `conv.t[..].n / repeats` images each (p2p_op.h,
 * conv_fwd, `images`). `conv` is the plain convolution of one repetition: whole tensors, no bias or
 * activation. Its accumulate bit means that the output is added to. */
typedef struct {
    p2p_op conv;
    char algorithm[P2P_CHOICE_NAME]; /* the name that cuda_conv_library.plan gave */
    int repeats;
    int operand[3];       /* of x or dy, w or dy, and the output: positions in p2p_op.t[] of the operation */
    uint64_t distance[3]; /* bytes from an operand of one repetition to the next; 0 for filters */
    bool in_scratch[3];   /* scratch memory takes the place of the operand */
    uint64_t offset[3];   /* with in_scratch: bytes from the start of the scratch memory */
    uint64_t workspace_offset; /* bytes from the start of the scratch memory */
    uint64_t workspace_bytes;
} cuda_conv;

typedef enum { CUDA_STEP_KERNEL, CUDA_STEP_GEMM, CUDA_STEP_CONV } cuda_step_kind;

typedef struct {
    cuda_step_kind kind;
    union {
        cuda_launch launch;
        cuda_gemm gemm;
        cuda_conv conv;
    };
} cuda_step;

/* Steps run in order, on the device's stream. */
typedef struct {
    int step_count;
    cuda_step step[CUDA_PLAN_STEPS];
    uint64_t counter_bytes;
    p2p_query answer; /* scratch_bytes, filter_need, filter, kernel: as op_query returns it */
} cuda_plan;

#endif
