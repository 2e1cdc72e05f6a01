/* See memory_stream.h. */
#include "memory_stream.h"

#include <stdlib.h>

void memory_stream_open(memory_stream *to) {
    *to = (memory_stream){0};
    to->stream = open_memstream(&to->bytes, &to->size);
    to->failed = to->stream == NULL;
}

void memory_stream_put(memory_stream *to, const void *bytes, size_t size) {
    if (!to->failed) to->failed = fwrite(bytes, 1, size, to->stream) != size;
}

bool memory_stream_finish(memory_stream *to) {
    if (to->stream) {
        to->failed = to->failed || ferror(to->stream);
        to->failed = fclose(to->stream) != 0 || to->failed;
        to->stream = NULL;
    }
    return !to->failed && to->bytes;
}

char *memory_stream_take(memory_stream *to) {
    if (memory_stream_finish(to)) return to->bytes;
    free(to->bytes);
    return NULL;
}
