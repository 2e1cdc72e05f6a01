/* Whether transparent pixels of a data set become visible, because its pictures are read without alpha. The
 * colours stored below such pixels are often black, whatever the picture looks like in a viewer. */
#ifndef P2P_PAIR_ALPHA_H
#define P2P_PAIR_ALPHA_H

#include "dataset.h"

/* A pair with transparent pixels: its index, and whether it is the target that has them, not the input. */
typedef struct {
    int64_t sample;
    bool target;
} pair_alpha;

/* Find one among the pairs of dataset_alpha_of, whose pictures are decoded. False if there is none. Pairs
 * that can't be loaded are left out. */
bool pair_alpha_find(const dataset *data, pair_alpha *found);

#endif
