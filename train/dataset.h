/* A folder of pairs: which files belong to a split, in which order an epoch visits them, and the two halves
 * of a file.
 *
 * DIR/train, DIR/val and DIR/test hold pictures with A on the left and B on the right, in subfolders too.
 * Nothing is kept in memory but the names. Augmentation is in augment.h, prefetching in loader.h.
 */
#ifndef P2P_DATASET_H
#define P2P_DATASET_H

#include "image.h"

typedef enum { DATASET_A_TO_B, DATASET_B_TO_A } dataset_direction;

typedef struct dataset dataset;

/* The form in which pictures of a pair are wanted. */
typedef struct {
    image_format input, target;
} pair_format;

/* The two pictures of a pair: what the generator sees, and what it is to draw. */
typedef struct {
    image_view input, target;
    image pictures[3]; /* what the views look at, where owned */
} image_pair;

void image_pair_free(image_pair *pair); /* an empty one ({0}) is ignored */

/* Whether DIR has a folder for the split ("train", "val", "test"). */
bool dataset_has_split(const char *dir, const char *split);

/* List DIR/SPLIT: .jpg, .jpeg and .png in any case, hidden files left out, sorted by relative path in byte
 * order. Every file's header is read, so that a file that is no picture, too large, or of odd width is named
 * here and not in the middle of an epoch. A missing or empty folder is P2P_INPUT. */
p2p_status dataset_open(dataset **result, const char *dir, const char *split, dataset_direction direction);
void dataset_close(dataset *data); /* NULL is ignored */

int64_t dataset_count(const dataset *data);

/* What the pictures of each side, converted to these numbers of channels, need to keep every bit: 16 bits
 * where any file has them. */
pair_format dataset_format(const dataset *data, int channels_in, int channels_out);

/* A sample's path relative to the split's folder; owned by the data set. */
const char *dataset_name(const dataset *data, int64_t sample);

/* Decode one sample and give both pictures in this format (see image_convert). The caller frees the pair; it
 * is empty after a failure. */
p2p_status dataset_load(const dataset *data, int64_t sample, pair_format format, image_pair *pair);

/* The order in which an epoch visits `count` samples (count < 2^31): a Fisher-Yates shuffle by counter-based
 * numbers from (seed, epoch), or ascending without shuffle. */
void dataset_order(int64_t *order, int64_t count, bool shuffle, uint64_t seed, int64_t epoch);

#endif
