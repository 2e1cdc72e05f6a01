/* See safetensors_made.h. */
#include "safetensors_made.h"

#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *safetensors_made(const char *header, size_t data_bytes) {
    const size_t length = strlen(header), size = 8 + length + data_bytes;
    uint8_t *bytes = calloc(size, 1);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++) bytes[8 + length + i] = (uint8_t)(i % 64);
    const char *path = test_own_path("made.safetensors");
    test_file_write(path, bytes, size);
    free(bytes);
    return path;
}
