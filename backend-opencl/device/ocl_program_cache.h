/* Compiled programs kept on disk between runs, through the host's cache, where the driver keeps none. */
#ifndef OCL_PROGRAM_CACHE_H
#define OCL_PROGRAM_CACHE_H

#include "ocl_device.h"

/* Decides, when the device is opened, whether its programs are kept: by its platform and P2P_OPENCL_CACHE. */
void ocl_program_cache_choose(p2p_be_device *device, cl_platform_id platform);

/* Everything that a compiled program depends on besides the device's driver. */
typedef struct {
    const char *options;
    const char *const *text;
    const size_t *size;
    cl_uint count;
} ocl_program_source;

/* A program that was kept, built for the device; NULL where none was, or the driver refuses it. */
cl_program ocl_program_cache_get(p2p_be_device *device, const ocl_program_source *source);
/* Keeps a program that was built. A failure costs time at the next start, and nothing else. */
void ocl_program_cache_put(p2p_be_device *device, const ocl_program_source *source, cl_program program);

#endif
