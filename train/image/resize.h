/* Resizing: bicubic with Pillow's values, or nearest with TensorFlow's. Any format of image.h; every channel
 * by itself, alpha included (nothing is multiplied by it).
 *
 * Bicubic is antialiased (the filter widens when shrinking), Keys' cubic with a = -0.5, separable, each pass
 * rounded to the format's bits. For 8 bits the coefficients are in fixed point, for 16 bits in double: so
 * Pillow does it for RGB and for I;16. The horizontal pass comes first, except where the height shrinks by
 * more than twice as many pixels as the width: so says Pillow 13, while earlier releases always began
 * horizontally and differ there by a rounding.
 *
 * Nearest takes source pixel min(floor((i + 0.5) * (source / target)), source - 1) for target pixel i of an
 * axis, all in float: tf.image.resize with NEAREST_NEIGHBOR.
 */
#ifndef P2P_RESIZE_H
#define P2P_RESIZE_H

#include "image.h"

typedef enum { RESIZE_BICUBIC, RESIZE_NEAREST } resize_filter;

/* Resize `source` to width x height and write the rectangle of crop_width x crop_height at (left, top) of
 * the result, in the source's format and without row padding, to `pixels`. The values are those of resizing
 * everything and cropping then; only what the rectangle needs is computed. The rectangle must lie inside, and
 * sides must be within image.h's limits: P2P_INVALID otherwise. */
typedef struct {
    int width, height;
    int left, top, crop_width, crop_height;
    resize_filter filter;
} resize_target;

p2p_status resize_window(image_view source, const resize_target *target, void *pixels);

/* The whole of it, as a new image. */
p2p_status resize_image(image_view source, int width, int height, resize_filter filter, image *result);

#endif
