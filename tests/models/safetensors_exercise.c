/* See safetensors_exercise.h. Sanitizers find the errors that this file does not check. */
#include "safetensors_exercise.h"

#include "model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool holds, const char *rule) {
    if (holds) return;
    fprintf(stderr, "safetensors.h is violated: %s\n", rule);
    abort();
}

static void read_tensor(safetensors_file *file, const safetensors_entry *entry, size_t size) {
    require(entry->end <= size && entry->begin <= entry->end, "data lie inside the file");
    require(entry->rank >= 0 && entry->rank <= SAFETENSORS_MAX_RANK, "rank has a limit");
    require(strlen(entry->name) > 0, "names are not empty");
    /* The exact size of the elements, so that the sanitizer detects one element too many. */
    float *values = malloc((size_t)safetensors_elements(entry) * sizeof *values + 1);
    require(values != NULL, "tensors are no larger than their file");
    require(safetensors_read(file, entry, P2P_TYPE_f32, values) == P2P_OK, "checked data can be read");
    free(values);
}

bool safetensors_exercise(const uint8_t *bytes, size_t size) {
    /* A memory stream of 0 bytes is not portable; test_safetensors tests an empty file. */
    if (size == 0) return false;
    FILE *stream = fmemopen((void *)bytes, size, "rb");
    require(stream != NULL, "memory for a stream");
    safetensors_file *file;
    if (safetensors_open_stream(stream, size, "mutant", &file) != P2P_OK) {
        require(file == NULL && strlen(p2p_message()) > 0, "a failure leaves nothing but a message");
        return false;
    }
    for (int i = 0; i < safetensors_count(file); i++) read_tensor(file, safetensors_at(file, i), size);
    p2p_status verified = safetensors_verify(file);
    require(verified == P2P_OK || verified == P2P_INPUT, "a file is intact or damaged");
    pix2pix *model;
    model_file_info info;
    if (model_file_describe(file, &model, &info) != P2P_OK)
        require(model == NULL, "a failure leaves no model");
    pix2pix_destroy(model);
    safetensors_close(file);
    return true;
}
