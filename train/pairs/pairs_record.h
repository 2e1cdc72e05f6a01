/* OUT/pairs.json: how the pictures of a folder were made. The same command continues where it was
 * interrupted; another one would mix pictures of two kinds, and is refused. */
#ifndef P2P_PAIRS_RECORD_H
#define P2P_PAIRS_RECORD_H

#include "options/options.h"

#define PAIRS_RECORD "pairs.json"

/* What is recorded: the command's name, the folders that it reads, and the values of its options. */
typedef struct {
    const char *operation;
    const char *const *sources; /* `source_count` folders */
    int source_count;
    const char *const *options; /* names; NULL-terminated */
} pairs_record;

/* Sets *known to whether OUT has this record. P2P_USAGE if it has another one. */
p2p_status pairs_record_compare(const pairs_record *record, const settings *all, const char *out,
                                bool *known);

p2p_status pairs_record_write(const pairs_record *record, const settings *all, const char *out);

/* Sets *pairs to whether the record of `dir` shows that each picture is a pair, A and B side by side. False
 * without a record, and if it can't be read. */
p2p_status pairs_record_shows_pairs(const char *dir, bool *pairs);

#endif
