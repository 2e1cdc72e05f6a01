/* The parts of a communicator. Private to comm/. */
#ifndef OCL_COMM_INTERNAL_H
#define OCL_COMM_INTERNAL_H

#include "ocl_comm.h"

#include <pthread.h>

enum {
    OCL_COMM_JOBS = 32,       /* collectives that may be under way */
    OCL_COMM_CHUNK = 4 << 20, /* bytes that are transferred at once */
    OCL_COMM_SLOTS = 2,       /* chunks on their way: one is read while another one is added */
};

/* A replica's way to the host. */
typedef struct {
    p2p_be_device *device;
    cl_command_queue queue; /* beside the device's own */
    bool in_host;           /* its buffers are mapped, and `staging` is not used */
    cl_mem staging; /* OCL_COMM_SLOTS chunks of memory from which transfers are fast, mapped at `host` */
    unsigned char *host;
} ocl_comm_lane;

/* A replica's part of a collective. */
typedef struct {
    cl_mem memory;
    size_t offset;
    cl_event after; /* NULL: it may begin at once */
    cl_event done;  /* a user event */
} ocl_comm_part;

typedef struct {
    p2p_op op;
    ocl_comm_part *parts; /* per replica */
} ocl_comm_job;

struct p2p_be_comm {
    int count;
    const p2p_processes *processes; /* NULL: none but this one. The thread calls it */
    ocl_comm_lane *lanes;
    bool failed;              /* of the thread: nothing is combined any more */
    bool exchange_failed;     /* the last failure was not OpenCL's; the thread's message has it */
    unsigned char **memories; /* of the thread, per replica: those of the chunk that it combines */
    cl_event *reads;          /* likewise: of the chunk that is read; NULL: none */
    ocl_comm_job jobs[OCL_COMM_JOBS];
    ocl_comm_part *parts; /* of all jobs */
    bool has_thread, has_lock;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows; `changed` is signalled after each change */
    pthread_cond_t changed;
    uint64_t begun, ended; /* jobs; number n is jobs[n % OCL_COMM_JOBS] */
    bool stopping;
};

/* Waits for an event of the lane's device, on other devices than CPUs no longer than its limit. The time is
 * not counted as other devices', whose queues stand at the collective. */
cl_int ocl_comm_wait(const p2p_be_comm *comm, int lane, cl_event event);

/* The thread's function; `comm` is the communicator. ocl_comm_thread.c */
void *ocl_comm_serve(void *comm);

/* Transfers what all replicas contribute, combines it and transfers the results. Returns a code of OpenCL;
 * *what and *lane are the function and the replica that failed. ocl_comm_transfer.c */
cl_int ocl_comm_transfer(p2p_be_comm *comm, const ocl_comm_job *job, const char **what, int *lane);

#endif
