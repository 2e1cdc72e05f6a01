/* A folder of pairs: which files belong to a split, in which order an epoch visits them, and their pictures.
 *
 * Nothing is kept in memory but the names. Augmentation is in augment.h, prefetching in loader.h.
 */
#ifndef P2P_DATASET_H
#define P2P_DATASET_H

#include "image/image.h"

typedef enum { DATASET_A_TO_B, DATASET_B_TO_A } dataset_direction;

typedef struct {
    dataset_direction direction;
    bool skip_bad;    /* leave out pairs that are bad when the set is opened, instead of failing */
    bool replace_bad; /* let another pair stand in for one that is found bad later, instead of failing */
} dataset_options;

typedef struct dataset dataset;

/* The form in which pictures of a pair are wanted. */
typedef struct {
    image_format input, target;
} pair_format;

/* The two pictures of a pair: what the generator sees, and what it is to draw. */
typedef struct {
    image_view input, target;
    int64_t sample;    /* which pair it is: another than asked for where that one had gone bad */
    image pictures[4]; /* what the views look at, where owned */
} image_pair;

void image_pair_free(image_pair *pair); /* an empty one ({0}) is ignored */

/* Whether DIR holds the split ("train", "val", "test") in any of the layouts below. */
bool dataset_has_split(const char *dir, const char *split);

/* Find a split's pairs, in one of these layouts (more than one at once is refused):
 *
 *   DIR/train                   side by side: one picture with A on the left and B, equally large, on the
 * right DIR/trainA   + DIR/trainB   two folders, and so on: files whose paths below them are equal up to the
 *   DIR/train_A  + DIR/train_B  suffix are a pair of equally large pictures
 *   DIR/A/train  + DIR/B/train
 *
 * Subfolders are walked, hidden files left out; what counts is every file whose suffix is one of
 * IMAGE_SUFFIXES. Pairs are sorted by path (without suffix, in two folders) in byte order; names may be any
 * bytes. Every header is read here, so that a file that is no picture or unfit is named now and not in the
 * middle of an epoch. P2P_INPUT where the folder is missing or holds nothing, where a name is on one side
 * only or twice on one, and for a bad pair: unreadable, no picture, too large, of odd width, of unequal
 * sizes. With skip_bad, bad and single ones are left out, and it is P2P_INPUT if nothing remains. */
p2p_status dataset_open(dataset **result, const char *dir, const char *split, const dataset_options *options);
void dataset_close(dataset *data); /* NULL is ignored */

int64_t dataset_count(const dataset *data);

/* Pairs and single files that were left out, and why for the first of them: 0 <= i < the smaller of the
 * number and DATASET_REASONS. */
enum { DATASET_REASONS = 3 };
int64_t dataset_skipped(const dataset *data);
const char *dataset_skipped_reason(const dataset *data, int i);

/* What the pictures of each side, converted to these numbers of channels, need to keep every bit: 16 bits
 * where any file of that side has them. */
pair_format dataset_format(const dataset *data, int channels_in, int channels_out);

/* A sample's path relative to its folder, A's where there are two; owned by the data set. */
const char *dataset_name(const dataset *data, int64_t sample);

/* Decode one sample and give both pictures in this format (see image_convert). The caller frees the pair; it
 * is empty after a failure. With replace_bad a pair that can't be used is replaced by the next good one in
 * order, from the first again after the last; p2p_message() then tells what was wrong. */
p2p_status dataset_load(const dataset *data, int64_t sample, pair_format format, image_pair *pair);

/* The order in which an epoch visits `count` samples (count < 2^31): a Fisher-Yates shuffle by counter-based
 * numbers from (seed, epoch), or ascending without shuffle. */
void dataset_order(int64_t *order, int64_t count, bool shuffle, uint64_t seed, int64_t epoch);

#endif
