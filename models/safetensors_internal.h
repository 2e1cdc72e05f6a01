/* Shared by safetensors.c, safetensors_read.c and safetensors_write.c, and private to them. */
#ifndef SAFETENSORS_INTERNAL_H
#define SAFETENSORS_INTERNAL_H

#include "safetensors.h"

#define SAFETENSORS_METADATA_KEY "__metadata__"

int safetensors_dtype_bytes(safetensors_dtype dtype);
/* Bytes of the entry's shape (extents 0 or more) times its dtype. Returns false if they exceed INT64_MAX. */
bool safetensors_size(const safetensors_entry *entry, uint64_t *bytes);
/* Whether the name fits in an entry, is not empty, and contains no control characters. */
bool safetensors_name_valid(const char *name);

#endif
