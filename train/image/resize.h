/* Resizing: bicubic with Pillow's results, or nearest neighbour with TensorFlow's. Every format of image.h.
 * Channels are independent of each other; alpha is not multiplied in.
 *
 * Bicubic is Keys' cubic with a = -0.5, separable and antialiased: the filter widens when it shrinks a
 * picture. Each pass rounds to the format's bits. As in Pillow (modes RGB and I;16), coefficients are in
 * fixed point for 8 bits and in double for 16. The horizontal pass is first, unless the height shrinks by
 * more than twice as many pixels as the width. That is the order of Pillow 13; earlier releases always start
 * with the horizontal pass and differ by a rounding in this case.
 *
 * Nearest reads source pixel min(floor((i + 0.5) * (source / target)), source - 1) for target pixel i of an
 * axis, computed in float, as tf.image.resize with NEAREST_NEIGHBOR does.
 */
#ifndef P2P_RESIZE_H
#define P2P_RESIZE_H

#include "image.h"

typedef enum { RESIZE_BICUBIC, RESIZE_NEAREST } resize_filter;

/* "nearest", else bicubic. */
resize_filter resize_filter_named(const char *name);

/* Resize to width x height, then crop crop_width x crop_height pixels at (left, top). */
typedef struct {
    int width, height;
    int left, top, crop_width, crop_height;
    resize_filter filter;
} resize_target;

/* Resize and crop `source`, and write the result to `pixels` in the source's format without row padding. The
 * values equal those of resizing the whole picture; only what the crop needs is computed. P2P_INVALID if the
 * crop is not inside the resized picture, or if a side exceeds the limits of image.h. */
p2p_status resize_window(image_view source, const resize_target *target, void *pixels);

/* The most memory that resize_window takes beside the source and the result, for a source of this size and
 * format and a target of at most side x side pixels. */
uint64_t resize_bytes(int width, int height, image_format format, int side);

/* Resize without a crop, into a new image. */
p2p_status resize_image(image_view source, int width, int height, resize_filter filter, image *result);

#endif
