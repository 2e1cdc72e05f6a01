/* Aborts of NCCL's communicators that end in time.
 *
 * ncclCommAbort waits for kernels, copies and threads of NCCL. If a device hangs, it may never return, so the
 * aborts are made by a thread of their own, which nobody waits for longer than a limit. One thread makes all
 * of them, one after the other: communicators that were made in one group have a job in common, which NCCL
 * joins and frees at the first abort without protection against a second thread (2.19 to 2.21 at least). An
 * abort does not wait for later ones: NCCL does the common work in a process's last abort.
 */
#ifndef CUDA_ABORT_H
#define CUDA_ABORT_H

#include "library/cuda_api.h"

#include <stdbool.h>

enum { CUDA_ABORT_SECONDS = 5 };

/* A communicator of a device with this context. */
typedef struct {
    CUcontext context;
    ncclComm_t nccl;
} cuda_abort_one;

/* Aborts the communicators in this order. False if that has not ended within CUDA_ABORT_SECONDS, or if there
 * is no thread or memory for it: none of their devices must be used again. */
bool cuda_abort_all(const cuda_abort_one *all, int count);

#endif
