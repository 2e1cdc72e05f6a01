/* How well drawn lines match published ones: precision, recall and F1 within a tolerance. */
#ifndef P2P_EDGE_SCORE_H
#define P2P_EDGE_SCORE_H

#include "image/image.h"

typedef struct {
    double precision, recall, f1; /* 0 to 1; 0 if either picture has no line */
} edge_score;

/* Compare two pictures of equal size. A pixel of line is one darker than 128. Precision is the share of drawn
 * pixels with a true one at most `tolerance` pixels away (Euclidean), recall the share of true pixels with a
 * drawn one; F1 is their harmonic mean. A pixel may match several. */
edge_score edge_score_of(image_view drawn, image_view truth, int tolerance);

#endif
