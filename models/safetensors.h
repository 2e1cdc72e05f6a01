/* The safetensors file format: named tensors, written one after another and read one by one.
 *
 *     u64 header length (little-endian) | JSON header | data
 *     header: {"__metadata__": {key: text, ...}, name: {"dtype", "shape", "data_offsets"}, ...}
 *
 * A file is written under a temporary name and renamed. Neither writing nor reading holds more than one
 * tensor in memory. Everything that a file claims is checked before it is used: after opening, all offsets
 * are valid. Files that are written here have a checksum among their metadata, in two parts: of the header,
 * compared when a file is opened, and of the contents, compared by safetensors_verify. The meaning of tensors
 * is defined elsewhere (weights.h, model_file.h).
 */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include "p2p.h"

#include <stdio.h>

/* X(name, bytes) */
#define SAFETENSORS_DTYPE_LIST(X)                                                                            \
    X(F64, 8)                                                                                                \
    X(F32, 4)                                                                                                \
    X(F16, 2)                                                                                                \
    X(BF16, 2)                                                                                               \
    X(I64, 8)                                                                                                \
    X(I32, 4)                                                                                                \
    X(I16, 2)                                                                                                \
    X(I8, 1)                                                                                                 \
    X(U64, 8)                                                                                                \
    X(U32, 4)                                                                                                \
    X(U16, 2)                                                                                                \
    X(U8, 1)                                                                                                 \
    X(BOOL, 1)

typedef enum {
#define X(name, bytes) SAFETENSORS_##name,
    SAFETENSORS_DTYPE_LIST(X)
#undef X
        SAFETENSORS_DTYPE_COUNT
} safetensors_dtype;

enum {
    SAFETENSORS_MAX_RANK = 8,
    SAFETENSORS_NAME_BYTES = 256, /* with the terminator; longer names and control characters are refused */
};

typedef struct {
    char name[SAFETENSORS_NAME_BYTES];
    safetensors_dtype dtype;
    int rank;
    int64_t shape[SAFETENSORS_MAX_RANK];
    uint64_t begin, end; /* bytes, from the start of the data */
} safetensors_entry;

const char *safetensors_dtype_name(safetensors_dtype dtype);
bool safetensors_dtype_real(safetensors_dtype dtype); /* F64, F32, F16 or BF16 */
int64_t safetensors_elements(const safetensors_entry *entry);
/* "[64, 3, 4, 4]", truncated to `size` bytes. */
void safetensors_shape_text(const safetensors_entry *entry, char *text, size_t size);

/* ---- Reading ------------------------------------------------------------------------------------------ */

typedef struct safetensors_file safetensors_file;

/* P2P_UNREADABLE if the file cannot be opened or read. P2P_INPUT names the path and the error: a header
 * longer than the file or 16 MB, invalid JSON or a repeated name, an unknown dtype, a size that is not shape
 * times dtype, data that overlap, leave a gap or do not end with the file, a header that p2p wrote and that
 * does not match its checksum. */
p2p_status safetensors_open(const char *path, safetensors_file **file);
/* The same from an open stream of `size` bytes. Takes ownership of the stream, even on failure. Messages have
 * `name` for the path. */
p2p_status safetensors_open_stream(FILE *stream, uint64_t size, const char *name, safetensors_file **file);
void safetensors_close(safetensors_file *file); /* NULL is ignored */

const char *safetensors_path(const safetensors_file *file);
int safetensors_count(const safetensors_file *file);
const safetensors_entry *safetensors_at(const safetensors_file *file, int index); /* in order of data */
const safetensors_entry *safetensors_find(const safetensors_file *file, const char *name); /* or NULL */
const char *safetensors_metadata(const safetensors_file *file, const char *key);           /* or NULL */

/* All elements of a tensor of any dtype, as f32 or f64. P2P_UNREADABLE if the file cannot be read. */
p2p_status safetensors_read(safetensors_file *file, const safetensors_entry *entry, p2p_type type,
                            void *host);
/* Elements [first, first + count) only. P2P_INVALID if the tensor does not have them. */
p2p_status safetensors_read_part(safetensors_file *file, const safetensors_entry *entry, int64_t first,
                                 int64_t count, p2p_type type, void *host);

/* Compare the contents with the checksum. Call it before tensors that were read are used. A tensor that was
 * read in order has its checksum already; the others are read for it. P2P_INPUT if the file is damaged.
 * P2P_OK without a comparison for a file without a checksum (of another program, or of an older version of
 * p2p), and, with a warning, if another program wrote other contents with p2p's checksum. */
p2p_status safetensors_verify(safetensors_file *file);

/* ---- Writing ------------------------------------------------------------------------------------------ */

typedef struct safetensors_writer safetensors_writer;

/* Start a file. Metadata and tensors are declared first; then each tensor is written in the order of
 * declaration; then commit makes the file appear at `path`. After a failure, abandon the writer. */
p2p_status safetensors_create(const char *path, safetensors_writer **writer);
p2p_status safetensors_add_metadata(safetensors_writer *writer, const char *key, const char *value);
/* dtype is F64, F32 or I64. PyTorch's reader requires tensors aligned to their elements, so those of 8 bytes
 * come first. */
p2p_status safetensors_declare(safetensors_writer *writer, const char *name, safetensors_dtype dtype,
                               int rank, const int64_t *shape);
/* The next tensor's elements: double, float or int64_t as declared. */
p2p_status safetensors_write(safetensors_writer *writer, const void *elements);
/* The next `count` elements: first of the tensor that an earlier part left incomplete, then of those after
 * it. */
p2p_status safetensors_write_part(safetensors_writer *writer, const void *elements, int64_t count);
/* Destroys the writer, whatever the result. P2P_INVALID if a tensor was not written. */
p2p_status safetensors_commit(safetensors_writer *writer);
void safetensors_abandon(safetensors_writer *writer); /* NULL is ignored */

#endif
