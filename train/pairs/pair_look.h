/* What one pair looks like: its headers, its contents as far as they can be judged, and why it can't be used.
 *
 * All judgements but the failures are heuristics, on copies of COPY x COPY pixels. They name pairs for a
 * person to look at, and change nothing.
 */
#ifndef P2P_PAIR_LOOK_H
#define P2P_PAIR_LOOK_H

#include "data/dataset_files.h"
#include "data/dataset_identity.h"

enum { PAIR_SIDES = 2, PAIR_FEATURES = 6 };

typedef struct {
    bool usable;
    char *reason;                                /* why it is not usable; owned, NULL if it is */
    bool odd_shape;                              /* not usable for its shape only, which `judge` refuses */
    image_facts facts[PAIR_SIDES];               /* of both files, or of one */
    int files;                                   /* 1 if A and B are side by side */
    pair_size size;                              /* of A and of B */
    char hashes[PAIR_SIDES][DATASET_HASH_BYTES]; /* of all bytes of the files */

    bool equal;                  /* A and B have the same pixels */
    bool one_colour[PAIR_SIDES]; /* all pixels of the side are equal */
    bool goes_on;                /* A and B seem to be halves of one photograph */
    /* The offset of B against A, as shares of the sides, at which their outlines fit much better than where
     * they are; 0 if there is none. */
    double shift_x, shift_y;
    /* Mean red, green, blue, their deviation, the share of white, the steepness: 0 to 1 each. */
    double features[PAIR_SIDES][PAIR_FEATURES];
} pair_look;

void pair_look_free(pair_look *look); /* no effect on {0} */

/* Look at a pair. With `judge`, shapes of single pictures are not usable (pair_shape.h). A pair that can't be
 * used is not a failure; a lack of memory is one. */
p2p_status pair_look_at(const dataset_paths *paths, bool judge, pair_look *look);

#endif
