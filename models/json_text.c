/* See json_text.h.
 *
 * While a text is parsed, jansson's blocks are recorded. An allocation that fails leaves jansson by a long
 * jump, and the blocks are freed. Values outlive the record, because a block is the same whether it was
 * recorded or not.
 */
#include "json_text.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- Parsing ------------------------------------------------------------------------------------------ */

typedef struct {
    void **blocks; /* NULL: freed since */
    size_t count, capacity;
    jmp_buf escape;
} block_record;

static _Thread_local block_record *recording; /* NULL: this thread does not parse */

static bool record(block_record *r, void *block) {
    if (r->count == r->capacity) {
        const size_t capacity = r->capacity ? 2 * r->capacity : 1024;
        void **grown = realloc(r->blocks, capacity * sizeof *grown);
        if (!grown) return false;
        r->blocks = grown;
        r->capacity = capacity;
    }
    r->blocks[r->count++] = block;
    return true;
}

/* jansson frees mostly what it allocated last. */
static void forget(block_record *r, const void *block) {
    for (size_t i = r->count; i > 0; i--) {
        if (r->blocks[i - 1] != block) continue;
        r->blocks[i - 1] = NULL;
        break;
    }
    while (r->count > 0 && !r->blocks[r->count - 1]) r->count--;
}

static void *recorded_malloc(size_t size) {
    block_record *r = recording;
    void *block = malloc(size);
    if (r && block && !record(r, block)) {
        free(block);
        block = NULL;
    }
    if (r && !block) longjmp(r->escape, 1);
    return block;
}

static void recorded_free(void *block) {
    if (recording && block) forget(recording, block);
    free(block);
}

static void set_allocator(void) {
    json_set_alloc_funcs(recorded_malloc, recorded_free);
}

/* Returns whether memory sufficed. */
static bool parse(block_record *r, const char *text, size_t length, size_t flags, json_t **value,
                  json_error_t *error) {
    if (setjmp(r->escape) != 0) return false;
    recording = r;
    *value = json_loadb(text, length, flags, error);
    return true;
}

p2p_status json_text_parse(const char *name, const char *text, size_t length, size_t flags, json_t **value,
                           json_error_t *error) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    block_record blocks = {0};
    json_error_t unused;
    *value = NULL;
    pthread_once(&once, set_allocator);
    const bool sufficed = parse(&blocks, text, length, flags, value, error ? error : &unused);
    recording = NULL;
    if (!sufficed) {
        for (size_t i = 0; i < blocks.count; i++) free(blocks.blocks[i]);
        *value = NULL;
    }
    free(blocks.blocks);
    return sufficed ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory to read %s", name);
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

/* A text that grows. After a failure every further call fails, which jansson does not ignore. */
typedef struct {
    char *text;
    size_t size, capacity;
    bool ascii, failed;
} text_sink;

static bool make_room(text_sink *sink, size_t size) {
    if (size > SIZE_MAX / 4 - sink->size) return false;
    const size_t needed = sink->size + size + 1;
    if (needed <= sink->capacity) return true;
    const size_t capacity = needed < 512 ? 1024 : 2 * needed;
    char *grown = realloc(sink->text, capacity);
    if (!grown) return false;
    sink->text = grown;
    sink->capacity = capacity;
    return true;
}

static int append_plain(const char *bytes, size_t size, text_sink *sink) {
    if (sink->failed || !make_room(sink, size)) {
        sink->failed = true;
        return -1;
    }
    memcpy(sink->text + sink->size, bytes, size);
    sink->size += size;
    return 0;
}

/* JSON_ENSURE_ASCII escapes all control characters but DEL, which can be in strings only. */
static int append(const char *bytes, size_t size, void *opaque) {
    static const char escaped[] = "\\u007f";
    text_sink *sink = opaque;
    const char *del;
    while (sink->ascii && (del = memchr(bytes, 0x7f, size)) != NULL) {
        const size_t before = (size_t)(del - bytes);
        if (append_plain(bytes, before, sink) != 0 || append_plain(escaped, sizeof escaped - 1, sink) != 0)
            return -1;
        bytes += before + 1;
        size -= before + 1;
    }
    return append_plain(bytes, size, sink);
}

p2p_status json_text_make(const char *name, const json_t *value, size_t flags, char **text) {
    text_sink sink = {.ascii = (flags & JSON_ENSURE_ASCII) != 0};
    const bool made = value && json_dump_callback(value, append, &sink, flags) == 0 && !sink.failed;
    *text = NULL;
    if (!made || !make_room(&sink, 0)) {
        free(sink.text);
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to write %s", name);
    }
    sink.text[sink.size] = '\0';
    *text = sink.text;
    return P2P_OK;
}

json_t *json_text_add(json_t *object, const char *key, bool wanted, json_t *value) {
    if (wanted && object && json_object_set_new(object, key, json_incref(value)) != 0) {
        json_decref(object);
        object = NULL;
    }
    json_decref(value);
    return object;
}
