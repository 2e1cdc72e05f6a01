/* The key of what is kept between runs about a device's convolutions: it holds for the device, its driver,
 * the numbers that planners see, and the kernel files as they are. */
#ifndef OCL_CACHE_KEY_H
#define OCL_CACHE_KEY_H

#include "device/ocl_device.h"

typedef struct {
    char target[96];
    int count;
    p2p_key_part part[];
} ocl_cache_key;

/* `format` and `about` are its first parts: texts that outlive the key, which the caller frees. NULL when
 * memory fails. */
ocl_cache_key *ocl_cache_key_make(const p2p_be_device *device, const char *format, const char *about);

#endif
