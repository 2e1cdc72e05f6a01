/* Doubles of libraries that the backend only opens, for cuDNN and cuBLAS: their versions, and nothing else of
 * them. libcublasLt.so.13 and libnvrtc.so.13 are this file.
 */
#include "../machine.h"

#include <cublas_v2.h>
#include <stddef.h>

MACHINE_EXPORT size_t cublasLtGetVersion(void);
MACHINE_EXPORT int nvrtcVersion(int *major, int *minor);

size_t cublasLtGetVersion(void) {
    return 130000 + CUBLAS_VERSION % 10000;
}

int nvrtcVersion(int *major, int *minor) {
    *major = 13;
    *minor = 0;
    return 0;
}
