/* A device of the CUDA backend: the primary context, which cuDNN, cuBLAS and NCCL share; one stream in which
 * operations run in order, and one for large transfers; memory that is pinned for transfers; modules of
 * kernels. The planners' view of a device is its cuda_target.
 *
 * A context is current per thread. Every entry of the device table calls cuda_enter first.
 */
#ifndef CUDA_DEVICE_H
#define CUDA_DEVICE_H

#include "cuda_environment.h"
#include "cuda_overlap.h"

#include "conv/cuda_conv.h"
#include "library/cuda_error.h"
#include "plan/cuda_target.h"

#include <stdatomic.h>

enum {
    CUDA_IN_FLIGHT = 64,       /* tickets that may be incomplete */
    CUDA_TICKET_STREAMS = 2,   /* streams of which a ticket may consist */
    CUDA_STAGES = 2,           /* parts of the staging memory */
    CUDA_STAGE_BYTES = 4 << 20 /* of a part */
};

typedef struct cuda_programs cuda_programs;
typedef struct cuda_standstill cuda_standstill;

struct p2p_be_buffer {
    CUdeviceptr address;
    size_t bytes;
};

/* A ticket that may be incomplete: an event in each of its streams. */
typedef struct {
    CUevent event[CUDA_TICKET_STREAMS];
    atomic_int recorded; /* of these; 0: complete. Threads that wait for other devices may read it */
} cuda_slot;

/* Pinned memory through which transfers of other memory of the host pass. */
typedef struct {
    unsigned char *bytes;
    CUevent done; /* of the last transfer */
    bool busy;
} cuda_stage;

/* What has not ended at the time limit. */
typedef struct {
    p2p_be_device *device; /* whose work it is; NULL: none of this process */
    bool by_others;        /* perhaps that of other processes, which report it */
    char text[320];        /* of the message: after the seconds; all before them if there is no device */
} cuda_hang;

/* Work that runs beside the queue and may hang: collectives. Called while the host waits. */
typedef struct {
    /* Fails if the work can't complete any more. */
    p2p_status (*check)(void *context);
    /* Ends it, so that other processes do not wait for this one. */
    void (*abort)(void *context);
    /* Finds what keeps the caller waiting, which is `hang->device` unless it is changed. */
    void (*find)(void *context, cuda_hang *hang);
    void *context;
} cuda_watch;

struct p2p_be_device {
    cuda_queue queue;
    CUdevice id;
    p2p_device_info info;
    cuda_environment environment; /* read when the device was opened */
    cuda_target target;
    bool retained; /* the primary context */
    bool opened;   /* all parts */
    size_t allocated_bytes;
    p2p_ticket last_ticket;
    cuda_slot slot[CUDA_IN_FLIGHT]; /* of ticket t: slot[t % CUDA_IN_FLIGHT] */
    CUevent drained;                /* of cuda_drain */
    CUevent timed[2];               /* of cuda_time.h; NULL before the first measurement */
    cuda_overlap overlap;
    cuda_stage stage[CUDA_STAGES];
    int next_stage;
    cuda_programs *programs;
    cublasHandle_t blas;
    CUdeviceptr blas_workspace;
    cuda_convs *convs;
    cuda_watch watch;            /* check NULL: none */
    cuda_standstill *standstill; /* NULL: waits are not measured */
};

p2p_status cuda_device_open(int index, p2p_be_device **device);
/* Waits for the queue, and releases everything. NULL is allowed. */
void cuda_device_close(p2p_be_device *device);

#endif
