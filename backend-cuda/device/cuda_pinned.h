/* The pinned memory of all devices of the module: which memory of the host transfers can use directly. Any
 * thread may call. */
#ifndef CUDA_PINNED_H
#define CUDA_PINNED_H

#include <stdbool.h>
#include <stddef.h>

/* False if there is no memory for the record. */
bool cuda_pinned_add(const void *memory, size_t bytes);
void cuda_pinned_remove(const void *memory);
/* Whether the whole range is pinned. */
bool cuda_pinned_has(const void *memory, size_t bytes);

#endif
