/* Compiled programs stored on disk between runs, in the host's cache, for drivers that store none
 * themselves. */
#ifndef OCL_PROGRAM_CACHE_H
#define OCL_PROGRAM_CACHE_H

#include "ocl_device.h"

/* Decides, when the device is opened, whether its programs are stored: by its platform and
 * P2P_OPENCL_CACHE. */
void ocl_program_cache_choose(p2p_be_device *device, cl_platform_id platform);

/* Everything that a compiled program depends on besides the device's driver. */
typedef struct {
    const char *options;
    const char *const *text;
    const size_t *size;
    cl_uint count;
} ocl_program_source;

/* A part of a key; the text must outlive it. */
p2p_key_part ocl_key_text(const char *text);

/* Returns a stored program, built for the device; NULL if there is none or the driver refuses it. */
cl_program ocl_program_cache_get(p2p_be_device *device, const ocl_program_source *source);
/* Stores a program. A failure only costs time at the next start. */
void ocl_program_cache_put(p2p_be_device *device, const ocl_program_source *source, cl_program program);

#endif
