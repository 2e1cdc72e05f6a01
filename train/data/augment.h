/* Random resize-and-crop and mirroring, the same for both pictures of a pair.
 *
 * Numbers come from a counter-based generator keyed by (seed, epoch, sample), so a pair's augmentation
 * depends neither on its batch nor on threads or history. Nothing is decoded and no file is read here.
 */
#ifndef P2P_AUGMENT_H
#define P2P_AUGMENT_H

#include "image/resize.h"

#include <stdbool.h>

typedef struct {
    int size;      /* side of the square result */
    int load_size; /* with jitter: side to which a picture is resized before a random crop of `size` */
    bool jitter;   /* without it a picture is resized to `size` directly and nothing is cropped */
    bool flip;     /* mirror left to right with probability 1/2 */
    resize_filter filter;
} augment_options;

/* What is done to one pair: the crop's corner (0 <= left, top <= load_size - size) and the mirroring. */
typedef struct {
    int left, top;
    bool mirror;
} augment_choice;

/* P2P_USAGE where the sizes make no sense together; names the option at fault. */
p2p_status augment_check(const augment_options *options);

/* Offsets are uniform, both ends included. */
augment_choice augment_draw(const augment_options *options, uint64_t seed, int64_t epoch, int64_t sample);

/* Apply to one picture: size * size pixels of the source's format. Both pictures of a pair get the same
 * choice. */
p2p_status augment_apply(const augment_options *options, augment_choice choice, image_view source,
                         void *pixels);

#endif
