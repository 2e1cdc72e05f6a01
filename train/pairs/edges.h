/* The lines of a photograph: thin, connected, black on white, like those of the published edges2shoes.
 *
 * Canny's detector with automatic thresholds. Each colour is smoothed by a Gaussian, and a pixel has the
 * gradient of the colour whose gradient is steepest there. Kept are the pixels that are maxima across their
 * line: those above a high threshold, and those above a low one that are connected to them. Lines are thinned
 * to one pixel, and short pieces are removed. There is no trained network, and nothing is read from files.
 */
#ifndef P2P_EDGES_H
#define P2P_EDGES_H

#include "image/image.h"

#define EDGES_LEAST_SMOOTHING 0.5
#define EDGES_MOST_SMOOTHING  16.0

typedef struct {
    double smoothing; /* standard deviation of the Gaussian in pixels, within the limits above */
    double detail;    /* the share of all maxima that are strong, 0 to 1 */
    int shortest;     /* a connected piece of fewer pixels is removed */
} edges_options;

/* Draw the lines of a photograph of any format, whose alpha is ignored. The result is grey, 8 bits: 0 on
 * lines, 255 elsewhere. P2P_INVALID for options out of range. The caller frees the result; it is empty after
 * a failure. */
p2p_status edges_draw(image_view photo, const edges_options *options, image *lines);

/* The most memory that edges_draw takes for a photograph of this size, its result included. */
uint64_t edges_bytes(int width, int height);

#endif
