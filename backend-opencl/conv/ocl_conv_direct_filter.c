/* Planner of direct filter gradients for CPU devices: kernels/conv/conv_direct_filter.cl.
 *
 * The register tile affects speed only. The number of parts into which a gradient is divided affects bits: it
 * depends on the shape and the device's vector width alone.
 */
#include "ocl_conv_direct_filter.h"

#include "ocl_conv_shared.h"

#include <stdio.h>

enum {
    MAX_FEW_TAPS = 8,       /* columns of taps in the form for few output channels: its sums are registers */
    ROWS_BYTES = 128 << 10, /* of the rows that are processed at a time */
    PARTS_BYTES = 16 << 20, /* of all parts together */
    FILTER_ITEMS = 32       /* work-items below which a gradient is summed in parts */
};

enum { X = P2P_AT_conv_bwd_filter_x, DY = P2P_AT_conv_bwd_filter_dy, DW = P2P_AT_conv_bwd_filter_dw };

/* A register tile: input channels, and vectors of output channels. */
typedef struct {
    int64_t rows, vecs;
} filter_tile;

/* Few output channels: lanes run along the input channels. There are no parts, because each work-item has
 * one row of taps. */
static void plan_few_filters(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const p2p_tensor *dw = &op->t[DW];
    ocl_launch *launch = ocl_conv_launch_cpu(target, plan, "conv_direct_filter.cl", "conv_direct_filter_few",
                                             ocl_blocks(op->t[X].c), dw->h, 1);
    ocl_launch_option(launch, "STRIDE=%d", (int)ocl_stride(op));
    ocl_launch_option(launch, "ROWS=1");
    ocl_launch_option(launch, "VECS=1");
    ocl_launch_option(launch, "TAPS_W=%d", (int)dw->w);
    ocl_launch_option(launch, "FEW=%d", OCL_CONV_FEW_OUTPUTS);
    ocl_conv_arg_activation(launch, op, X);
    ocl_conv_arg_activation(launch, op, DY);
    ocl_arg_operand(launch, DW);
    ocl_arg_int(launch, op->t[X].n);
    ocl_arg_int(launch, op->pad_top);
    ocl_arg_int(launch, op->pad_left);
    ocl_arg_int(launch, p2p_op_accumulates(op, DW));
}

/* Few input channels are all in one tile. */
static filter_tile default_filter_tile(const ocl_target *target, const p2p_op *op) {
    const int64_t room = ocl_conv_sums(target, OCL_SUMS_USUAL), dy_blocks = ocl_blocks(op->t[DY].c);
    filter_tile tile = {1, 1};
    if (op->t[X].c <= ocl_min(8, room)) {
        tile.rows = op->t[X].c;
    } else {
        while (tile.rows < 8 && 2 * tile.rows <= room) tile.rows *= 2;
    }
    while (2 * tile.rows * tile.vecs <= room && tile.vecs < dy_blocks && tile.vecs < 8) tile.vecs *= 2;
    return tile;
}

/* The target's variant, or the default. Rows must divide a block of channels, or be all of them. */
static p2p_status choose_filter_tile(const ocl_target *target, const p2p_op *op, filter_tile *tile) {
    int64_t n[2];
    *tile = default_filter_tile(target, op);
    if (!ocl_has_variant(target)) return P2P_OK;
    if (!ocl_variant_numbers(target->variant, n, 2) || n[0] * n[1] > ocl_conv_sums(target, OCL_SUMS_MOST) ||
        (OCL_LANES % n[0] != 0 && (n[0] != op->t[X].c || n[0] > OCL_LANES)))
        return ocl_refuse(target, op, "'%s' is not a tile of at most %d sums", target->variant,
                          (int)ocl_conv_sums(target, OCL_SUMS_MOST));
    tile->rows = n[0];
    tile->vecs = n[1];
    return P2P_OK;
}

/* Division of the images' rows for a tile. With several parts it determines the order of summation. */
typedef struct {
    int64_t rows, parts;
} filter_division;

static filter_division divide_rows(const p2p_op *op, const filter_tile *tile, int64_t size) {
    const p2p_tensor *x = &op->t[X], *dy = &op->t[DY];
    const int64_t items = ocl_blocks(x->c) * p2p_divide_up(ocl_blocks(dy->c), tile->vecs);
    const int64_t row_bytes =
        (dy->w * tile->vecs + ocl_stride(op) * x->w) * OCL_LANES * (int64_t)sizeof(float);
    filter_division d = {ocl_min(dy->h, ocl_max(1, ROWS_BYTES / row_bytes)), 1};
    if (items >= FILTER_ITEMS) return d;
    d.parts = ocl_min(p2p_divide_up(FILTER_ITEMS, items), dy->n * dy->h);
    d.parts = ocl_max(1, ocl_min(d.parts, PARTS_BYTES / (size * (int64_t)sizeof(float))));
    d.rows = ocl_min(d.rows, ocl_max(1, dy->n * dy->h / d.parts));
    return d;
}

static bool has_few_filters(const p2p_op *op) {
    return op->t[DY].c <= OCL_CONV_FEW_OUTPUTS && op->t[X].c >= OCL_LANES && op->t[DW].w <= MAX_FEW_TAPS;
}

void ocl_conv_direct_add_parts(const ocl_target *target, const p2p_op *op, ocl_plan *plan, uint64_t at,
                               int64_t size, int64_t parts) {
    ocl_launch *launch =
        ocl_conv_launch_cpu(target, plan, "conv_direct_filter.cl", "conv_direct_add_parts", size / 256, 1, 1);
    ocl_launch_option(launch, "STRIDE=1");
    ocl_launch_option(launch, "ROWS=1");
    ocl_launch_option(launch, "VECS=1");
    ocl_arg_scratch(launch, at);
    ocl_arg_ulong(launch, (uint64_t)size);
    ocl_arg_int(launch, parts);
    ocl_arg_operand(launch, DW);
    ocl_arg_int(launch, p2p_op_accumulates(op, DW));
}

/* The launch of the sums: in scratch memory if there are several parts of `size` floats each, else in dw. */
static void add_filter_launch(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                              const filter_tile *tile, const filter_division *d, int64_t size) {
    const p2p_tensor *x = &op->t[X], *dy = &op->t[DY], *dw = &op->t[DW];
    ocl_launch *launch =
        ocl_conv_launch_cpu(target, plan, "conv_direct_filter.cl", "conv_direct_filter", ocl_blocks(x->c),
                            p2p_divide_up(ocl_blocks(dy->c), tile->vecs), d->parts);
    ocl_launch_option(launch, "STRIDE=%d", (int)ocl_stride(op));
    ocl_launch_option(launch, "ROWS=%d", (int)tile->rows);
    ocl_launch_option(launch, "VECS=%d", (int)tile->vecs);
    ocl_conv_arg_activation(launch, op, X);
    ocl_conv_arg_activation(launch, op, DY);
    if (d->parts > 1)
        ocl_arg_scratch(launch, 0);
    else
        ocl_arg_operand(launch, DW);
    ocl_arg_ulong(launch, (uint64_t)size);
    ocl_arg_int(launch, dw->h);
    ocl_arg_int(launch, dw->w);
    ocl_arg_int(launch, x->n);
    ocl_arg_int(launch, op->pad_top);
    ocl_arg_int(launch, op->pad_left);
    ocl_arg_int(launch, d->rows);
    ocl_arg_int(launch, d->parts);
    ocl_arg_int(launch, d->parts == 1 && p2p_op_accumulates(op, DW));
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "conv_direct_filter %dx%d in %d",
             (int)tile->rows, (int)tile->vecs, (int)d->parts);
}

p2p_status ocl_plan_conv_direct_filter(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const p2p_tensor *x = &op->t[X], *dy = &op->t[DY], *dw = &op->t[DW];
    P2P_TRY(ocl_conv_check_activation(target, op, X));
    P2P_TRY(ocl_conv_check_activation(target, op, DY));
    P2P_TRY(ocl_conv_check_filter(target, op, DW, false));
    P2P_TRY(ocl_conv_check_stride(target, op));
    if (has_few_filters(op)) {
        if (ocl_has_variant(target))
            return ocl_refuse(target, op, "so few output channels have one tile only");
        plan_few_filters(target, op, plan);
        return P2P_OK;
    }
    filter_tile tile;
    P2P_TRY(choose_filter_tile(target, op, &tile));
    const int64_t size =
        ocl_blocks(x->c) * ocl_blocks(dy->c) * dw->h * dw->w * OCL_LANES * OCL_LANES; /* floats of dw */
    const filter_tile usual = default_filter_tile(target, op); /* for one order of summation */
    const filter_division d = divide_rows(op, &usual, size);
    add_filter_launch(target, op, plan, &tile, &d, size);
    if (d.parts == 1) return P2P_OK;
    ocl_conv_direct_add_parts(target, op, plan, 0, size, d.parts);
    plan->answer.scratch_bytes = (size_t)(size * d.parts) * sizeof(float);
    return P2P_OK;
}

int ocl_conv_direct_filter_variants(const ocl_target *target, const p2p_op *op, bool all,
                                    ocl_variant_name names[OCL_MOST_VARIANTS]) {
    static const filter_tile tiles[] = {{8, 3}, {4, 4}, {16, 1}, {8, 2}, {4, 1}, {2, 2}, {2, 1}, {1, 2}};
    const filter_tile usual = default_filter_tile(target, op);
    const int64_t sums = usual.rows * usual.vecs;
    int count = 0;
    if (has_few_filters(op)) return 0;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        const filter_tile *t = &tiles[i];
        if ((!all && t->rows == usual.rows && t->vecs == usual.vecs) || t->rows * t->vecs < sums ||
            t->rows * t->vecs > ocl_conv_sums(target, OCL_SUMS_MOST) || t->vecs > ocl_blocks(op->t[DY].c) ||
            t->rows > ocl_blocks(op->t[X].c) * OCL_LANES)
            continue;
        snprintf(names[count++], sizeof names[0], "%dx%d", (int)t->rows, (int)t->vecs);
    }
    return count;
}
