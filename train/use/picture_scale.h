/* The size to which `p2p translate` scales pictures before a generator draws from them: that of its training.
 *
 * A training resizes its pictures to the networks' size, whatever they measured. A generator has therefore
 * learnt shapes at that scale only. Its file records the pictures' size (model_file.h), and a picture to
 * translate is scaled by the same factors. Pictures of the training's size thus become size x size, as in
 * validation and in `p2p test`, and any other picture is scaled with them. If a training's pictures had
 * several sizes, there is no such factor, and every picture becomes size x size, as in `p2p test`.
 *
 * The factor is size / source, not load_size / source, at which the random crops of a training are cut and
 * which is an eighth larger. The published code tests at size / source too; validation, which selects the
 * best epoch, and `p2p test` do so; and both commands shall draw the same picture. NOTES.md has figures.
 * Padding is in pad.h.
 */
#ifndef P2P_PICTURE_SCALE_H
#define P2P_PICTURE_SCALE_H

#include "image/resize.h"
#include "translator.h"

#include <stdio.h>

/* Why pictures are scaled as they are. */
typedef enum {
    SCALE_OF_TRAINING, /* the file records one size */
    SCALE_TO_SQUARE,   /* the file records several sizes */
    SCALE_UNRECORDED,  /* the file records none: pictures keep their size */
    SCALE_GIVEN        /* --scale native, or --scale X */
} scale_reason;

typedef struct {
    scale_reason reason;
    int side;     /* of SCALE_TO_SQUARE: the result's width and height; else 0 */
    double up[2]; /* else sides are multiplied by up / down: width, height */
    double down[2];
    resize_filter filter;
} picture_scale;

/* Decide from --scale, --resize and the metadata of the model's file. P2P_USAGE for a wrong --scale. */
p2p_status picture_scale_choose(const translator *t, picture_scale *scale);

/* Print a line: the scale, and where it comes from. */
void picture_scale_print(const picture_scale *scale, const translator *t, FILE *stream);

/* The size of a picture of *width x *height pixels after scaling: the nearest whole numbers, at least 1.
 * P2P_INPUT, with `name` and both sizes in the message, if that is larger than pictures may be (image.h),
 * or if it is so after padding to multiples of translator_unit(). */
p2p_status picture_scale_size(const picture_scale *scale, const translator *t, const char *name, int *width,
                              int *height);

#endif
