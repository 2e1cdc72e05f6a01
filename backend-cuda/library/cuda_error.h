/* Codes of NVIDIA's libraries as statuses with a message, and the place to which they belong: a device's
 * queue.
 *
 * After some codes, such as an illegal address, every further call on the device fails, and some hang. The
 * queue is then marked as lost, and no function of a library is called for it any more, those that release
 * things included: the process ends soon, and the driver cleans up.
 */
#ifndef CUDA_ERROR_H
#define CUDA_ERROR_H

#include "cuda_api.h"

#include "p2p_backend.h"

#include <stdatomic.h>

/* Host services, set at the module's entry. */
extern const p2p_host *cuda_host;

/* What the objects of a device share: its name, its context, the stream of its commands. Owned by the device.
 * A thread that waits for another device may mark it, after it has set the message. */
typedef struct {
    char name[256];     /* for messages */
    CUcontext context;  /* the device's primary context */
    CUstream stream;    /* of operations and transfers, in order */
    atomic_bool lost;   /* no function of a library is called for it any more */
    atomic_bool broken; /* its results are not to be trusted; it can be released */
    char loss[512];     /* the message of later calls for a lost or broken device; "": the usual one */
} cuda_queue;

/* Each returns P2P_OK for success. Otherwise the message names the device, `what`, the code with its number
 * and the library's text. P2P_OUT_OF_MEMORY for a lack of memory; P2P_DEVICE_LOST, with the queue marked, for
 * codes that only a lost device returns. `queue` may be NULL before there is a device. */
p2p_status cuda_check(cuda_queue *queue, CUresult code, const char *what);
/* These also query the driver: a library's own code does not show whether the device is lost. cuDNN's last
 * error is the calling thread's. */
p2p_status cuda_check_dnn(cuda_queue *queue, cudnnStatus_t code, const char *what);
p2p_status cuda_check_blas(cuda_queue *queue, cublasStatus_t code, const char *what);
/* `comm` may be NULL. ncclInProgress is a success. */
p2p_status cuda_check_nccl(cuda_queue *queue, ncclComm_t comm, ncclResult_t code, const char *what);

/* The name of a driver's code, for example "CUDA_ERROR_NO_DEVICE". Never NULL. */
const char *cuda_error_name(CUresult code);
const char *cuda_error_text(CUresult code);
/* What users can do about a code that concerns NVIDIA's Multi-Process Service; NULL for others. */
const char *cuda_error_of_mps(CUresult code);

/* Queries the driver about the device, if it has been opened. P2P_DEVICE_LOST, with the queue marked, if it
 * is lost, now or by an earlier command. `what` failed. */
p2p_status cuda_check_device(cuda_queue *queue, const char *what);

/* Returns P2P_DEVICE_LOST if an earlier command has found the device lost. */
p2p_status cuda_check_alive(const cuda_queue *queue);
/* The same, and makes the device's context the calling thread's: every entry of the module does that first,
 * because the thread may have been inside another device. */
p2p_status cuda_enter(cuda_queue *queue);
/* Whether objects of the queue can be released; then its context is current. */
bool cuda_enter_release(cuda_queue *queue);
/* Marks the queue as lost if the code means that, and leaves the thread's message: for functions that
 * release. */
void cuda_note(cuda_queue *queue, CUresult code);

/* Call a function of a library by its name; on failure the status is returned from the enclosing function. */
#define CUDA_TRY(queue, function, ...)                                                                       \
    P2P_TRY(cuda_check(queue, cuda_driver.function(__VA_ARGS__), #function))
/* Calls a function of the driver that releases something, unless the queue is lost. */
#define CUDA_RELEASE(queue, function, ...)                                                                   \
    do {                                                                                                     \
        if (!(queue)->lost) cuda_note(queue, cuda_driver.function(__VA_ARGS__));                             \
    } while (0)
#define CUDA_TRY_DNN(queue, function, ...)                                                                   \
    P2P_TRY(cuda_check_dnn(queue, cuda_dnn.function(__VA_ARGS__), #function))
#define CUDA_TRY_BLAS(queue, function, ...)                                                                  \
    P2P_TRY(cuda_check_blas(queue, cuda_blas.function(__VA_ARGS__), #function))

#endif
