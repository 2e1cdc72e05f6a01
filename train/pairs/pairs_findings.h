/* The problems of a folder of pairs, and their table. Private to pairs_check.c. */
#ifndef P2P_PAIRS_FINDINGS_H
#define P2P_PAIRS_FINDINGS_H

#include "pair_look.h"

#include <jansson.h>
#include <stdio.h>

/* X(name, what it means) */
#define PAIRS_FINDING_LIST(X)                                                                                \
    X(unusable, "p2p train refuses it")                                                                      \
    X(single, "a file without a partner")                                                                    \
    X(not_a_pair, "one picture cut in the middle, it seems")                                                 \
    X(equal, "A and B are the same picture")                                                                 \
    X(one_colour, "all pixels of A or of B are equal")                                                       \
    X(duplicate, "the files of another pair again")                                                          \
    X(shifted, "B fits A better elsewhere")                                                                  \
    X(swapped, "A looks like the others' B, and B like their A")

typedef enum {
#define X(name, meaning) FINDING_##name,
    PAIRS_FINDING_LIST(X)
#undef X
        FINDING_KINDS
} finding_kind;

typedef struct {
    finding_kind kind;
    char *name, *text; /* the pair's path below DIR, and what is wrong; owned */
} finding;

typedef struct {
    finding *list;
    size_t count, capacity;
    size_t counts[FINDING_KINDS];
} findings;

/* Append a problem, with a text as of printf. */
p2p_status findings_add(findings *found, finding_kind kind, const char *name, const char *format, ...)
    P2P_PRINTF(4, 5);
void findings_free(findings *found);

/* Print how many there are of each kind, and the first FINDINGS_SHOWN of them. */
enum { FINDINGS_SHOWN = 20 };
void findings_print(const findings *found, FILE *stream);

/* An array with an object for each. The caller releases it; NULL if memory runs out. */
json_t *findings_to_json(const findings *found);

/* The pairs of a split. */
typedef struct {
    const char *name; /* "train"; "" if the folder is not a data set */
    dataset_files files;
    pair_look *looks; /* files.count */
} checked_split;

/* Compare all pairs of the folder with each other: duplicates, and pairs that are swapped. */
p2p_status findings_compare(findings *found, const checked_split *splits, size_t count);

/* A pair's path below DIR. The caller frees it. */
p2p_status checked_name(const checked_split *split, size_t index, char **name);

#endif
