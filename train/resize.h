/* Bicubic resizing that gives Pillow's bytes.
 *
 * Antialiased (the filter widens when shrinking), Keys' cubic with a = -0.5, separable, each pass rounded to
 * 8 bits, coefficients in fixed point. The horizontal pass comes first, except where the height shrinks by
 * more than twice as many pixels as the width: so says Pillow 13, while earlier releases always began
 * horizontally and differ there by a rounding. Only interleaved 8-bit RGB.
 */
#ifndef P2P_RESIZE_H
#define P2P_RESIZE_H

#include "image.h"

/* Resize `source` to width x height and write the rectangle of crop_width x crop_height at (left, top) of
 * the result, interleaved and without row padding, to `pixels` (crop_width * crop_height * 3 bytes). The
 * bytes are those of resizing everything and cropping then; only what the rectangle needs is computed. The
 * rectangle must lie inside, and sides must be within image.h's limits: P2P_INVALID otherwise. */
typedef struct {
    int width, height;
    int left, top, crop_width, crop_height;
} resize_target;

p2p_status resize_bicubic(image_view source, const resize_target *target, uint8_t *pixels);

/* The whole of it, as a new image. */
p2p_status resize_image(image_view source, int width, int height, image *result);

#endif
