/* One image through a generator that isn't being trained: validation, sample pictures, translation.
 *
 * The paper's test mode: normalisation by the image's own statistics, dropout on, with a mask that depends on
 * the picture and nothing else, so the same picture always becomes the same result.
 */
#ifndef P2P_EVALUATE_H
#define P2P_EVALUATE_H

#include "augment.h"
#include "dataset.h"
#include "image.h"
#include "p2p.h"

/* Run a plan of pix2pix_graph_evaluate for one image. `input` and `target` are interleaved RGB of the
 * plan's size; `planes`, 3 planes of it, receives the result in [-1, 1]. `target` and `l1` (the mean
 * absolute difference in [-1, 1] units) go together and may be NULL for a plan without a target. */
p2p_status evaluate_image(p2p_plan *plan, const uint8_t *input, const uint8_t *target, int width, int height,
                          float *planes, double *l1);

/* A pair as validation sees it: both halves resized to size x size, nothing random. `input` and `target` hold
 * size * size * 3 bytes each. */
p2p_status evaluate_load_pair(const dataset *data, int64_t sample, int size, uint8_t *input, uint8_t *target);

#endif
