/* P2P_MACHINE_CUDNN: faults and the version of cuDNN's double (dnn_api.c). */
#ifndef DNN_SETTING_H
#define DNN_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of cuDNN, 91900, and of the CUDA that it was built with, 13000, unless the setting has others.
 */
size_t dnn_version(void);
size_t dnn_cuda_version(void);
/* Whether the setting has `fault` ("wrong", "refuse") for the engine. */
bool dnn_has_fault(const char *fault, int64_t engine);

#endif
