/* The versions of the doubles: those of NVIDIA's headers, or the oldest that the backend takes. */
#ifndef DOUBLE_VERSION_H
#define DOUBLE_VERSION_H

#include <cudnn.h>
#include <nccl.h>

enum {
    DOUBLE_DNN_VERSION = CUDNN_VERSION < 90800 ? 90800 : CUDNN_VERSION,
    DOUBLE_NCCL_VERSION = NCCL_VERSION_CODE < 21901 ? 21901 : NCCL_VERSION_CODE
};

#endif
