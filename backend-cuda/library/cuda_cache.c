/* See cuda_cache.h. */
#include "cuda_cache.h"

#include "cuda_error.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_PATH_BYTES = 4096 };

/* Sets the folder of the driver's cache. False if the cache is off or has no folder. */
static bool name_folder(char folder[CACHE_PATH_BYTES]) {
    const char *off = getenv("CUDA_CACHE_DISABLE"), *named = getenv("CUDA_CACHE_PATH"),
               *home = getenv("HOME");
    int length = 0;
    if (off && strcmp(off, "1") == 0) return false;
    if (named && named[0])
        length = snprintf(folder, CACHE_PATH_BYTES, "%s", named);
    else if (home && home[0])
        length = snprintf(folder, CACHE_PATH_BYTES, "%s/.nv/ComputeCache", home);
    return length > 0 && length < CACHE_PATH_BYTES;
}

void cuda_cache_check(void) {
    char folder[CACHE_PATH_BYTES];
    if (!name_folder(folder) || cuda_host->check_private_path(folder) == P2P_OK) return;
    cuda_host->warn(
        "cuda: NVIDIA's driver keeps no compiled kernels: %s; CUDA_CACHE_PATH can name another folder",
        cuda_host->message());
    (void)setenv("CUDA_CACHE_DISABLE", "1", 1);
}
