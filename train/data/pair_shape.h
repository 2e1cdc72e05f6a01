/* What can be a pair, judged by the sizes of pictures. No file is opened here.
 *
 * Any picture of even width can be cut into two halves, single photographs too. Their sizes show most of
 * them: see pair_shape_of_halves. The rules are heuristics, so a user can switch them off (--pairs).
 */
#ifndef P2P_PAIR_SHAPE_H
#define P2P_PAIR_SHAPE_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of each of the two pictures of a pair, in pixels. */
typedef struct {
    int width, height;
} pair_size;

/* Cut a picture into A and B. P2P_INPUT, with the path in the message, for an odd width, and, if `judge`, for
 * the shape of a single picture: not wider than 8:5, or within 1 % of 16:9. So cameras and screens make no
 * pairs, and A and B of a pair are at least 4:5. */
p2p_status pair_shape_of_halves(const char *path, int width, int height, bool judge, pair_size *size);

/* P2P_INPUT, with both paths in the message, unless the two pictures are equally large. */
p2p_status pair_shape_of_two(const char *a, const pair_size *a_size, const char *b, const pair_size *b_size);

/* The sizes of a data set's pairs. */
typedef struct {
    int64_t different;                   /* number of different sizes */
    pair_size smallest, median, largest; /* by area */
    double narrowest, widest;            /* width / height */
} pair_sizes;

/* Summarise `count` >= 1 sizes, which are sorted in place. */
pair_sizes pair_sizes_of(pair_size *sizes, size_t count);

/* Whether a pair is as small as thumbnails of the others are: each side is at most a quarter of the median's.
 */
bool pair_size_is_tiny(pair_size size, const pair_sizes *all);

/* P2P_INPUT, with the path in the message, if all pairs of a training have one shape and `size` has another.
 * Shapes are equal if their ratios of width to height differ by at most a tenth. */
p2p_status pair_shape_like(const char *path, pair_size size, const pair_sizes *training);

#endif
