/* Inference of a generator on pictures, for validation, `p2p test` and `p2p translate`.
 *
 * The dropout mask depends only on a picture's bytes, and statistics are never taken over several pictures,
 * so a picture's result is the same bits in any batch, at any place in it. Padding, files and metrics are the
 * callers'.
 */
#ifndef P2P_EVALUATE_H
#define P2P_EVALUATE_H

#include "data/dataset.h"
#include "image/image.h"
#include "image/resize.h"
#include "model_file.h"

/* A plan of pix2pix_graph_evaluate without a target, and the shape of its pictures. Owns nothing. */
typedef struct {
    p2p_plan *plan;
    int batch;          /* pictures per run and replica */
    int replicas;       /* 0 is 1 */
    int width, height;  /* of a picture */
    pair_format format; /* of inputs and results; the inputs' bits match the plan's input type */
    const char *model;  /* for messages: its file, or what it is */
    /* With several ranks: their number, this one's, and how many of the first pairs rank 0 evaluates. 0
     * ranks: 1. */
    int ranks, rank, first;
} evaluator;

/* The formats of the inputs and outputs of a model file's generator. */
pair_format evaluate_format(const pix2pix_config *config, const model_file_info *info);

/* The host memory that a picture of width x height takes while its batch runs: the picture, the plan's copy,
 * the result as floats and as a picture. The plan's own memory on the device is not included. */
uint64_t evaluate_bytes(int width, int height, const pair_format *format);

/* Run the generator on `count` pictures, at most a batch for each replica, each of the evaluator's size and
 * format, and wait for the results. The caller frees results[i]; all are empty after a failure. P2P_INVALID
 * if a picture has another size or format. P2P_DIVERGED, with the model and the picture's name, if a result
 * has samples that are not finite numbers: large weights overflow. */
p2p_status evaluate_pictures(const evaluator *e, int count, const image *inputs, const char *const *names,
                             image *results);

/* How the pictures of a data set are prepared for a network. */
typedef struct {
    pair_format format;
    int size; /* side of the square */
    resize_filter filter;
} pair_form;

/* Load a pair without augmentation: both pictures are resized to size x size. A bad pair is a failure, never
 * replaced. The caller frees both; they are empty after a failure. */
p2p_status evaluate_load_pair(const dataset *data, int64_t sample, const pair_form *form, image *input,
                              image *target);

/* A pair and the generator's result. To keep a picture, copy the image and set it here to {0}. Of a pair that
 * is left out (dataset_leaves_out) all three are NULL, and p2p_message() is the reason. */
typedef struct {
    int64_t sample;
    image *input, *generated, *target;
} evaluated_pair;

/* A callback of evaluate_pairs, which returns the first failure. */
typedef p2p_status (*evaluated_visit)(void *context, const evaluated_pair *pair);

/* Run the generator on the data set's first `count` pairs, in batches, and call `visit` for each in order;
 * for pairs that are left out before the others of their batch. Of several ranks each has its batches, about
 * as many. */
p2p_status evaluate_pairs(const evaluator *e, const dataset *data, const pair_form *form, int64_t count,
                          evaluated_visit visit, void *context);

#endif
