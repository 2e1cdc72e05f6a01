/* A communicator of NCCL's double: one rank, on one device. See nccl_api.c for the rules. */
#ifndef NCCL_COMM_H
#define NCCL_COMM_H

#include "../machine.h"
#include "nccl_sum.h"
#include "nccl_world.h"

#include <pthread.h>
#include <stdatomic.h>

/* A collective that a rank has called. */
typedef struct nccl_operation {
    const char *name; /* "ncclAllReduce" */
    ncclComm_t comm;
    nccl_call call;
    CUdeviceptr from, to;
    CUstream stream;
    struct nccl_operation *next;
} nccl_operation;

typedef enum {
    NCCL_CONNECTING, /* not all ranks have joined, or the state was not queried since */
    NCCL_READY,
    NCCL_FINALIZED,
    NCCL_BROKEN
} nccl_phase;

struct ncclComm {
    nccl_world *world;
    char name[100]; /* the identifier's: equal for all ranks of a communicator */
    int ranks, rank, device;
    CUcontext context;
    pthread_t owner; /* the thread that made it */
    bool blocking;
    nccl_phase phase;
    bool busy; /* nonblocking: the last call has not finished; ends when the state was queried twice */
    int asked; /* how often, since the call */
    nccl_operation *pending; /* nonblocking: to be enqueued then */
    uint64_t number;         /* of the last collective */
    bool alive;              /* the caller has it */
    pthread_mutex_t user;    /* held during a call that uses it */
    struct ncclComm *next;
    /* Shared with commands, which run with the machine's lock. */
    _Atomic int references, aborted, error;
};

/* Settings of P2P_MACHINE_NCCL, read when they are needed. */
double nccl_limit(void);        /* seconds until an absent rank is reported; 0: never */
bool nccl_keeps_silent(void);   /* the death of a rank causes no asynchronous error */
bool nccl_abort_is_stuck(void); /* ncclCommAbort never returns */
int nccl_version(void);

/* Enqueues a collective with the communicator's context. */
ncclResult_t nccl_launch(const nccl_operation *operation);

void nccl_hold(ncclComm_t comm);
void nccl_drop(ncclComm_t comm);

#endif
