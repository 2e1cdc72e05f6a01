/* Turns a drawn scene into the two pictures of a pair: a shaded one and its outlines.
 *
 * Both come from the same rays, several per pixel, so they fit to a fraction of a pixel and are free of
 * jagged edges. Light, lens and table are the same in every picture; only things and colours differ.
 */
#ifndef P2P_SAMPLE_RENDER_H
#define P2P_SAMPLE_RENDER_H

#include "image/image.h"
#include "sample_scene.h"

/* A picture of 2 size x size: outlines, black on white, on the left, the shaded scene on the right. */
p2p_status sample_render_pair(const sample_scene *scene, int size, image *pair);

#endif
