/* Planner of direct filter gradients in bf16 (P2P_MATH_bf16) for CPU devices:
 * kernels/conv/conv_direct_bf16.cl. ocl_conv_direct.c plans the direct forward convolution and data
 * gradient in bf16.
 */
#include "ocl_conv_direct_bf16.h"

#include "ocl_conv_direct_filter.h"
#include "ocl_conv_shared.h"

#include <stdio.h>

enum {
    X = P2P_AT_conv_bwd_filter_x,
    DY = P2P_AT_conv_bwd_filter_dy,
    DW = P2P_AT_conv_bwd_filter_dw,
    FEW_CHANNELS = 7,            /* up to which a filter gradient has a form of its own */
    LEAST_TERMS = 32,            /* of a filter gradient's sums */
    CHUNK_BYTES = 128 << 10,     /* of the packed rows that a filter gradient processes at a time */
    PARTS_BYTES = 16 << 20,      /* of a filter gradient's parts together */
    FILTER_ITEMS = 32,           /* work-items of a filter gradient below which it is summed in parts */
    MAX_SCRATCH_FLOATS = 1 << 28 /* limit for any shape */
};

/* A filter gradient in the terms of the kernels. */
typedef struct {
    int64_t stride, rows, vecs; /* of a register tile: channels of x, vectors of dy */
    int64_t x_blocks, dy_blocks, groups;
    int64_t pair_rows, pixel_rows, pixel_columns;
    int64_t chunk, parts, size;
    uint64_t pixels, gradients, sums, floats; /* scratch memory: the start of each array, and the total */
} filter_shape;

static filter_shape shape_of(const ocl_target *target, const p2p_op *op) {
    const p2p_tensor *x = &op->t[X], *dy = &op->t[DY], *dw = &op->t[DW];
    filter_shape s = {.stride = ocl_stride(op),
                      .rows = target->vector_width >= 16 ? 8 : 2,
                      .x_blocks = ocl_blocks(x->c),
                      .dy_blocks = ocl_blocks(dy->c),
                      .pair_rows = p2p_divide_up(dy->h, 2)};
    s.vecs = s.dy_blocks > 1 ? 2 : 1;
    s.groups = p2p_divide_up(s.dy_blocks, s.vecs);
    s.pixel_rows = s.stride * (s.pair_rows - 1) + dw->h;
    s.pixel_columns = s.stride * (dy->w - 1) + dw->w;
    s.size = s.x_blocks * s.dy_blocks * dw->h * dw->w * OCL_LANES * OCL_LANES;
    return s;
}

/* Divides the rows of pairs into parts, if there are too few filters, and into chunks. */
static void divide_rows(const p2p_op *op, filter_shape *s) {
    const int64_t row_bytes =
        (op->t[DY].w * s->vecs + s->stride * s->pixel_columns) * OCL_LANES * (int64_t)sizeof(float);
    const int64_t all_rows = op->t[DY].n * s->pair_rows;
    s->chunk = ocl_min(s->pair_rows, ocl_max(1, CHUNK_BYTES / row_bytes));
    s->parts = 1;
    if (s->x_blocks * s->groups >= FILTER_ITEMS) return;
    s->parts = ocl_min(p2p_divide_up(FILTER_ITEMS, s->x_blocks * s->groups), all_rows);
    s->parts = ocl_max(1, ocl_min(s->parts, PARTS_BYTES / (s->size * (int64_t)sizeof(float))));
    s->chunk = ocl_min(s->chunk, ocl_max(1, all_rows / s->parts));
}

static void lay_out(const p2p_op *op, filter_shape *s) {
    const int64_t images = op->t[X].n;
    s->gradients = (uint64_t)(images * s->x_blocks * s->pixel_rows * s->pixel_columns * OCL_LANES);
    s->sums =
        s->gradients + (uint64_t)(images * s->groups * s->pair_rows * op->t[DY].w * s->vecs * OCL_LANES);
    s->floats = s->sums + (uint64_t)(s->parts > 1 ? s->size * s->parts : 0);
}

static ocl_launch *add_launch(const ocl_target *target, ocl_plan *plan, const filter_shape *s,
                              const char *kernel, int64_t x, int64_t y, int64_t z) {
    ocl_launch *launch = ocl_conv_launch_cpu(target, plan, "bf16.clh", kernel, x, y, z);
    launch->source[3] = "conv_direct_bf16.cl";
    ocl_bf16_options(target, launch);
    ocl_launch_option(launch, "STRIDE=%d", (int)s->stride);
    ocl_launch_option(launch, "ROWS=%d", (int)s->rows);
    ocl_launch_option(launch, "VECS=%d", (int)s->vecs);
    return launch;
}

static void add_packing(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const filter_shape *s) {
    ocl_launch *launch =
        add_launch(target, plan, s, "conv_direct_bf16_pack_pixels", s->pixel_rows, s->x_blocks, op->t[X].n);
    ocl_conv_arg_activation(launch, op, X);
    ocl_arg_scratch(launch, s->pixels);
    ocl_arg_int(launch, op->pad_top);
    ocl_arg_int(launch, op->pad_left);
    ocl_arg_int(launch, s->stride * s->pair_rows);
    ocl_arg_int(launch, s->pixel_columns);
    launch =
        add_launch(target, plan, s, "conv_direct_bf16_pack_gradients", s->pair_rows, s->groups, op->t[X].n);
    ocl_conv_arg_activation(launch, op, DY);
    ocl_arg_scratch(launch, s->gradients);
}

static void add_sums(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const filter_shape *s) {
    ocl_launch *launch =
        add_launch(target, plan, s, "conv_direct_bf16_filter", s->x_blocks, s->groups, s->parts);
    ocl_arg_scratch(launch, s->pixels);
    ocl_arg_int(launch, s->pixel_rows);
    ocl_arg_int(launch, s->pixel_columns);
    ocl_arg_scratch(launch, s->gradients);
    ocl_arg_int(launch, s->pair_rows);
    ocl_arg_int(launch, op->t[DY].w);
    ocl_arg_int(launch, s->dy_blocks);
    if (s->parts > 1)
        ocl_arg_scratch(launch, s->sums);
    else
        ocl_arg_operand(launch, DW);
    ocl_arg_ulong(launch, (uint64_t)s->size);
    ocl_arg_int(launch, op->t[DW].h);
    ocl_arg_int(launch, op->t[DW].w);
    ocl_arg_int(launch, op->t[X].n);
    ocl_arg_int(launch, s->chunk);
    ocl_arg_int(launch, s->parts);
    ocl_arg_int(launch, s->parts == 1 && p2p_op_accumulates(op, DW));
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "conv_direct_bf16_filter %dx%d in %d",
             (int)s->rows, (int)s->vecs, (int)s->parts);
}

static p2p_status check_filter_gradient(const ocl_target *target, const p2p_op *op) {
    const p2p_tensor *x = &op->t[X], *dy = &op->t[DY];
    P2P_TRY(ocl_conv_check_activation(target, op, X));
    P2P_TRY(ocl_conv_check_activation(target, op, DY));
    P2P_TRY(ocl_conv_check_filter(target, op, DW, false));
    if (target->family == OCL_CONV_DIRECT) return P2P_OK; /* requested by name */
    if (x->c <= FEW_CHANNELS || dy->c <= FEW_CHANNELS)
        return ocl_refuse(target, op, "so few channels are summed in fp32");
    if (dy->n * dy->h * dy->w < LEAST_TERMS)
        return ocl_refuse(target, op, "sums of less than %d terms gain nothing in bf16", LEAST_TERMS);
    return P2P_OK;
}

p2p_status ocl_plan_conv_direct_bf16(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    P2P_TRY(check_filter_gradient(target, op));
    filter_shape s = shape_of(target, op);
    divide_rows(op, &s);
    lay_out(op, &s);
    if (s.floats > MAX_SCRATCH_FLOATS) return ocl_refuse(target, op, "more than 1 GiB of scratch memory");
    plan->answer.scratch_bytes = (size_t)s.floats * sizeof(float);
    add_packing(target, op, plan, &s);
    add_sums(target, op, plan, &s);
    if (s.parts > 1) ocl_conv_direct_add_parts(target, op, plan, s.sums, s.size, s.parts);
    return P2P_OK;
}
