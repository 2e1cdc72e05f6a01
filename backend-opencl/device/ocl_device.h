/* A device of the OpenCL backend: one context and one in-order queue, because some drivers serialise
 * contexts that span devices. Commands create no events except one per submission. The planners' view of a
 * device is its ocl_target.
 */
#ifndef OCL_DEVICE_H
#define OCL_DEVICE_H

#include "ocl_environment.h"

#include "plan/ocl_target.h"

#include <CL/cl.h>

#include <stdatomic.h>

/* Host services, set at the module's entry. */
extern const p2p_host *ocl_host;

enum {
    OCL_ALIGNMENT = 64, /* bytes; a vector of 16 floats, and a cache line */
    OCL_SLACK = 64,     /* every buffer is so many bytes longer, so that a vector load may pass the end */
    OCL_IN_FLIGHT = 64, /* submissions and collectives that may be unfinished */
    OCL_MARKS = 4,      /* seconds of work that may be unfinished, as estimated by ocl_queue.c */
    OCL_FLUSH_INTERVAL = 32, /* launches between two flushes */
    OCL_RECORDS = 2          /* the second recording also has kernels that ran after the first wait */
};

typedef struct ocl_program ocl_program;
typedef struct ocl_warm ocl_warm;
typedef struct ocl_tuning ocl_tuning;
typedef struct ocl_standstill ocl_standstill;

struct p2p_be_buffer {
    cl_mem memory;
    size_t bytes;
};

/* Limits of the work in a queue (ocl_queue.c). */
typedef struct {
    double flops_per_second; /* a lower bound for any device of this size and clock */
    double launch_seconds;   /* of one launch, at most */
    double timeout;          /* seconds after which a wait fails; 0: never */
} ocl_queue_limits;

struct p2p_be_device {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    p2p_device_info info;
    ocl_environment environment; /* read when the device was opened */
    ocl_target target;
    ocl_tuning *tuning;         /* verdicts and choices, owned by tune/; NULL: none */
    ocl_program *programs;      /* built so far, newest first */
    bool keeps_programs;        /* whether they are stored on disk */
    char platform_version[128]; /* CL_PLATFORM_VERSION */
    ocl_warm *warm;             /* matrix products that have run once, newest first */
    size_t allocated_bytes;
    int unflushed;  /* launches since the last flush */
    int unrecorded; /* waits after which PoCL's files are recorded: OCL_RECORDS after a build or a first run
                     */
    bool lost;
    bool bf16_tested;
    p2p_ticket last_ticket;
    /* The event of ticket t is in_flight[t % OCL_IN_FLIGHT]; NULL once it is done. */
    cl_event in_flight[OCL_IN_FLIGHT];
    ocl_queue_limits limits;
    double unmarked_seconds; /* of work enqueued since the last mark, estimated */
    unsigned marks; /* set so far; mark[m % OCL_MARKS] is the m-th, NULL once its completion was observed */
    cl_event mark[OCL_MARKS];
    /* That a collective of this and other devices failed, and why: set once, by the communicator's thread. */
    atomic_bool collective_failed;
    char collective_failure[512];
    /* The queue stands at a collective for which other devices or processes are awaited: no limit of time
     * runs. Set by the communicator's thread. */
    atomic_bool awaits_others;
    ocl_standstill *standstill; /* of ocl_standstill.c; NULL: none yet */
};

p2p_status ocl_device_open(int index, p2p_be_device **device);
/* Releases everything except device->tuning. */
void ocl_device_close(p2p_be_device *device);

#endif
