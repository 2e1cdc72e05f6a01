/* Libraries that the backend must refuse: libcudnn.so.9, libcublas.so.13 and libnccl.so.2 with the version
 * that the build defines, and without most functions. */
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT size_t cudnnGetVersion(void);
EXPORT size_t cudnnGetCudartVersion(void);
EXPORT int cublasGetProperty(int part, int *value);
EXPORT int ncclGetVersion(int *version);

size_t cudnnGetVersion(void) {
    return DNN_VERSION;
}

size_t cudnnGetCudartVersion(void) {
    return DNN_CUDA;
}

int cublasGetProperty(int part, int *value) {
    *value = part == 0 ? BLAS_VERSION : 0;
    return 0;
}

int ncclGetVersion(int *version) {
    *version = 21000;
    return 0;
}
