/* Augmentation: random crop after a resize, and random mirroring, equal for both pictures of a pair.
 *
 * Random numbers are counter-based, with the key (seed, epoch, sample), so a pair's augmentation does not
 * depend on its batch, on threads or on earlier draws. Pictures are decoded elsewhere (dataset.h).
 */
#ifndef P2P_AUGMENT_H
#define P2P_AUGMENT_H

#include "image/resize.h"

#include <stdbool.h>

typedef struct {
    int size;      /* side of the square result */
    int load_size; /* with jitter: side to which a picture is resized before the random crop */
    bool jitter;   /* false: a picture is resized to `size`, without a crop */
    bool flip;     /* mirror left to right with probability 1/2 */
    resize_filter filter;
} augment_options;

/* The augmentation of one pair: the crop's corner, 0 <= left, top <= load_size - size, and the mirroring. */
typedef struct {
    int left, top;
    bool mirror;
} augment_choice;

/* P2P_USAGE, with the option's name in the message, if sizes are out of range or contradict each other. */
p2p_status augment_check(const augment_options *options);

/* Draw a pair's augmentation. Offsets are uniform over their range, both ends included. */
augment_choice augment_draw(const augment_options *options, uint64_t seed, int64_t epoch, int64_t sample);

/* Augment one picture into size * size pixels of the source's format. */
p2p_status augment_apply(const augment_options *options, augment_choice choice, image_view source,
                         void *pixels);

#endif
