/* Names of codes, and the status of each. See cuda_error.h. */
#include "cuda_error.h"

#include <stdio.h>
#include <string.h>

const p2p_host *cuda_host;

/* ---- The driver's codes ---------------------------------------------------------------------------- */

const char *cuda_error_name(CUresult code) {
    const char *name = NULL;
    if (cuda_driver.cuGetErrorName && cuda_driver.cuGetErrorName(code, &name) == CUDA_SUCCESS && name)
        return name;
    return "an unknown error of the driver";
}

const char *cuda_error_text(CUresult code) {
    const char *text = NULL;
    if (cuda_driver.cuGetErrorString && cuda_driver.cuGetErrorString(code, &text) == CUDA_SUCCESS && text)
        return text;
    return "the driver has no text for it";
}

/* Codes after which the process must end, by cuda.h of CUDA 13, which older headers lack. */
enum { CONTAINED = 226, TENSOR_MEMORY_LEAK = 721, MPS_CLIENT_TERMINATED = 810 };

const char *cuda_error_of_mps(CUresult code) {
    switch ((int)code) {
    case CUDA_ERROR_MPS_CONNECTION_FAILED:
    case CUDA_ERROR_MPS_RPC_FAILURE:
    case CUDA_ERROR_MPS_SERVER_NOT_READY:
    case CUDA_ERROR_MPS_MAX_CLIENTS_REACHED:
    case CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED:
    case MPS_CLIENT_TERMINATED:
        return "processes share this machine's cards through NVIDIA's MPS server: `ps -C "
               "nvidia-cuda-mps-server` "
               "shows whether it runs, and `echo quit | nvidia-cuda-mps-control`, by its owner, ends it";
    default:
        return NULL;
    }
}

/* Codes after which the context is unusable, or the device is gone. */
static bool means_lost(CUresult code) {
    switch ((int)code) {
    case CONTAINED:
    case TENSOR_MEMORY_LEAK:
    case MPS_CLIENT_TERMINATED:
    case CUDA_ERROR_MPS_RPC_FAILURE: /* its server has ended */
    case CUDA_ERROR_DEINITIALIZED:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_EXTERNAL_DEVICE:
    case CUDA_ERROR_UNKNOWN:
        return true;
    default:
        return false;
    }
}

static const char *name_of(const cuda_queue *queue) {
    return queue && queue->name[0] ? queue->name : "CUDA";
}

static p2p_status fail_lost(cuda_queue *queue, CUresult code, const char *what) {
    cuda_note(queue, code);
    const p2p_status status =
        cuda_host->fail(P2P_DEVICE_LOST, "%s: the device was lost: %s failed with %s (%d): %s", queue->name,
                        what, cuda_error_name(code), (int)code, cuda_error_text(code));
    return cuda_host->hint(status, "the system's log may have more: `dmesg | grep -i -e NVRM -e Xid`");
}

p2p_status cuda_check(cuda_queue *queue, CUresult code, const char *what) {
    if (code == CUDA_SUCCESS) return P2P_OK;
    if (queue && queue->context && means_lost(code)) return fail_lost(queue, code, what);
    return cuda_host->fail(code == CUDA_ERROR_OUT_OF_MEMORY ? P2P_OUT_OF_MEMORY : P2P_FAILED,
                           "%s: %s failed with %s (%d): %s", name_of(queue), what, cuda_error_name(code),
                           (int)code, cuda_error_text(code));
}

/* ---- Codes of the other libraries ------------------------------------------------------------------ */

p2p_status cuda_check_device(cuda_queue *queue, const char *what) {
    if (!queue || !queue->stream) return P2P_OK;
    if (queue->lost) return cuda_check_alive(queue);
    CUresult code =
        cuda_driver.cuCtxSetCurrent(queue->context); /* a call for another device may have failed */
    if (code == CUDA_SUCCESS) code = cuda_driver.cuStreamQuery(queue->stream);
    return means_lost(code) ? fail_lost(queue, code, what) : P2P_OK;
}

/* Reports a library's failure. `text`: details, "" for none; line ends in it become blanks. */
static p2p_status fail_library(cuda_queue *queue, p2p_status status, const char *what, const char *name,
                               int code, char *text) {
    P2P_TRY(cuda_check_device(queue, what));
    for (char *at = text; *at; at++)
        if (*at == '\n' || *at == '\r') *at = ' ';
    return cuda_host->fail(status, "%s: %s failed with %s (%d)%s%s", name_of(queue), what, name, code,
                           text[0] ? ": " : "", text);
}

/* The first digit of a code of cuDNN is its class. */
static p2p_status status_of_dnn(cudnnStatus_t code) {
    enum { CLASS = 1000, NOT_SUPPORTED = 3, NO_DEVICE_MEMORY = 4003, NO_HOST_MEMORY = 4004 };
    const int number = (int)code;
    if (number / CLASS == NOT_SUPPORTED) return P2P_UNSUPPORTED;
    return number == NO_DEVICE_MEMORY || number == NO_HOST_MEMORY ? P2P_OUT_OF_MEMORY : P2P_FAILED;
}

p2p_status cuda_check_dnn(cuda_queue *queue, cudnnStatus_t code, const char *what) {
    char text[1024] = "";
    if (code == CUDNN_STATUS_SUCCESS) return P2P_OK;
    cuda_dnn.cudnnGetLastErrorString(text, sizeof text);
    text[sizeof text - 1] = '\0';
    return fail_library(queue, status_of_dnn(code), what, cuda_dnn.cudnnGetErrorString(code), (int)code,
                        text);
}

p2p_status cuda_check_blas(cuda_queue *queue, cublasStatus_t code, const char *what) {
    char none[] = "";
    if (code == CUBLAS_STATUS_SUCCESS) return P2P_OK;
    p2p_status status = P2P_FAILED;
    if (code == CUBLAS_STATUS_ALLOC_FAILED) status = P2P_OUT_OF_MEMORY;
    if (code == CUBLAS_STATUS_NOT_SUPPORTED || code == CUBLAS_STATUS_ARCH_MISMATCH) status = P2P_UNSUPPORTED;
    return fail_library(queue, status, what, cuda_blas.cublasGetStatusName(code), (int)code, none);
}

p2p_status cuda_check_nccl(cuda_queue *queue, ncclComm_t comm, ncclResult_t code, const char *what) {
    char text[1024] = "";
    if (code == ncclSuccess || code == ncclInProgress) return P2P_OK;
    const char *last = cuda_nccl.ncclGetLastError(comm);
    if (last) snprintf(text, sizeof text, "%s", last);
    return fail_library(queue, P2P_FAILED, what, cuda_nccl.ncclGetErrorString(code), (int)code, text);
}

/* ---- Entries --------------------------------------------------------------------------------------- */

p2p_status cuda_check_alive(const cuda_queue *queue) {
    if (!queue->lost && !queue->broken) return P2P_OK;
    if (queue->loss[0]) return cuda_host->fail(P2P_DEVICE_LOST, "%s", queue->loss);
    return cuda_host->fail(P2P_DEVICE_LOST, "%s: the device was lost by an earlier command", queue->name);
}

p2p_status cuda_enter(cuda_queue *queue) {
    P2P_TRY(cuda_check_alive(queue));
    CUDA_TRY(queue, cuCtxSetCurrent, queue->context);
    return P2P_OK;
}

void cuda_note(cuda_queue *queue, CUresult code) {
    if (queue->lost || !means_lost(code)) return;
    snprintf(queue->loss, sizeof queue->loss, "%s: the device was lost by an earlier command: %s (%d): %s",
             queue->name, cuda_error_name(code), (int)code, cuda_error_text(code));
    queue->lost = true;
}

bool cuda_enter_release(cuda_queue *queue) {
    if (queue->lost) return false;
    const CUresult code = cuda_driver.cuCtxSetCurrent(queue->context);
    cuda_note(queue, code);
    return code == CUDA_SUCCESS;
}
