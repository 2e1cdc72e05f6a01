/* The functions of NVIDIA's libraries that this backend calls, as tables of pointers that cuda_library.c
 * fills.
 *
 * Nothing is linked: each library is opened with dlopen, and each function is looked up by the name to which
 * the header's macro expands (cuMemAlloc is cuMemAlloc_v2), because the bare name may be an older interface.
 * A call is written as cuda_driver.cuMemAlloc(...). Only this folder includes NVIDIA's headers' declarations
 * to take their types; the others include this file.
 */
#ifndef CUDA_API_H
#define CUDA_API_H

#include <cublas_v2.h>
#include <cuda.h>
#include <cudnn.h>
#include <nccl.h>

/* Headers since CUDA 12.8 may name a second version, which drivers before R570 lack. The first does the same
 * for events of one device. */
#undef cuEventElapsedTime
CUresult CUDAAPI cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to);

/* The first version does not give the UUID of a MIG instance. Headers of CUDA 12 name it. */
#undef cuDeviceGetUuid
#define cuDeviceGetUuid cuDeviceGetUuid_v2

/* X(function): the lists are what the backend needs; a library without one of them is refused by its name. */
/* clang-format off */
#define CUDA_DRIVER_LIST(X)                                                                                  \
    X(cuInit) X(cuDriverGetVersion) X(cuGetErrorName) X(cuGetErrorString) X(cuDeviceGetCount)                \
    X(cuDeviceGet) X(cuDeviceGetName) X(cuDeviceGetAttribute) X(cuDeviceTotalMem) X(cuDeviceGetUuid)         \
    X(cuDeviceGetPCIBusId) X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease) X(cuCtxSetCurrent)       \
    X(cuCtxGetCurrent) X(cuMemGetInfo) X(cuMemAlloc) X(cuMemFree) X(cuMemHostAlloc) X(cuMemFreeHost)         \
    X(cuMemcpyHtoDAsync) X(cuMemcpyDtoHAsync) X(cuMemcpyDtoDAsync) X(cuMemsetD8Async) X(cuStreamCreate)      \
    X(cuStreamDestroy) X(cuStreamSynchronize) X(cuStreamQuery) X(cuStreamWaitEvent) X(cuEventCreate)         \
    X(cuEventDestroy) X(cuEventRecord) X(cuEventQuery) X(cuEventSynchronize) X(cuEventElapsedTime)           \
    X(cuModuleLoadData) X(cuModuleUnload) X(cuModuleGetFunction) X(cuFuncSetAttribute) X(cuFuncGetAttribute) X(cuLaunchKernel)
#define CUDA_DNN_LIST(X)                                                                                     \
    X(cudnnGetVersion) X(cudnnGetCudartVersion) X(cudnnGetErrorString) X(cudnnGetLastErrorString)            \
    X(cudnnCreate) X(cudnnDestroy) X(cudnnSetStream) X(cudnnBackendCreateDescriptor)                         \
    X(cudnnBackendDestroyDescriptor) X(cudnnBackendSetAttribute) X(cudnnBackendGetAttribute)                 \
    X(cudnnBackendFinalize) X(cudnnBackendExecute)
#define CUDA_BLAS_LIST(X)                                                                                    \
    X(cublasCreate) X(cublasDestroy) X(cublasGetProperty) X(cublasSetStream) X(cublasSetWorkspace)           \
    X(cublasSetMathMode) X(cublasSetAtomicsMode) X(cublasGemmEx) X(cublasGetStatusName)
#define CUDA_NCCL_LIST(X)                                                                                    \
    X(ncclGetVersion) X(ncclGetErrorString) X(ncclGetLastError) X(ncclGetUniqueId)                           \
    X(ncclCommInitRankConfig) X(ncclCommFinalize) X(ncclCommDestroy) X(ncclCommAbort)                        \
    X(ncclCommGetAsyncError) X(ncclGroupStart) X(ncclGroupEnd) X(ncclAllReduce) X(ncclBroadcast)
/* clang-format on */

#define CUDA_DECLARE(function) __typeof__(&function) function;
typedef struct {
    CUDA_DRIVER_LIST(CUDA_DECLARE)
} cuda_driver_table;
typedef struct {
    CUDA_DNN_LIST(CUDA_DECLARE)
} cuda_dnn_table;
typedef struct {
    CUDA_BLAS_LIST(CUDA_DECLARE)
} cuda_blas_table;
typedef struct {
    CUDA_NCCL_LIST(CUDA_DECLARE)
} cuda_nccl_table;
#undef CUDA_DECLARE

/* Filled once per process, before the first device is opened; constant afterwards. */
extern cuda_driver_table cuda_driver;
extern cuda_dnn_table cuda_dnn;
extern cuda_blas_table cuda_blas;
extern cuda_nccl_table cuda_nccl;

#endif
