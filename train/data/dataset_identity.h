/* What identifies the pairs of an open data set: their number, names and contents, wherever the folder lies.
 * Two sets with equal identities give equal trainings. Compared when a training is resumed (run/origin.h).
 */
#ifndef P2P_DATASET_IDENTITY_H
#define P2P_DATASET_IDENTITY_H

#include "dataset.h"

/* A hash of 128 bits as hexadecimal digits, and the terminator. */
enum { DATASET_HASH_BYTES = 33 };

typedef struct {
    int64_t pairs;
    uint64_t names;                   /* FNV-1a of the pairs' names in order */
    char content[DATASET_HASH_BYTES]; /* of the size and a sample of the bytes of every file, and of turns */
    char all_bytes[DATASET_HASH_BYTES]; /* of all bytes of every file, and of turns; "" if they were not read
                                         */
} dataset_identity;

/* Identify the set. The sample of a file is the first, the middle and the last DATASET_SAMPLE_BYTES, so it
 * contains the header; a smaller file is read whole. With `all_bytes` every byte is read. The files are read
 * by all processors. P2P_INPUT if a file can't be read. */
enum { DATASET_SAMPLE_BYTES = 4096 };
p2p_status dataset_identify(const dataset *data, bool all_bytes, dataset_identity *identity);

/* Hash all bytes of a file in the same way. */
p2p_status dataset_hash_file(const char *path, char hash[DATASET_HASH_BYTES]);

#endif
