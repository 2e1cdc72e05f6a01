/* Pictures through a generator that isn't being trained: the one path of validation, `p2p test` and
 * `p2p translate`.
 *
 * Dropout's mask depends on a picture's bytes and nothing else, and statistics are never taken over several
 * pictures, so a picture becomes the same result in any batch, at any place in it. What is done before and
 * after (resizing, padding, files, numbers) is not known here.
 */
#ifndef P2P_EVALUATE_H
#define P2P_EVALUATE_H

#include "data/dataset.h"
#include "image/image.h"
#include "image/resize.h"
#include "model_file.h"

/* A plan of pix2pix_graph_evaluate without a target, and what it takes. */
typedef struct {
    p2p_plan *plan;
    int batch;          /* pictures in a run */
    int width, height;  /* of each */
    pair_format format; /* of inputs and results; the inputs' bits are the plan's input type */
} evaluator;

/* The type of a plan's pictures of this format: u8 or u16. */
p2p_type evaluate_type(image_format format);

/* What a model file's network takes and makes. */
pair_format evaluate_format(const pix2pix_config *config, const model_file_info *info);

/* Run `count` pictures, at most a batch, each of the evaluator's size and format. results[i], the caller's to
 * free, is what the generator draws from inputs[i]; all of them are empty after a failure. */
p2p_status evaluate_pictures(const evaluator *e, int count, const image *inputs, image *results);

/* How a data set's pictures are brought before a network. */
typedef struct {
    pair_format format;
    int size; /* side of the square */
    resize_filter filter;
} pair_form;

/* A pair as validation sees it: both pictures resized to size x size, nothing random. The caller frees both;
 * they are empty after a failure. */
p2p_status evaluate_load_pair(const dataset *data, int64_t sample, const pair_form *form, image *input,
                              image *target);

/* A pair and what the generator drew. Whoever wants to keep a picture takes it and leaves an empty one. */
typedef struct {
    int64_t sample;
    image *input, *generated, *target;
} evaluated_pair;

/* A failure ends evaluate_pairs and is returned. */
typedef p2p_status (*evaluated_visit)(void *context, const evaluated_pair *pair);

/* Run the data set's first `count` pairs, a batch at a time, and visit each in order. */
p2p_status evaluate_pairs(const evaluator *e, const dataset *data, const pair_form *form, int64_t count,
                          evaluated_visit visit, void *context);

#endif
