/* Draws a small data set of its own, for trying the program out without any pictures.
 *
 * Each pair is a drawing of outlines (A, left) and a photograph-like picture of the same things (B, right):
 * vases, bowls, blocks and rings with light, shadow and texture, coloured by kind so that there is something
 * to learn. It claims no realism, and reads nothing.
 */
#ifndef P2P_SAMPLE_DATA_H
#define P2P_SAMPLE_DATA_H

#include "image/image.h"

enum { SAMPLE_DATA_MIN_SIZE = 16, SAMPLE_DATA_MAX_SIZE = 4096 };

/* Write `count` pairs to DIR/train and a quarter as many (at least one) to each of DIR/val and DIR/test, as
 * JPEG files of 2 size x size pixels. The same (count, size, seed) gives the same pictures; the splits do not
 * share any. A folder DIR/train that exists already is refused (P2P_USAGE), so nothing of the user's is mixed
 * up or lost. SAMPLE_DATA_MIN_SIZE <= size <= SAMPLE_DATA_MAX_SIZE and 1 <= count <= 100000, P2P_USAGE
 * otherwise. */
p2p_status sample_data_draw(const char *dir, int64_t count, int size, uint64_t seed);

/* One pair, side by side. `number` tells pairs of the same seed apart. */
p2p_status sample_data_pair(int size, uint64_t seed, uint64_t number, image *pair);

#endif
