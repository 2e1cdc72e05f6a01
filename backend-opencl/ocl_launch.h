/* Plans: how an operation is carried out on an OpenCL device, as data.
 *
 * A planner (ocl_conv_cpu.c and its like) turns a descriptor into an ocl_plan and touches no OpenCL object,
 * so planning is cheap and can be tested without a device. The host side builds the programs, makes one
 * cl_kernel per launch, sets its arguments once, and enqueues. Nothing here is owned: strings are literals
 * or lie inside the struct.
 */
#ifndef OCL_LAUNCH_H
#define OCL_LAUNCH_H

#include "p2p_backend.h"

enum { OCL_LAUNCH_SOURCES = 3, OCL_LAUNCH_OPTIONS = 256, OCL_LAUNCH_ARGS = 48, OCL_PLAN_LAUNCHES = 4 };

/* One kernel argument, in the kernel's order. An operand and the scratch memory are passed as two arguments:
 * the cl_mem, then a ulong with the position of its first element, counted in elements of the operand's type
 * (scratch: in floats). */
typedef enum {
    OCL_ARG_OPERAND, /* value.operand: position in p2p_op.t[]; never an absent operand */
    OCL_ARG_SCRATCH, /* value.offset: floats from the start of the operation's scratch memory */
    OCL_ARG_INT,     /* value.i: int */
    OCL_ARG_ULONG,   /* value.u: ulong */
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

typedef struct {
    /* File names in kernels/, concatenated in this order into one program; unused ones NULL. */
    const char *source[OCL_LAUNCH_SOURCES];
    /* -D options, added to those that every program of the backend is built with. With `source` the key of
     * the program cache. */
    char options[OCL_LAUNCH_OPTIONS];
    const char *kernel;
    size_t global[3]; /* work-items; a multiple of local */
    size_t local[3];
    int arg_count;
    ocl_arg arg[OCL_LAUNCH_ARGS];
} ocl_launch;

/* Launches run in order, one after the other. */
typedef struct {
    int launch_count;
    ocl_launch launch[OCL_PLAN_LAUNCHES];
    p2p_query answer; /* scratch_bytes, want_filter, filter, kernel: as op_query returns it */
} ocl_plan;

#endif
