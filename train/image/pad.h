/* Pictures of any size for networks that take certain sizes only: reflected at their borders, and cut out of
 * the result again.
 */
#ifndef P2P_PAD_H
#define P2P_PAD_H

#include "image.h"

/* The least multiple of `unit` that is at least `side`. */
int pad_side(int side, int unit);

/* A picture of width x height, sides not below the source's, with the source in the middle (an odd pixel more
 * on the right and below). Around it lies its reflection, whose axis is the border pixel itself, as in
 * PyTorch's "reflect" mode; where the source is shorter than what is missing, it is reflected again and
 * again, and a single pixel is repeated. */
p2p_status pad_reflect(const image *source, int width, int height, image *result);

/* What became of the source: width x height pixels from the middle of `picture`, in its place. */
p2p_status pad_crop(image *picture, int width, int height);

#endif
