/* Shared by safetensors_read.c and safetensors_write.c; nobody else includes it. */
#ifndef SAFETENSORS_INTERNAL_H
#define SAFETENSORS_INTERNAL_H

#include "safetensors.h"

#define SAFETENSORS_METADATA_KEY "__metadata__"

int safetensors_dtype_bytes(safetensors_dtype dtype);
/* Bytes of the entry's shape (extents 0 or more) times its dtype; false when they don't fit in int64. */
bool safetensors_size(const safetensors_entry *entry, uint64_t *bytes);
/* Fits in an entry, isn't empty, and holds nothing that would play tricks on a terminal. */
bool safetensors_name_valid(const char *name);

#endif
