/* A folder of pairs: the files of a split, the order in which an epoch visits them, and their pictures.
 *
 * Only names are held in memory. Augmentation is in augment.h, prefetching in loader.h.
 */
#ifndef P2P_DATASET_H
#define P2P_DATASET_H

#include "image/image.h"
#include "pair_shape.h"

typedef enum { DATASET_A_TO_B, DATASET_B_TO_A } dataset_direction;

/* What is taken for a pair. AUTO: whatever the folders show, unless the pictures' shapes contradict it
 * (pair_shape.h). The others: the option's layout, of any shape. */
typedef enum { DATASET_PAIRS_AUTO, DATASET_PAIRS_SIDE_BY_SIDE, DATASET_PAIRS_TWO_FOLDERS } dataset_pairing;

/* "side-by-side" or "two-folders", else AUTO. */
dataset_pairing dataset_pairing_named(const char *name);

typedef struct dataset dataset;

typedef struct {
    dataset_direction direction;
    dataset_pairing pairing;
    const dataset *training; /* with AUTO: pairs must be like those of this set; NULL: none */
    /* What will be made of the pictures, for their memory: channels (0: those of the files), and the largest
     * side to which they are resized. */
    int channels_in, channels_out, side;
    bool skip_bad;    /* omit pairs that are bad when the set is opened, instead of failing */
    bool replace_bad; /* replace a pair that is found bad later by another, instead of failing */
} dataset_options;

/* The formats of the two pictures of a pair. */
typedef struct {
    image_format input, target;
} pair_format;

/* The two pictures of a pair: the generator's input and its target. */
typedef struct {
    image_view input, target;
    int64_t sample;    /* the pair's index; differs from the requested one if that pair was replaced */
    image pictures[4]; /* the pixels of the views; owned */
    uint64_t taken;    /* of the memory for pictures (image_limits.h), until the pair is freed */
} image_pair;

void image_pair_free(image_pair *pair); /* no effect on {0} */

/* Sets *has to whether DIR holds the split ("train", "val", "test") in any of the layouts below. P2P_INPUT if
 * that cannot be found out, or if a file has the name of a folder and there is none. */
p2p_status dataset_has_split(const char *dir, const char *split, bool *has);

/* Open a split: list its pairs and read every header, so that an unusable file is reported now instead of
 * during an epoch. The split "train" of DIR has exactly one of these layouts:
 *
 *   DIR/train                     a pair is one picture, A on the left, B of equal size on the right
 *   DIR/trainA and DIR/trainB     a pair is two pictures of equal size, whose paths below
 *   DIR/train_A and DIR/train_B   the two folders are equal except for the suffix
 *   DIR/train/A and DIR/train/B
 *   DIR/A/train and DIR/B/train
 *
 * Subfolders are searched; files that image_is_listed refuses are ignored. Pairs are sorted by path in byte
 * order, in two folders without the suffix. Names may be any bytes.
 *
 * P2P_INPUT if the folder is missing or has no pictures, if it has more than one layout, if a name is in one
 * folder only or twice in one, and for a bad pair: unreadable, not a picture, too large, of odd width, of
 * unequal sizes, of a shape that is refused (pair_shape.h), or one that takes more memory than all pictures
 * may (image_limits.h). With skip_bad, bad pairs and files without a
 * partner are omitted instead, and it is P2P_INPUT if nothing remains. */
p2p_status dataset_open(dataset **result, const char *dir, const char *split, const dataset_options *options);
void dataset_close(dataset *data); /* NULL is ignored */

int64_t dataset_count(const dataset *data);

/* What was taken for pairs. The data set owns the texts. */
typedef struct {
    const char *a, *b; /* the folders; `b` is NULL if A and B are side by side in each picture of `a` */
    pair_sizes sizes;
    uint64_t pair_bytes; /* the most memory that loading a pair takes */
} dataset_summary;

dataset_summary dataset_summarise(const dataset *data);

/* The pictures that are turned upright by their EXIF orientation (image.h): their number, and a hash of which
 * they are and how each is turned; 0 if there are none. */
typedef struct {
    int64_t pictures;
    uint64_t hash;
} dataset_turns;

dataset_turns dataset_turned(const dataset *data);

/* The first pairs of which a file has an alpha channel that the channels of dataset_options drop. */
enum { DATASET_ALPHA_SAMPLES = 8 };
typedef struct {
    int count;
    int64_t samples[DATASET_ALPHA_SAMPLES];
} dataset_alpha;

/* Those of the targets or of the inputs. The data set owns the result. */
const dataset_alpha *dataset_alpha_of(const dataset *data, bool target);

/* The pairs as small as thumbnails of the others are (pair_size_is_tiny), and the first of them. */
typedef struct {
    int64_t count, sample;
    pair_size size;
} dataset_tiny;

dataset_tiny dataset_tiny_pairs(const dataset *data);

/* Print a line on stderr for each folder with pictures in folders of thumbnails, or of formats that are not
 * read. */
void dataset_print_unread(const dataset *data);

/* Whether the direction is BtoA: B is the input. */
bool dataset_is_b_to_a(const dataset *data);

/* P2P_USAGE, with both names in the message, if results in `path`, the value of `option`, would lie where
 * pairs of the split are looked for, in any layout. Neither needs to exist. */
p2p_status dataset_outside(const char *dir, const char *split, const char *option, const char *path);

/* The number of pairs and single files that were omitted, and the reasons of the first DATASET_REASONS of
 * them: 0 <= i < min(dataset_skipped(), DATASET_REASONS). The data set owns the texts. */
enum { DATASET_REASONS = 3 };
int64_t dataset_skipped(const dataset *data);
const char *dataset_skipped_reason(const dataset *data, int i);

/* The size that all pairs had when the set was opened; {0, 0} if they had several. */
pair_size dataset_one_size(const dataset *data);

/* The formats with these numbers of channels that keep every bit: 16 bits if any file of a side has 16. */
pair_format dataset_format(const dataset *data, int channels_in, int channels_out);

/* A sample's path relative to its folder, or to the folder of A if there are two. Owned by the data set. */
const char *dataset_name(const dataset *data, int64_t sample);

/* The paths of a sample's files. *b is NULL if A and B are side by side in *a. The caller frees both. */
p2p_status dataset_pair_paths(const dataset *data, int64_t sample, char **a, char **b);

/* Decode one sample and convert both pictures to `format` (see image_convert), once its share of the memory
 * for pictures is free: a thread must not keep a pair while it loads another. The caller frees the pair; it
 * is empty after a failure. With replace_bad, a bad pair is replaced by the next good one in order,
 * cyclically; p2p_message() is then the reason of the last bad one. */
p2p_status dataset_load(const dataset *data, int64_t sample, pair_format format, image_pair *pair);
/* The same, but a bad pair is a failure, never replaced. */
p2p_status dataset_load_exactly(const dataset *data, int64_t sample, pair_format format, image_pair *pair);
/* Whether a pair whose loading failed with this status may be left out: it is bad, and the set was opened
 * with skip_bad. */
bool dataset_leaves_out(const dataset *data, p2p_status failure);

/* The order in which an epoch visits `count` < 2^31 samples: a Fisher-Yates shuffle with counter-based random
 * numbers of (seed, epoch), or ascending if `shuffle` is false. */
void dataset_order(int64_t *order, int64_t count, bool shuffle, uint64_t seed, int64_t epoch);

#endif
