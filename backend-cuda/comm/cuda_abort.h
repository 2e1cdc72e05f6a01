/* Aborts of NCCL's communicators that end in time.
 *
 * ncclCommAbort waits for kernels, copies and threads of NCCL. If the device hangs, it may never return, so
 * each abort is made by a thread of its own, which nobody waits for longer than a limit.
 */
#ifndef CUDA_ABORT_H
#define CUDA_ABORT_H

#include "library/cuda_api.h"

#include <stdbool.h>

enum { CUDA_ABORT_SECONDS = 5 };

typedef struct cuda_abort cuda_abort;

/* Begins to abort the communicator of a device with this context. NULL: there is no thread or memory for it,
 * and nothing was aborted. */
cuda_abort *cuda_abort_begin(CUcontext context, ncclComm_t nccl);

/* Waits until the abort has ended. `*waited`: seconds of such waits so far, at most CUDA_ABORT_SECONDS for
 * several aborts that have begun together. False if it has not ended by then: the communicator's device must
 * not be used again. NULL is allowed, and gives false. */
bool cuda_abort_finish(cuda_abort *job, double *waited);

#endif
