/* The list of pinned memory. There are a few pieces per session, so it is not sorted. See cuda_pinned.h. */
#include "cuda_pinned.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    uintptr_t begin;
    size_t bytes;
} piece;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static piece *pieces;
static size_t count, capacity;

bool cuda_pinned_add(const void *memory, size_t bytes) {
    bool added = true;
    pthread_mutex_lock(&lock);
    if (count == capacity) {
        const size_t wanted = capacity > 0 ? 2 * capacity : 16;
        piece *grown = realloc(pieces, wanted * sizeof *grown);
        added = grown != NULL;
        if (grown) {
            pieces = grown;
            capacity = wanted;
        }
    }
    if (added) pieces[count++] = (piece){(uintptr_t)memory, bytes};
    pthread_mutex_unlock(&lock);
    return added;
}

void cuda_pinned_remove(const void *memory) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++)
        if (pieces[i].begin == (uintptr_t)memory) {
            pieces[i] = pieces[--count];
            break;
        }
    if (count == 0) {
        free(pieces);
        pieces = NULL;
        capacity = 0;
    }
    pthread_mutex_unlock(&lock);
}

bool cuda_pinned_has(const void *memory, size_t bytes) {
    const uintptr_t begin = (uintptr_t)memory;
    bool found = false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count && !found; i++)
        found = begin >= pieces[i].begin && bytes <= pieces[i].bytes &&
                begin - pieces[i].begin <= pieces[i].bytes - bytes;
    pthread_mutex_unlock(&lock);
    return found;
}
