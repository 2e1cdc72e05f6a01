/* Planner of convolutions on tiles in local memory: kernels/conv_gpu.cl.
 *
 * Takes any shape in the backend's own storage. The tile follows from the largest work-group that the device
 * and the compiled kernel allow, down to one work-item; local memory stays below 10 KiB and within the
 * device's.
 */
#include "ocl_plan.h"

#include <string.h>

/* Work-items and results of each, along rows (m) and columns (n) of the tile; columns are whole blocks. */
typedef struct {
    int group_m, group_n, item_m, item_n;
} tile_shape;

static const tile_shape tiles[] = {
    {16, 16, 4, 4}, /* 64 x 64 */
    {8, 8, 4, 4},   /* 32 x 32 */
    {4, 4, 4, 4},   /* 16 x 16 */
    {1, 1, 4, 16},  /* 4 x 16 */
};

enum { TILE_COUNT = sizeof tiles / sizeof tiles[0], MOST_GROUPS = 65535 };

/* What conv_tile, the larger of the two kernels, keeps in local memory. */
static size_t local_bytes(const tile_shape *t) {
    int rows = t->group_m * t->item_m, columns = t->group_n * t->item_n;
    return (size_t)(OCL_LANES * (rows + 1 + columns + 1)) * sizeof(float) +
           (size_t)(3 * rows) * sizeof(int32_t);
}

static const tile_shape *choose_tile(const ocl_target *target) {
    for (int i = 0; i < TILE_COUNT - 1; i++)
        if ((size_t)(tiles[i].group_m * tiles[i].group_n) <= target->group_limit &&
            local_bytes(&tiles[i]) <= target->local_bytes)
            return &tiles[i];
    return &tiles[TILE_COUNT - 1];
}

static p2p_status want_storage(const ocl_target *target, const p2p_op *op, int in, int filter, int out) {
    const p2p_tensor *w = &op->t[filter];
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, in, false, 0, &view));
    P2P_TRY(ocl_view_of(target, op, out, false, 0, &view));
    if (op->t[in].type != P2P_TYPE_f32 || op->t[out].type != P2P_TYPE_f32)
        return ocl_refuse(target, op, "activations must be f32");
    if (w->type != P2P_TYPE_f32 || w->layout != P2P_LAYOUT_ckrs || w->block != OCL_LANES)
        return ocl_refuse(target, op, "the filter must be f32:ckrs16");
    if (w->h * w->w > INT32_MAX || op->stride > UINT8_MAX)
        return ocl_refuse(target, op, "a filter of 2^31 taps or a stride above 255");
    return P2P_OK;
}

/* A launch of groups (m, n, z), each of one tile. */
static ocl_launch *add_tiled(const ocl_target *target, ocl_plan *plan, const char *kernel, int64_t rows,
                             int64_t columns, int64_t z) {
    const tile_shape *tile = choose_tile(target);
    ocl_launch *launch = ocl_launch_add(target, plan, "conv_gpu.cl", kernel);
    ocl_launch_option(launch, "GROUP_M=%d", tile->group_m);
    ocl_launch_option(launch, "GROUP_N=%d", tile->group_n);
    ocl_launch_option(launch, "ITEM_M=%d", tile->item_m);
    ocl_launch_option(launch, "ITEM_N=%d", tile->item_n);
    launch->local[0] = (size_t)(tile->group_m * tile->group_n);
    launch->local[1] = launch->local[2] = 1;
    launch->global[0] = (size_t)ocl_divide_up(rows, tile->group_m * tile->item_m) * launch->local[0];
    launch->global[1] = (size_t)ocl_divide_up(columns, tile->group_n * tile->item_n);
    launch->global[2] = (size_t)z;
    return launch;
}

/* GEOMETRY of conv_gpu.cl. */
static void arg_geometry(ocl_launch *launch, const p2p_op *op, int in, int filter, int out) {
    const p2p_tensor *x = &op->t[in], *w = &op->t[filter], *y = &op->t[out];
    const int64_t numbers[] = {x->n,        x->h,        x->w, x->c, y->h,
                               y->w,        y->c,        w->h, w->w, op->stride ? op->stride : 1,
                               op->pad_top, op->pad_left};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) ocl_arg_int(launch, numbers[i]);
}

/* Forward, or with `transposed` the gradient of the data, from operand `in` to operand `out`. */
static p2p_status plan_tile(const ocl_target *target, const p2p_op *op, bool transposed, int in, int filter,
                            int bias, int out, ocl_plan *plan) {
    const p2p_tensor *y = &op->t[out];
    int64_t stride = transposed && op->stride ? op->stride : 1;
    int64_t rows =
        y->n * ocl_divide_up(y->h, stride) * ocl_divide_up(y->w, stride); /* of the largest phase */
    P2P_TRY(want_storage(target, op, in, filter, out));
    P2P_TRY(ocl_want_plain(target, op, bias));
    ocl_launch *launch = add_tiled(target, plan, "conv_tile", rows, y->c, stride * stride);
    if (transposed) ocl_launch_option(launch, "TRANSPOSED");
    ocl_arg_activation(launch, op, in);
    ocl_arg_operand(launch, filter);
    ocl_arg_optional(launch, op, bias, in);
    ocl_arg_activation(launch, op, out);
    ocl_arg_int(launch, ocl_accumulates(op, out));
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    arg_geometry(launch, op, in, filter, out);
    return P2P_OK;
}

static p2p_status plan_filter(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    enum { X = P2P_AT_conv_bwd_filter_x, DY = P2P_AT_conv_bwd_filter_dy, DW = P2P_AT_conv_bwd_filter_dw };
    const p2p_tensor *dw = &op->t[DW];
    P2P_TRY(want_storage(target, op, X, DW, DY));
    if (dw->h * dw->w > MOST_GROUPS) return ocl_refuse(target, op, "a filter of more than 65535 taps");
    /* Rows cover the padding lanes of the last block too, which must become zero. */
    ocl_launch *launch = add_tiled(target, plan, "conv_filter_tile",
                                   ocl_divide_up(dw->c, OCL_LANES) * OCL_LANES, dw->n, dw->h * dw->w);
    ocl_arg_activation(launch, op, X);
    ocl_arg_activation(launch, op, DY);
    ocl_arg_operand(launch, DW);
    ocl_arg_int(launch, ocl_accumulates(op, DW));
    arg_geometry(launch, op, X, DW, DY);
    return P2P_OK;
}

p2p_status ocl_plan_conv_gpu(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    p2p_status status;
    if (op->kind == P2P_KIND_conv_fwd)
        status = plan_tile(target, op, false, P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_bias,
                           P2P_AT_conv_fwd_y, plan);
    else if (op->kind == P2P_KIND_conv_bwd_data)
        status = plan_tile(target, op, true, P2P_AT_conv_bwd_data_dy, P2P_AT_conv_bwd_data_w,
                           P2P_AT_conv_bwd_data_bias, P2P_AT_conv_bwd_data_dx, plan);
    else
        status = plan_filter(target, op, plan);
    return status;
}
