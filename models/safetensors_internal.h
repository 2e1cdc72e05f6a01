/* Shared by safetensors*.c, and private to them. */
#ifndef SAFETENSORS_INTERNAL_H
#define SAFETENSORS_INTERNAL_H

#include "p2p_checksum.h"
#include "safetensors.h"

#include <jansson.h>

#define SAFETENSORS_METADATA_KEY "__metadata__"
#define SAFETENSORS_SEAL_KEY     "p2p_checksum"

int safetensors_dtype_bytes(safetensors_dtype dtype);
/* Bytes of the entry's shape (extents 0 or more) times its dtype. Returns false if they exceed INT64_MAX. */
bool safetensors_size(const safetensors_entry *entry, uint64_t *bytes);
/* The little-endian number in `count` bytes. */
uint64_t safetensors_load(const unsigned char *bytes, int count);
/* `count` elements of a file as f32 or f64. */
void safetensors_decode(safetensors_dtype dtype, const unsigned char *bytes, size_t count, p2p_type type,
                        void *host);
/* Whether the name fits in an entry, is not empty, and contains no control characters. */
bool safetensors_name_valid(const char *name);

/* ---- The seal: a file's checksum (safetensors_seal.c) ------------------------------------------------- */

/* The seal is the metadata's value of SAFETENSORS_SEAL_KEY: "xxh128:HEADER:CONTENTS", with 32 digits each.
 *
 *   HEADER    of the other metadata in the order of their keys, and of each tensor's name, dtype and shape in
 *             the order of the names
 *   CONTENTS  of HEADER, and of the checksum of each tensor's data in the order of the names
 *
 * Both depend on what a file contains, not on its layout. So a program that reads a file and writes it again
 * with equal contents keeps its seal right.
 *
 * A file that does not match its seal is damaged if its header has the layout in which p2p writes (below).
 * Otherwise another program wrote the file with other contents and p2p's metadata, and the seal means
 * nothing.
 *
 * p2p's layout: the header begins with SAFETENSORS_SEAL_START, the seal, and ends with at least
 * SAFETENSORS_SEAL_SPACES spaces. Other writers append at most 7 spaces, to align the data to 8 bytes. */
#define SAFETENSORS_SEAL_START "{\"" SAFETENSORS_METADATA_KEY "\":{\"" SAFETENSORS_SEAL_KEY "\":\""
enum {
    SAFETENSORS_SEAL_SPACES = 8,
    SAFETENSORS_SEAL_LENGTH = sizeof "xxh128:" - 1 + P2P_CHECKSUM_DIGITS + 1 + P2P_CHECKSUM_DIGITS,
    SAFETENSORS_SEAL_BYTES = SAFETENSORS_SEAL_LENGTH + 1
};

/* The checksums of a file that is being read or written. A zeroed structure is valid. */
typedef struct {
    const safetensors_entry *entries;
    int count;
    int *order; /* indices of the entries in the order of their names */
    p2p_checksum header;
    p2p_checksum *tensors; /* of each entry's data */
    bool *known;           /* whether it has been computed */
    p2p_checksum_state *state;
    int current;    /* the entry whose data are in the state; -1: none */
    uint64_t added; /* bytes of it */
} safetensors_seal;

/* Compute HEADER. The entries must outlive the seal. `metadata` may be NULL. */
p2p_status safetensors_seal_begin(safetensors_seal *seal, const json_t *metadata,
                                  const safetensors_entry *entries, int count);
void safetensors_seal_free(safetensors_seal *seal);
/* Add bytes [offset, offset + size) of an entry's data. Its checksum is known after all its bytes have been
 * added in order; bytes out of order are ignored. */
void safetensors_seal_add(safetensors_seal *seal, int entry, uint64_t offset, const void *bytes, size_t size);
/* The seal's text. The checksums of all tensors must be known. */
void safetensors_seal_text(safetensors_seal *seal, char text[SAFETENSORS_SEAL_BYTES]);

/* Whether `text` is a seal with this HEADER. */
bool safetensors_seal_has_header(const char *text, const p2p_checksum *header);
/* Whether a text has the form of a seal. */
bool safetensors_seal_is_text(const char *text);
/* Whether a header has p2p's layout. */
bool safetensors_seal_is_own_layout(const char *header, size_t length);

#endif
