/* A generated data set, for trying the program without pictures.
 *
 * Each pair is an outline drawing (A, left) and a rendered picture (B, right) of the same scene: vases,
 * bowls, blocks, rings, gems and balls with light, shadow and texture. The kind of an object determines its
 * colours, so that a model can learn them. Nothing is read from files.
 */
#ifndef P2P_SAMPLE_DATA_H
#define P2P_SAMPLE_DATA_H

#include "image/image.h"

enum { SAMPLE_DATA_MIN_SIZE = 16, SAMPLE_DATA_MAX_SIZE = 4096, SAMPLE_DATA_MAX_COUNT = 100000 };

/* Write `count` pairs to DIR/train and a quarter as many (at least one) to each of DIR/val and DIR/test, as
 * JPEG files of 2 size x size pixels. Equal (count, size, seed) give equal pictures; no pair is in two
 * splits. An interrupted set of the same (count, size, seed) is completed. P2P_USAGE, before anything is
 * written, if one of the three folders has any other file or the set is complete, so that no existing file is
 * mixed up or lost, or unless SAMPLE_DATA_MIN_SIZE <= size <= SAMPLE_DATA_MAX_SIZE and 1 <= count <=
 * SAMPLE_DATA_MAX_COUNT. */
p2p_status sample_data_draw(const char *dir, int64_t count, int size, uint64_t seed);

/* Render one pair, side by side. `number` distinguishes pairs of the same seed. The caller frees the image;
 * it is empty after a failure. */
p2p_status sample_data_pair(int size, uint64_t seed, uint64_t number, image *pair);

#endif
