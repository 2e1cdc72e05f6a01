/* The OpenCL backend's own objects, shared by its files.
 *
 * A device is one context and one in-order queue: contexts that span devices serialise them in some drivers.
 * Commands leave no events behind except one per submission. Numbers that planning needs about a device are
 * in ocl_target, so that planners touch no OpenCL object.
 */
#ifndef OCL_H
#define OCL_H

#include "ocl_gemm.h"
#include "ocl_plan.h"

#include <CL/cl.h>

/* Given at the module's entry. */
extern const p2p_host *ocl_host;

enum {
    OCL_ALIGNMENT = 64,     /* bytes; a vector of 16 floats, and a cache line */
    OCL_SLACK = 64,         /* every buffer is this much longer, so that a vector load may pass the end */
    OCL_IN_FLIGHT = 16,     /* submissions that may wait for the device */
    OCL_MARKS = 4,          /* and seconds of work, as ocl_queue.c estimates them */
    OCL_FLUSH_INTERVAL = 32 /* launches between two flushes */
};

/* What the test of a family of convolutions gave (ocl_selftest.h). */
typedef enum { OCL_VERDICT_UNKNOWN, OCL_VERDICT_PASSES, OCL_VERDICT_FAILS } ocl_verdict;

typedef struct ocl_program ocl_program;
typedef struct ocl_warm ocl_warm;
typedef struct ocl_choices ocl_choices;
typedef struct ocl_way_verdict ocl_way_verdict;

struct p2p_be_buffer {
    cl_mem memory;
    size_t bytes;
};

/* What a queue may be asked for (ocl_queue.c). */
typedef struct {
    double flops_per_second; /* reached by any device of this size and clock */
    double launch_seconds;   /* of one launch, at most */
    double timeout;          /* seconds that a wait may take; 0: any */
} ocl_queue_limits;

struct p2p_be_device {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    p2p_device_info info;
    ocl_target target;
    ocl_variant_name forced_variant;           /* from the environment: where target.variant points */
    ocl_verdict verdict[OCL_CONV_FAMILIES][2]; /* with activations stored as f32, and as bf16 */
    ocl_choices *choices;                      /* ocl_choice.c; NULL: none yet */
    ocl_way_verdict *way_verdicts;             /* ocl_selftest.c; newest first */
    size_t sub_buffer_alignment;               /* bytes */
    ocl_program *programs;                     /* built so far, newest first */
    bool keeps_programs;                       /* on disk, between runs */
    char platform_version[128];                /* CL_PLATFORM_VERSION */
    ocl_warm *warm;                            /* matrix products that have run once, newest first */
    size_t allocated_bytes;
    int unflushed; /* launches since the last flush */
    bool lost;
    bool bf16_tested;
    p2p_ticket last_ticket;
    /* The event of ticket t is in_flight[t % OCL_IN_FLIGHT]; NULL when it is known to be done. */
    cl_event in_flight[OCL_IN_FLIGHT];
    ocl_queue_limits limits;
    double unmarked_seconds; /* of work enqueued since the last mark, by estimate */
    unsigned marks; /* set so far; mark[m % OCL_MARKS] is the m-th, NULL when it is known to be done */
    cl_event mark[OCL_MARKS];
};

/* ---- Errors (ocl_error.c) ----------------------------------------------------------------------------- */

/* "CL_OUT_OF_RESOURCES" and so on; CLBlast's own codes too. */
const char *ocl_error_name(cl_int code);

/* P2P_OK for CL_SUCCESS; else the message names `what` and the code. Codes that only a dead device gives
 * become P2P_DEVICE_LOST, which `device` (may be NULL) remembers. */
p2p_status ocl_check(p2p_be_device *device, cl_int code, const char *what);

/* ---- Module and devices ------------------------------------------------------------------------------- */

typedef struct {
    cl_platform_id platform;
    cl_device_id device;
} ocl_found;

/* The device at `index`, counted over all platforms. */
p2p_status ocl_device_find(int index, ocl_found *found);
/* Everything that a person or the planner wants to know of a device, `unusable` included. */
void ocl_device_describe(const ocl_found *found, p2p_device_info *info);
/* Bytes of the largest buffer that p2p makes on a vendor's device, which allows `allowed`; without the slack.
 */
size_t ocl_largest_buffer(const char *vendor, p2p_device_type type, uint64_t allowed);

p2p_status ocl_device_open(int index, p2p_be_device **device);
/* P2P_DEVICE_LOST once a command has shown that the device is gone. */
p2p_status ocl_check_alive(const p2p_be_device *device);
void ocl_programs_release(p2p_be_device *device);

/* Whether kernels run in a CPU's ways. With the GPU family asked for, a CPU tests all of a GPU's ways: groups
 * of several work-items, activations in bf16. */
bool ocl_acts_as_cpu(const p2p_device_info *info);

/* What the device does in bf16. info->activation_bf16 follows from it and from info->activation; without
 * bf16, info->no_bf16 becomes the reason, else "". */
ocl_bf16 ocl_bf16_find(p2p_device_info *info, int vector_width);
/* P2P_USAGE when the environment variable P2P_OPENCL_BF16 has no sense. */
p2p_status ocl_bf16_check_switch(void);
/* Compute a few numbers in bf16, the first time that a device is asked to; wrong ones are a failure. */
p2p_status ocl_bf16_test(p2p_be_device *device);

extern const p2p_device_table ocl_device_table;

/* ---- Operations (ocl_op.c) ---------------------------------------------------------------------------- */

p2p_status ocl_op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer);
p2p_status ocl_op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                         p2p_binding scratch, p2p_be_op **created);
/* The same from a plan that the caller has made, which needs no scratch memory; `op` describes the operands.
 */
p2p_status ocl_op_create_planned(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                                 const ocl_plan *plan, p2p_be_op **created);
/* The same by one planner, without asking which is best. */
p2p_status ocl_op_create_by(p2p_be_device *device, ocl_planner planner, const p2p_op *op,
                            const p2p_binding *bindings, p2p_binding scratch, p2p_be_op **created);
p2p_status ocl_op_run(p2p_be_device *device, p2p_be_op *op);
void ocl_op_destroy(p2p_be_device *device, p2p_be_op *op);

/* ocl_peak.c */
p2p_status ocl_peak_create(p2p_be_device *device, p2p_type type, int steps, p2p_binding counts, int capacity,
                           p2p_be_op **created, double *multiply_adds);

#endif
