/* Bytes that are written one after the other into memory that grows, over open_memstream. */
#ifndef P2P_MEMORY_STREAM_H
#define P2P_MEMORY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* `failed` is set when memory runs out, and may be set by the caller. glibc does not mark the stream itself
 * as failed when its memory can't grow, so write with memory_stream_put where that matters. */
typedef struct {
    FILE *stream; /* NULL once it has failed to open, and after memory_stream_finish */
    char *bytes;  /* valid after memory_stream_finish, and then terminated */
    size_t size;
    bool failed;
} memory_stream;

void memory_stream_open(memory_stream *to);
/* No effect if the stream has failed. */
void memory_stream_put(memory_stream *to, const void *bytes, size_t size);
/* Close the stream. Returns whether the bytes are whole. The caller frees them in any case. */
bool memory_stream_finish(memory_stream *to);
/* The same. Returns the text, which the caller frees, or NULL if it is not whole. */
char *memory_stream_take(memory_stream *to);

#endif
