/* The renderer of a scene: the two pictures of a pair, shaded and as outlines.
 *
 * Both are computed from the same rays, several per pixel, so that they are aligned to a fraction of a pixel
 * and antialiased. The light and the camera are the same in every picture.
 */
#ifndef P2P_SAMPLE_RENDER_H
#define P2P_SAMPLE_RENDER_H

#include "image/image.h"
#include "sample_scene.h"

/* Render a picture of 2 size x size pixels: outlines, black on white, on the left, the shaded scene on the
 * right. The caller frees the image; it is empty after a failure. */
p2p_status sample_render_pair(const sample_scene *scene, int size, image *pair);

#endif
