/* Planner of convolutions for GPUs: conv_gpu*.cl of kernels/conv/, on tiles in local memory of at most 32
 * KiB.
 *
 * It supports any shape in the backend's own storage, and makes three choices. The tile is chosen from the
 * number of results and compute units; no bit depends on it. The number of parts into which the sum is
 * divided, and whether filters are streamed instead (small maps), affect bits, so they depend on the shape
 * alone unless a variant is named.
 */
#include "ocl_conv_gpu.h"

#include "ocl_gpu_tile.h"

#include <stdio.h>
#include <string.h>

enum {
    MOST_TAPS = 65535,
    FULL_DEVICE = 256, /* least number of groups, in tiles of FULL_TILE x FULL_TILE, without parts */
    FULL_TILE = 64,    /* the same for all devices, because bits depend on it */
    LEAST_STEPS = 8,   /* of a part */
    MOST_PARTS = 64,   /* of a sum */
    MOST_STRIDE = UINT8_MAX,
    MOST_FLOATS = INT32_MAX - 255, /* of an image or a filter */
    THIN_ITEMS = 64,               /* of a group that streams filters */
    THIN_ROWS = 16,                /* most output positions for which a filter is streamed */
    THIN_BLOCKS = 16,              /* of channels summed by a group */
    THIN_CHANNELS = 2 * OCL_LANES, /* least number, in and out, for streaming */
    PART_VARIANTS = 4,
    SUBGROUP_ITEMS = 64, /* of a group, four sub-groups */
    MOST_SUBGROUP_BLOCKS = 4
};

/* ---- Shapes ---------------------------------------------------------------------------------------- */

/* A convolution as a matrix product, or as `phases` of them. */
typedef struct {
    int in, filter, bias, out; /* operands; for a filter gradient x, dw, none and dy */
    bool gradient, transposed; /* filter gradient; data gradient */
    int64_t rows, columns, phases;
    int64_t rows_of_bits; /* rows of the images on which bits may depend */
    int64_t taps;         /* of the largest phase */
    int64_t steps;        /* of the sum, OCL_GPU_DEPTH each */
    int64_t lanes;        /* lanes of a block of input channels that are summed */
    bool partial;         /* a block that is read has lanes that are not channels */
    int64_t count_s;      /* taps of a phase along a row, if equal for all phases; else 0 */
} product;

/* 4 or 8 if the only block has at most so many channels. */
static int64_t lanes_of(int64_t channels) {
    return channels <= 4 ? 4 : channels <= 8 ? 8 : OCL_LANES;
}

static int64_t bits_images(const p2p_op *op, int64_t n) {
    return op->images ? ocl_min(op->images, n) : n;
}

static product data_product(const p2p_op *op) {
    const bool transposed = op->kind == P2P_KIND_conv_bwd_data;
    product p = {.in = transposed ? P2P_AT_conv_bwd_data_dy : P2P_AT_conv_fwd_x,
                 .filter = transposed ? P2P_AT_conv_bwd_data_w : P2P_AT_conv_fwd_w,
                 .bias = transposed ? P2P_AT_conv_bwd_data_bias : P2P_AT_conv_fwd_bias,
                 .out = transposed ? P2P_AT_conv_bwd_data_dx : P2P_AT_conv_fwd_y,
                 .transposed = transposed};
    const p2p_tensor *x = &op->t[p.in], *w = &op->t[p.filter], *y = &op->t[p.out];
    const int64_t stride = transposed ? ocl_stride(op) : 1;
    const int64_t positions =
        p2p_divide_up(y->h, stride) * p2p_divide_up(y->w, stride); /* of the largest phase */
    p.taps = p2p_divide_up(w->h, stride) * p2p_divide_up(w->w, stride);
    p.rows = y->n * positions;
    p.rows_of_bits = bits_images(op, y->n) * positions;
    p.columns = y->c;
    p.phases = stride * stride;
    p.lanes = lanes_of(x->c);
    p.steps = p2p_divide_up(ocl_blocks(x->c) * p.taps * p.lanes, OCL_GPU_DEPTH);
    p.partial = x->c % p.lanes != 0;
    p.count_s = w->w % stride == 0 ? w->w / stride : 0;
    return p;
}

static product filter_product(const p2p_op *op) {
    product p = {.in = P2P_AT_conv_bwd_filter_x,
                 .filter = P2P_AT_conv_bwd_filter_dw,
                 .bias = -1,
                 .out = P2P_AT_conv_bwd_filter_dy,
                 .gradient = true,
                 .phases = 1};
    const p2p_tensor *x = &op->t[p.in], *w = &op->t[p.filter], *y = &op->t[p.out];
    p.lanes = lanes_of(x->c);
    p.taps = w->h * w->w;
    p.rows = p.rows_of_bits = ocl_blocks(x->c) * p.taps * p.lanes;
    p.columns = y->c;
    p.partial = x->c % p.lanes != 0 || y->c % OCL_LANES != 0;
    p.steps = p2p_divide_up(y->n * y->h * y->w, OCL_GPU_DEPTH);
    return p;
}

/* Floats of one image of an activation's channel range, in whole blocks. */
static uint64_t blocked_floats(const p2p_tensor *t) {
    return (uint64_t)(ocl_blocks(t->c) * t->h * t->w * OCL_LANES);
}

/* Floats from one image of an activation to the next, including channels outside its range. */
static int64_t image_floats(const p2p_tensor *t) {
    const p2p_tensor whole = p2p_tensor_whole(t);
    return p2p_tensor_stored(&whole) / t->n;
}

static p2p_status check(const ocl_target *target, const p2p_op *op, const product *p) {
    const p2p_tensor *w = &op->t[p->filter];
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, p->in, false, 0, &view));
    P2P_TRY(ocl_view_check(target, op, &view, p->out));
    P2P_TRY(ocl_view_of(target, op, p->out, false, 0, &view));
    if (p->bias >= 0) P2P_TRY(ocl_require_plain(target, op, p->bias));
    if (w->type != P2P_TYPE_f32 || w->layout != P2P_LAYOUT_ckrs || w->block != OCL_LANES)
        return ocl_refuse(target, op, "the filter must be f32:ckrs16");
    if (w->h * w->w > MOST_TAPS || op->stride > MOST_STRIDE)
        return ocl_refuse(target, op, "a filter of more than %d taps or a stride above %d", MOST_TAPS,
                          MOST_STRIDE);
    /* Kernels use int indices within these. */
    const p2p_tensor *y = &op->t[p->out];
    const int64_t images_of_step = OCL_GPU_DEPTH / (y->h * y->w) + 1; /* of a filter gradient */
    const int64_t image = ocl_max(image_floats(&op->t[p->in]), image_floats(y));
    if (image > MOST_FLOATS / (p->gradient ? images_of_step : 1) || p2p_tensor_stored(w) > MOST_FLOATS ||
        y->n * y->h * y->w > MOST_FLOATS)
        return ocl_refuse(target, op, "an image, a filter or all positions are more than %d", MOST_FLOATS);
    return P2P_OK;
}

/* ---- Choices --------------------------------------------------------------------------------------- */

/* How a product is computed. */
typedef struct {
    enum { TILED, SUBGROUPED, THIN } form;
    const ocl_gpu_tile *tile;     /* TILED */
    int64_t rows_of_item, blocks; /* SUBGROUPED: results of a work-item, blocks of 16 columns */
    int64_t parts;                /* of the sum; THIN has parts of its own */
} choice;

/* The product for the choice of a tile. */
static ocl_gpu_product tiled(const product *p, int64_t parts) {
    return (ocl_gpu_product){p->rows, p->columns, p->phases * parts, p->gradient};
}

/* Parts, so that every compute unit of a large device gets a tile, each long enough to justify writing its
 * result to memory. */
static int64_t parts_of_shape(const product *p) {
    const int64_t groups =
        p2p_divide_up(p->rows_of_bits, FULL_TILE) * p2p_divide_up(p->columns, FULL_TILE) * p->phases;
    int64_t parts = 1;
    while (parts < MOST_PARTS && groups * parts < FULL_DEVICE && p->steps / (2 * parts) >= LEAST_STEPS)
        parts *= 2;
    return parts;
}

/* Whether the map is so small, with many channels, that the filter dominates the memory traffic. */
static bool may_be_thin(const ocl_target *target, const p2p_op *op, const product *p) {
    const int64_t rows = p->gradient ? op->t[p->out].n * op->t[p->out].h * op->t[p->out].w : p->rows_of_bits;
    return rows <= THIN_ROWS && op->t[p->in].c >= THIN_CHANNELS && p->columns >= THIN_CHANNELS &&
           (p->gradient || (target->group_limit >= THIN_ITEMS &&
                            THIN_ROWS * THIN_ITEMS * 4 * sizeof(float) <= ocl_gpu_local_limit(target)));
}

/* Whether sub-groups may be used; they process whole blocks of channels. */
static bool may_be_subgrouped(const ocl_target *target, const product *p) {
    return target->subgroups && target->group_limit >= SUBGROUP_ITEMS && p->lanes == OCL_LANES &&
           p->columns > OCL_LANES / 2;
}

/* Parses "64x64" or, for sub-groups, "sg8x2": 8 results of a work-item in each of 2 blocks. */
static p2p_status parse_tile(const ocl_target *target, const p2p_op *op, const product *p, const char *name,
                             choice *c) {
    int64_t size[2];
    if (strncmp(name, "sg", 2) == 0) {
        if (ocl_variant_numbers(name + 2, size, 2) && size[0] <= OCL_LANES &&
            size[1] <= MOST_SUBGROUP_BLOCKS && (!p->gradient || size[0] == OCL_LANES) &&
            may_be_subgrouped(target, p)) {
            *c = (choice){.form = SUBGROUPED, .rows_of_item = size[0], .blocks = size[1]};
            return P2P_OK;
        }
        return ocl_refuse(target, op, "'%s' is not a sub-group variant for this device and shape", name);
    }
    *c = (choice){.form = TILED, .tile = ocl_gpu_tile_named(target, name)};
    return c->tile ? P2P_OK
                   : ocl_refuse(target, op, "'%s' is not a tile for which the device has room", name);
}

/* Parses a tile, with the suffix "k4" for a sum in 4 parts, or "thin". */
static p2p_status parse_variant(const ocl_target *target, const p2p_op *op, const product *p, choice *c) {
    const char *cut = strchr(target->variant, 'k');
    ocl_variant_name name = "";
    int64_t parts = parts_of_shape(p);
    if (strcmp(target->variant, "thin") == 0) {
        *c = (choice){.form = THIN};
        if (may_be_thin(target, op, p)) return P2P_OK;
        return ocl_refuse(target, op, "this is not a small map of many channels");
    }
    if (cut && (!ocl_variant_numbers(cut + 1, &parts, 1) || parts > ocl_min(MOST_PARTS, p->steps)))
        return ocl_refuse(target, op, "'%s' can't cut a sum of %lld steps", target->variant,
                          (long long)p->steps);
    const size_t length = cut ? (size_t)(cut - target->variant) : strlen(target->variant);
    if (length < sizeof name) memcpy(name, target->variant, length);
    P2P_TRY(parse_tile(target, op, p, name, c));
    c->parts = parts;
    return P2P_OK;
}

static p2p_status choose(const ocl_target *target, const p2p_op *op, const product *p, choice *c) {
    if (ocl_has_variant(target)) return parse_variant(target, op, p, c);
    *c = (choice){.form = THIN};
    if (may_be_thin(target, op, p)) return P2P_OK;
    *c = (choice){.form = TILED, .parts = parts_of_shape(p)};
    const ocl_gpu_product all = tiled(p, c->parts);
    c->tile = ocl_gpu_tile_cheapest(target, &all);
    return c->tile ? P2P_OK : ocl_refuse(target, op, "the device has no local memory");
}

/* ---- Launches -------------------------------------------------------------------------------------- */

static ocl_launch *add_launch(const ocl_target *target, ocl_plan *plan, const char *source,
                              const char *kernel) {
    ocl_launch *launch = ocl_launch_add(target, plan, "conv_gpu.clh", kernel);
    launch->source[2] = source;
    return launch;
}

static void set_grid(ocl_launch *launch, int items, int64_t x, int64_t y, int64_t z) {
    launch->local[0] = (size_t)items;
    launch->local[1] = launch->local[2] = 1;
    launch->global[0] = (size_t)x * launch->local[0];
    launch->global[1] = (size_t)y;
    launch->global[2] = (size_t)z;
}

/* A launch of one group per tile. */
static ocl_launch *add_tiled(const ocl_target *target, ocl_plan *plan, const product *p, const choice *c) {
    ocl_gpu_product all = tiled(p, c->parts);
    if (p->gradient) all.columns = ocl_blocks(p->columns) * OCL_LANES; /* padding lanes must become zero */
    ocl_launch *launch =
        add_launch(target, plan, "gpu_tile.clh", p->gradient ? "conv_gpu_filter_tile" : "conv_gpu_data_tile");
    launch->source[3] = p->gradient ? "conv_gpu_filter.cl" : "conv_gpu_data.cl";
    ocl_gpu_tile_launch(target, launch, c->tile, &all);
    ocl_launch_option(launch, "WALKED=%d", (int)p->lanes);
    if (p->lanes < OCL_LANES && p->count_s) ocl_launch_option(launch, "COUNT_S=%d", (int)p->count_s);
    if (p->partial) ocl_launch_option(launch, "EMPTY_LANES");
    return launch;
}

static ocl_launch *add_subgrouped(const ocl_target *target, ocl_plan *plan, const product *p,
                                  const choice *c) {
    ocl_launch *launch = add_launch(target, plan, "conv_gpu_subgroup.cl",
                                    p->gradient ? "conv_gpu_filter_subgroup" : "conv_gpu_data_subgroup");
    if (p->gradient) ocl_launch_option(launch, "GRADIENT");
    ocl_launch_option(launch, "ROWS=%d", (int)c->rows_of_item);
    ocl_launch_option(launch, "BLOCKS=%d", (int)c->blocks);
    set_grid(launch, SUBGROUP_ITEMS, p2p_divide_up(p->rows, c->rows_of_item * (SUBGROUP_ITEMS / OCL_LANES)),
             p2p_divide_up(ocl_blocks(p->columns), c->blocks), p->phases * c->parts);
    return launch;
}

static ocl_launch *add_products(const ocl_target *target, ocl_plan *plan, const product *p, const choice *c) {
    return c->form == TILED ? add_tiled(target, plan, p, c) : add_subgrouped(target, plan, p, c);
}

/* The arguments GEOMETRY of conv_gpu.clh. */
static void arg_geometry(ocl_launch *launch, const p2p_op *op, const product *p) {
    const p2p_tensor *x = &op->t[p->in], *w = &op->t[p->filter], *y = &op->t[p->out];
    const int64_t numbers[] = {x->n, x->h, x->w, x->c,           y->h,        y->w,
                               y->c, w->h, w->w, ocl_stride(op), op->pad_top, op->pad_left};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) ocl_arg_int(launch, numbers[i]);
}

/* Scratch memory is one buffer. */
static p2p_status reserve_parts(const ocl_target *target, const p2p_op *op, ocl_plan *plan, int64_t parts,
                                uint64_t floats) {
    if (floats > target->max_alloc_bytes / sizeof(float) / (uint64_t)parts)
        return ocl_refuse(target, op, "%lld parts of %llu floats are more than a buffer of the device holds",
                          (long long)parts, (unsigned long long)floats);
    plan->answer.scratch_bytes = (size_t)(floats * (uint64_t)parts) * sizeof(float);
    return P2P_OK;
}

static void arg_scratch_result(ocl_launch *launch, uint64_t image_floats) {
    ocl_launch_option(launch, "PARTS");
    ocl_arg_scratch(launch, 0);
    ocl_arg_ulong(launch, 0);
    ocl_arg_ulong(launch, image_floats);
}

/* The epilogue arguments, which follow the result. */
static void arg_finish(ocl_launch *launch, const p2p_op *op, const product *p) {
    ocl_arg_int(launch, p2p_op_accumulates(op, p->out));
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
}

static void add_sums(const ocl_target *target, ocl_plan *plan, const p2p_op *op, const product *p,
                     int64_t parts) {
    const p2p_tensor *y = &op->t[p->out];
    ocl_launch *launch = add_launch(target, plan, "conv_gpu_sums.cl", "conv_gpu_sum_data");
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, parts);
    ocl_arg_ulong(launch, (uint64_t)y->n * blocked_floats(y));
    ocl_arg_optional(launch, op, p->bias, p->in);
    ocl_arg_activation(launch, op, p->out);
    arg_finish(launch, op, p);
    ocl_arg_int(launch, y->h * y->w);
    ocl_arg_int(launch, y->c);
    ocl_launch_grid(target, launch, y->h * y->w * (OCL_LANES / 4), ocl_blocks(y->c), y->n);
}

static p2p_status plan_data(const ocl_target *target, const p2p_op *op, const product *p, const choice *c,
                            ocl_plan *plan) {
    const p2p_tensor *y = &op->t[p->out];
    const uint64_t part_floats = (uint64_t)y->n * blocked_floats(y);
    ocl_launch *launch = add_products(target, plan, p, c);
    if (p->transposed) ocl_launch_option(launch, "TRANSPOSED");
    ocl_arg_activation(launch, op, p->in);
    ocl_arg_operand(launch, p->filter);
    ocl_arg_optional(launch, op, p->bias, p->in);
    if (c->parts > 1)
        arg_scratch_result(launch, blocked_floats(y));
    else
        ocl_arg_activation(launch, op, p->out);
    arg_finish(launch, op, p);
    ocl_arg_int(launch, c->parts);
    ocl_arg_ulong(launch, part_floats);
    arg_geometry(launch, op, p);
    if (c->parts == 1) return P2P_OK;
    add_sums(target, plan, op, p, c->parts);
    return reserve_parts(target, op, plan, c->parts, part_floats);
}

static p2p_status plan_filter(const ocl_target *target, const p2p_op *op, const product *p, const choice *c,
                              ocl_plan *plan) {
    const int dw = p->filter;
    const uint64_t floats = (uint64_t)p2p_tensor_stored(&op->t[dw]);
    ocl_launch *launch = add_products(target, plan, p, c);
    ocl_arg_activation(launch, op, p->in);
    ocl_arg_activation(launch, op, p->out);
    if (c->parts > 1)
        ocl_arg_scratch(launch, 0);
    else
        ocl_arg_operand(launch, dw);
    ocl_arg_int(launch, c->parts == 1 && p2p_op_accumulates(op, dw));
    ocl_arg_int(launch, c->parts);
    ocl_arg_ulong(launch, floats);
    arg_geometry(launch, op, p);
    if (c->parts == 1) return P2P_OK;
    launch = add_launch(target, plan, "conv_gpu_sums.cl", "conv_gpu_sum_filter");
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, c->parts);
    ocl_arg_ulong(launch, floats);
    ocl_arg_operand(launch, dw);
    ocl_arg_int(launch, p2p_op_accumulates(op, dw));
    ocl_launch_grid(target, launch, (int64_t)(floats / 4), 1, 1);
    return reserve_parts(target, op, plan, c->parts, floats);
}

/* ---- Streamed filters ------------------------------------------------------------------------------ */

static p2p_status plan_thin_data(const ocl_target *target, const p2p_op *op, const product *p,
                                 ocl_plan *plan) {
    const p2p_tensor *x = &op->t[p->in], *y = &op->t[p->out];
    const uint64_t part_floats = (uint64_t)y->n * blocked_floats(y);
    const int64_t chunks = p2p_divide_up(ocl_blocks(x->c), THIN_BLOCKS), parts = p->taps * chunks;
    int positions = 1;
    while (positions < THIN_ROWS && positions < p->rows) positions *= 2;
    ocl_launch *launch = add_launch(target, plan, "conv_gpu_thin.cl", "conv_gpu_data_thin");
    if (p->transposed) ocl_launch_option(launch, "TRANSPOSED");
    ocl_launch_option(launch, "POSITIONS=%d", positions);
    ocl_arg_activation(launch, op, p->in);
    ocl_arg_operand(launch, p->filter);
    ocl_arg_scratch(launch, 0);
    ocl_arg_ulong(launch, part_floats);
    ocl_arg_ulong(launch, blocked_floats(y));
    ocl_arg_int(launch, parts);
    ocl_arg_int(launch, chunks);
    arg_geometry(launch, op, p);
    set_grid(launch, THIN_ITEMS, p2p_divide_up(p->rows, positions), ocl_blocks(y->c), p->phases * parts);
    add_sums(target, plan, op, p, parts);
    return reserve_parts(target, op, plan, parts, part_floats);
}

static p2p_status plan_thin_filter(const ocl_target *target, const p2p_op *op, const product *p,
                                   ocl_plan *plan) {
    ocl_launch *launch = add_launch(target, plan, "conv_gpu_thin.cl", "conv_gpu_filter_thin");
    ocl_launch_option(launch, "GRADIENT");
    ocl_arg_activation(launch, op, p->in);
    ocl_arg_activation(launch, op, p->out);
    ocl_arg_operand(launch, p->filter);
    ocl_arg_int(launch, p2p_op_accumulates(op, p->filter));
    arg_geometry(launch, op, p);
    ocl_launch_grid(target, launch, p->rows, ocl_blocks(p->columns),
                    1); /* 16 rows of a block, 16 work-items */
    return P2P_OK;
}

static p2p_status plan_thin(const ocl_target *target, const p2p_op *op, const product *p, ocl_plan *plan) {
    P2P_TRY(p->gradient ? plan_thin_filter(target, op, p, plan) : plan_thin_data(target, op, p, plan));
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "%s", plan->launch[0].kernel);
    return P2P_OK;
}

/* ---- The family ------------------------------------------------------------------------------------ */

static product product_of(const p2p_op *op) {
    return op->kind == P2P_KIND_conv_bwd_filter ? filter_product(op) : data_product(op);
}

p2p_status ocl_plan_conv_gpu(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const product p = product_of(op);
    choice c = {.form = TILED, .parts = 1};
    P2P_TRY(check(target, op, &p));
    P2P_TRY(choose(target, op, &p, &c));
    if (c.form == THIN) return plan_thin(target, op, &p, plan);
    if (p.gradient)
        P2P_TRY(plan_filter(target, op, &p, &c, plan));
    else
        P2P_TRY(plan_data(target, op, &p, &c, plan));
    const bool is_tiled = c.form == TILED;
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "%s %dx%dk%d", plan->launch[0].kernel,
             is_tiled ? ocl_gpu_tile_m(c.tile) : (int)c.rows_of_item,
             is_tiled ? ocl_gpu_tile_n(c.tile) : (int)c.blocks, (int)c.parts);
    return P2P_OK;
}

/* Data by 4 rows of a work-item, because more have no room in the registers of Intel's GPUs before Arc: their
 * arrays are in memory there (ci/gpu-code). */
static int subgroup_names(const ocl_target *target, const product *p, ocl_variant_name *names) {
    static const char *const variants[2][2] = {{"sg4x1", "sg4x2"}, {"sg16x1", "sg16x2"}};
    if (!may_be_subgrouped(target, p)) return 0;
    for (int i = 0; i < 2; i++) snprintf(names[i], sizeof names[i], "%s", variants[p->gradient][i]);
    return 2;
}

/* `thin`, sub-groups, tiles, then other numbers of parts for the family's own tile. */
int ocl_conv_gpu_variants(const ocl_target *target, const p2p_op *op,
                          ocl_variant_name names[OCL_MOST_VARIANTS]) {
    const product p = product_of(op);
    const int64_t parts = parts_of_shape(&p);
    const ocl_gpu_product all = tiled(&p, parts);
    const ocl_gpu_tile *own = ocl_gpu_tile_cheapest(target, &all);
    int count = 0;
    if (may_be_thin(target, op, &p)) snprintf(names[count++], sizeof names[0], "thin");
    count += subgroup_names(target, &p, names + count);
    count += ocl_gpu_tile_names(target, &all, OCL_MOST_VARIANTS - PART_VARIANTS - count, names + count);
    static const int64_t factors[PART_VARIANTS][2] = {{1, 4}, {1, 2}, {2, 1}, {4, 1}};
    for (int i = 0; own && i < PART_VARIANTS; i++) {
        const int64_t others = parts * factors[i][0] / factors[i][1];
        if (others < 1 || others > ocl_min(MOST_PARTS, p.steps / LEAST_STEPS)) continue;
        snprintf(names[count++], sizeof names[0], "%dx%dk%d", ocl_gpu_tile_m(own), ocl_gpu_tile_n(own),
                 (int)others);
    }
    return count;
}
