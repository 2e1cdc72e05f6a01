/* Padding of pictures to the sizes that a network accepts, by reflection, and the crop that undoes it. */
#ifndef P2P_PAD_H
#define P2P_PAD_H

#include "image.h"

/* `side` rounded up to a multiple of `unit`. */
int pad_side(int side, int unit);

/* Pad `source` to width x height, which must not be smaller. The source is centred; if a padding is odd, the
 * right or lower one is larger by a pixel. The padding reflects the source about its border pixel, as
 * PyTorch's "reflect" mode does. If it is wider than the source, the reflection repeats; a side of one pixel
 * is replicated. */
p2p_status pad_reflect(const image *source, int width, int height, image *result);

/* Undo pad_reflect: crop `picture` in place to the width x height pixels that the source had. */
p2p_status pad_crop(image *picture, int width, int height);

#endif
