/* Common part of the planners of Winograd convolutions: the supported convolutions, and their geometry in
 * the terms of kernels/conv/winograd.clh. It chooses no tile, grid or memory, and uses no OpenCL object.
 */
#ifndef OCL_WINOGRAD_H
#define OCL_WINOGRAD_H

#include "plan/ocl_plan.h"

enum {
    OCL_WINOGRAD_TAPS = 4,                    /* of a filter, in each direction */
    OCL_WINOGRAD_MAX_STRIDE = 2,              /* divides the taps */
    OCL_WINOGRAD_MAX_SCRATCH_FLOATS = 1 << 28 /* limit for any shape */
};

/* A convolution divided into tiles of outputs x outputs positions; for a filter gradient dst is dy. */
typedef struct {
    int src, filter, bias, dst; /* positions in p2p_op.t[]; bias -1 for a filter gradient */
    bool flip;                  /* taps are reversed: the data gradient */
    bool turn;                  /* the filter's lanes run along src's channels */
    int64_t step_in, step_out;  /* the stride, if the phases are src's or dst's; else 1 */
    int64_t outputs, taps;      /* F(outputs, taps) */
    int64_t parts;              /* into which a filter with stride 1 is cut, in each direction */
    int64_t src_h, src_w;       /* the pixel of src under the first position */
    int64_t dst_h, dst_w;       /* the pixel of dst at the first position of phase 0 */
    int64_t tiles_h, tiles_w;
    int64_t row_blocks, vectors; /* input rows / 16, output vectors of 16 */
} ocl_winograd;

/* Outputs of a tile of this convolution in f32: 3, or 4 with stride 2 except for data gradients, whose 2n +
 * 1 positions fit tiles of 3. */
int64_t ocl_winograd_outputs(const p2p_op *op);

/* The geometry of a convolution that ocl_winograd_check accepts. `parts` divides the taps, and is 1
 * with stride 2. */
ocl_winograd ocl_winograd_of(const p2p_op *op, int64_t outputs, int64_t parts);

int64_t ocl_winograd_points(const ocl_winograd *w);

/* Returns P2P_UNSUPPORTED, with the reason, for taps, strides and storages that the planners do not
 * support. */
p2p_status ocl_winograd_check(const ocl_target *target, const p2p_op *op);

/* Whether Winograd may be chosen without being requested: it is not switched off, the taps and the stride
 * are supported, both sides have at least 16 channels, and maps are at least 8x8.
 *
 * On maps of a few pixels gradients are exactly zero, where a tap meets only padding, or almost zero after a
 * normalisation. Direct sums preserve that. Winograd adds rounding errors of neighbouring values, and Adam
 * divides by the gradient's magnitude. */
bool ocl_winograd_suits(const ocl_target *target, const p2p_op *op);

/* The number of images for which the choice is made. A descriptor with `images` = 1 is treated as a batch
 * of one, so that an image's bits do not depend on the batch. */
int64_t ocl_winograd_images(const p2p_op *op, const ocl_winograd *w);

/* The options OUTPUTS, TAPS, STEP_IN, STEP_OUT and PARTS of winograd.clh. */
void ocl_winograd_options(ocl_launch *launch, const ocl_winograd *w);

/* A part of the scratch memory: one array per point. */
typedef struct {
    uint64_t at;       /* floats from the start */
    uint64_t distance; /* from one point's array to the next, in floats */
} ocl_point_arrays;

void ocl_winograd_arg_arrays(ocl_launch *launch, const ocl_point_arrays *arrays);
/* The arguments of an input transform, without the tiles' rows. */
void ocl_winograd_arg_input(ocl_launch *launch, const p2p_op *op, const ocl_winograd *w,
                            const ocl_point_arrays *inputs, int64_t tiles);
/* The arguments with the tiles of a pass: images, rows and columns of tiles, and the pass's first row.
 * `columns` as the launch counts them; `rows` of a pass. */
void ocl_winograd_arg_rows(ocl_launch *launch, const p2p_op *op, const ocl_winograd *w, int64_t columns,
                           int64_t rows);
/* The arguments with which a result is stored: the activation function, and whether dst is added to. */
void ocl_winograd_arg_result(ocl_launch *launch, const p2p_op *op, const ocl_winograd *w);

/* Repeats the plan's launches from number `body` on for every pass of `rows` rows of tiles. */
void ocl_winograd_repeat(ocl_plan *plan, const p2p_op *op, const ocl_winograd *w, int64_t rows, int body);

#endif
