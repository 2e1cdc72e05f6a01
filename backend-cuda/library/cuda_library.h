/* NVIDIA's libraries of this process: opened once, checked, and their functions put into the tables of
 * cuda_api.h.
 *
 * They are opened in three steps, so that no library is loaded without need: the driver, cuDNN and cuBLAS if
 * there is a device, NCCL if there are several. What has failed is tried again by the next call. The
 * functions of this file are called by one thread at a time.
 */
#ifndef CUDA_LIBRARY_H
#define CUDA_LIBRARY_H

#include "cuda_error.h"

/* Versions as the libraries number them: 12020 is CUDA 12.2, 90800 is cuDNN 9.8.0, 21901 is NCCL 2.19.1. */
enum {
    /* The generation of the toolkit that compiled the kernels: they start on every driver of it and of later
     * ones. */
    CUDA_DRIVER_NEEDED = CUDA_VERSION / 1000 * 1000,
    CUDA_DNN_NEEDED = 90800,
    CUDA_NCCL_NEEDED = 21901 /* before, another thread than the one that opened it could not abort it */
};

/* Opens the driver and initialises it. P2P_NO_DEVICE, with *obstacle, if it is missing, too old, or finds no
 * device. Creates no context. */
p2p_status cuda_driver_load(p2p_obstacle *obstacle);

/* Opens cuDNN, and cuBLAS of the same major version of CUDA. P2P_NO_DEVICE, with *obstacle, if one is
 * missing, too old, or needs a newer driver. */
p2p_status cuda_libraries_load(p2p_obstacle *obstacle);

/* Opens NCCL. P2P_UNSUPPORTED, with the reason, if it is missing or too old. */
p2p_status cuda_nccl_load(void);

/* "CUDA 13.0, cuDNN 9.19.0, cuBLAS 13.1.0": what is loaded, except NCCL, on which no result of one device
 * depends. */
void cuda_library_versions(char *text, size_t size);

/* cuDNN's version as it numbers it; 0 before it is loaded. */
int cuda_dnn_version(void);

/* Writes a line for each library that was looked for to the verbose log: its version and its file, or why
 * there is none. */
void cuda_library_log(void);

#endif
