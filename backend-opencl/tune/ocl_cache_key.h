/* The key of data about a device's convolutions that are stored between runs: the device, its driver, the
 * target values that planners use, and the contents of the kernel files. */
#ifndef OCL_CACHE_KEY_H
#define OCL_CACHE_KEY_H

#include "device/ocl_device.h"

typedef struct {
    char target[96];
    int count;
    p2p_key_part part[];
} ocl_cache_key;

/* `format` and `about` are its first parts: texts that must outlive the key. The caller frees the key. NULL
 * if memory is exhausted. */
ocl_cache_key *ocl_cache_key_make(const p2p_be_device *device, const char *format, const char *about);

#endif
