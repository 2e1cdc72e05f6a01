/* Element types, shapes and names: shared by reading and writing. */
#include "safetensors_internal.h"

#include <stdio.h>

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {
#define X(name, bytes) {#name, bytes},
    SAFETENSORS_DTYPE_LIST(X)
#undef X
};

const char *safetensors_dtype_name(safetensors_dtype dtype) {
    return dtypes[dtype].name;
}

int safetensors_dtype_bytes(safetensors_dtype dtype) {
    return dtypes[dtype].bytes;
}

bool safetensors_dtype_real(safetensors_dtype dtype) {
    return dtype == SAFETENSORS_F64 || dtype == SAFETENSORS_F32 || dtype == SAFETENSORS_F16 ||
           dtype == SAFETENSORS_BF16;
}

int64_t safetensors_elements(const safetensors_entry *entry) {
    return (int64_t)(entry->end - entry->begin) / dtypes[entry->dtype].bytes;
}

void safetensors_shape_text(const safetensors_entry *entry, char *text, size_t size) {
    size_t length = 0;
    for (int i = 0; i < entry->rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", i == 0 ? "[" : ", ",
                                   (long long)entry->shape[i]);
    if (length < size) snprintf(text + length, size - length, entry->rank == 0 ? "[]" : "]");
}

bool safetensors_size(const safetensors_entry *entry, uint64_t *bytes) {
    const uint64_t limit = INT64_MAX;
    uint64_t product = (uint64_t)dtypes[entry->dtype].bytes;
    for (int i = 0; i < entry->rank; i++) {
        const uint64_t extent = (uint64_t)entry->shape[i];
        if (extent != 0 && product > limit / extent) return false;
        product *= extent;
    }
    *bytes = product;
    return true;
}

bool safetensors_name_valid(const char *name) {
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        const unsigned char byte = (unsigned char)name[length];
        if (byte < 0x20 || byte == 0x7f || length + 1 >= SAFETENSORS_NAME_BYTES) return false;
    }
    return length > 0;
}
