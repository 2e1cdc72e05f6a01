/* Checksums of files: XXH3 with 128 bits, of libxxhash. Hashes of short texts.
 *
 * They detect accidental damage. A file that is changed on purpose can have a right checksum: they are no
 * signatures. Where a checksum stands in a file is defined with the file's format.
 */
#ifndef P2P_CHECKSUM_H
#define P2P_CHECKSUM_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    P2P_CHECKSUM_BYTES = 16,
    P2P_CHECKSUM_DIGITS = 32, /* of the checksum as text */
};

/* In an order of bytes that does not depend on the machine. */
typedef struct {
    unsigned char bytes[P2P_CHECKSUM_BYTES];
} p2p_checksum;

/* The checksum of bytes that arrive piece by piece. */
typedef struct p2p_checksum_state p2p_checksum_state;

/* A state without bytes. P2P_OUT_OF_MEMORY. */
p2p_status p2p_checksum_create(p2p_checksum_state **state);
void p2p_checksum_destroy(p2p_checksum_state *state); /* NULL is ignored */
void p2p_checksum_reset(p2p_checksum_state *state);
void p2p_checksum_add(p2p_checksum_state *state, const void *bytes, size_t size);
/* Adds the size, as 8 bytes, before the bytes: moving a byte from one part to the next changes the checksum.
 */
void p2p_checksum_add_part(p2p_checksum_state *state, const void *bytes, size_t size);
/* Of all bytes added since the creation or the last reset. More may be added afterwards. */
p2p_checksum p2p_checksum_value(const p2p_checksum_state *state);

/* The checksum of bytes that are in memory. */
p2p_checksum p2p_checksum_of(const void *bytes, size_t size);

bool p2p_checksum_same(const p2p_checksum *a, const p2p_checksum *b);
/* In hexadecimal, in lower case. */
void p2p_checksum_text(const p2p_checksum *value, char text[P2P_CHECKSUM_DIGITS + 1]);

/* FNV-1a with 64 bits, for short texts. A hash begins with P2P_FNV1A_START; returns it with these bytes
 * added. */
#define P2P_FNV1A_START UINT64_C(14695981039346656037)
uint64_t p2p_fnv1a(uint64_t hash, const void *bytes, size_t size);

#endif
