/* Plans: the launches that execute an operation on an OpenCL device, as plain data.
 *
 * A planner (for example ocl_conv_direct.c) fills an ocl_plan from a descriptor. It calls no OpenCL
 * function, so planning is cheap and can be tested without a device. device/ocl_op.c builds the programs,
 * creates one cl_kernel per launch, sets its arguments once, and enqueues it. The structs own nothing:
 * strings are literals or arrays inside the struct.
 */
#ifndef OCL_LAUNCH_H
#define OCL_LAUNCH_H

#include "ocl_family.h"

#include "p2p_backend.h"

enum { OCL_LAUNCH_SOURCES = 5, OCL_LAUNCH_OPTIONS = 256, OCL_LAUNCH_ARGS = 48, OCL_PLAN_LAUNCHES = 6 };

/* One kernel argument, in the kernel's order. An operand and the scratch memory are passed as two arguments:
 * the cl_mem, then a ulong with the position of its first element, counted in elements of the operand's type
 * (scratch: in floats). */
typedef enum {
    OCL_ARG_OPERAND, /* value.operand: position in p2p_op.t[]; never an absent operand */
    OCL_ARG_SCRATCH, /* value.offset: floats from the start of the operation's scratch memory */
    OCL_ARG_INT,     /* value.i: int */
    OCL_ARG_ULONG,   /* value.u: ulong */
    OCL_ARG_REPEAT,  /* int: index of the current repetition of the plan's body, times value.i */
    OCL_ARG_FLOAT    /* value.f: float */
} ocl_arg_kind;

typedef struct {
    ocl_arg_kind kind;
    union {
        int operand;
        uint64_t offset;
        int32_t i;
        uint64_t u;
        float f;
    } value;
} ocl_arg;

/* A row-major float32 matrix: an operand, or a part of the scratch memory. */
typedef struct {
    int operand;           /* position in p2p_op.t[]; -1: scratch memory */
    uint64_t offset;       /* floats from the start of the operand or the scratch memory */
    uint64_t row_distance; /* floats from one row to the next */
} ocl_matrix;

/* y = alpha op(a) op(b) + beta y through the matrix library: op(a) is m x k, op(b) is k x n. */
typedef struct {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
    float alpha, beta;
    bool beta_first_zero; /* beta is 0 in the first repetition of the plan's body */
    ocl_matrix a, b, y;
    uint64_t temp_offset; /* the library's scratch memory: floats from the start of the operation's */
    size_t temp_bytes;
} ocl_gemm;

/* One kernel over a grid or, if `kernel` is NULL, one matrix product. */
typedef struct {
    /* File names in kernels/, concatenated in this order into one program; unused ones NULL. */
    const char *source[OCL_LAUNCH_SOURCES];
    /* -D options in addition to those of every program of the backend. `source` and `options` are the key
     * of the program cache. */
    char options[OCL_LAUNCH_OPTIONS];
    const char *kernel;
    size_t global[3]; /* work-items; a multiple of local */
    size_t local[3];
    int arg_count;
    ocl_arg arg[OCL_LAUNCH_ARGS];
    ocl_gemm gemm;
} ocl_launch;

/* Launches run in order. If `repeats` > 1, the launches of the body, [body_first, body_first + body_count),
 * run that many times. */
typedef struct {
    int launch_count;
    int body_first, body_count, repeats;
    ocl_launch launch[OCL_PLAN_LAUNCHES];
    const char *reason; /* why this implementation was chosen; NULL if there was no choice */
    /* The convolution family of this plan if it has not been self-tested yet; OCL_CONV_AUTO: none. The
     * caller must test it and plan again before the plan is used. */
    ocl_conv_family untested;
    p2p_query answer; /* scratch_bytes, filter_need, filter, kernel: as op_query returns it */
} ocl_plan;

#endif
