/* Limits of the process on pictures from files: the pixels of one, and the memory of all that are read at
 * once, over all threads. Both are decided from headers, before anything is decoded. Nothing is allocated
 * here.
 */
#ifndef P2P_IMAGE_LIMITS_H
#define P2P_IMAGE_LIMITS_H

#include "image.h"

typedef struct {
    uint64_t max_pixels; /* of a picture; at most IMAGE_MAX_PIXELS */
    uint64_t memory;     /* bytes */
} image_limits;

/* Set both limits. Call it while no picture is being read. Until then pictures have IMAGE_MAX_PIXELS, and
 * memory is not limited. */
p2p_status image_limits_set(const image_limits *limits);

/* The limit of memory; UINT64_MAX if there is none. */
uint64_t image_memory_limit(void);

/* P2P_INPUT, with the name in the message, if `bytes` exceed the limit of memory even alone. */
p2p_status image_memory_check(uint64_t bytes, const char *name);

/* Take memory, or wait until other threads have given enough back; they are served in the order of their
 * calls. A thread must not wait while it has taken memory: it takes all that it needs at once. Fails as
 * image_memory_check. */
p2p_status image_memory_take(uint64_t bytes, const char *name);
void image_memory_give(uint64_t bytes);

#endif
