/* The fixed table of cases of every kind but the convolutions (op_cases_conv.c): shapes around the sizes of
 * blocks and tiles, every optional operand present and absent, every activation, every option of the
 * normalisations, channel ranges, and copies between all storages.
 */
#include "op_tables.h"

#include <stddef.h>

typedef struct {
    op_visit *visit;
    void *context;
} walk;

static void give(const walk *to, op_case item) {
    to->visit(to->context, &item);
}

typedef struct {
    int64_t n, c, h, w;
} extents;

static const extents shapes[] = {
    {1, 1, 1, 1},  {1, 3, 5, 7},   {2, 16, 4, 4},  {3, 17, 3, 31},  {1, 15, 33, 2},
    {1, 64, 8, 8}, {5, 6, 1, 63},  {2, 48, 5, 13}, {1, 33, 65, 1},  {1, 16, 32, 32},
    {2, 65, 2, 2}, {4, 1, 16, 16}, {40, 33, 2, 3}, {2, 20, 33, 37},
};
enum { SHAPE_COUNT = sizeof shapes / sizeof shapes[0] };

static op_case pointwise(p2p_kind kind, extents e) {
    return op_case_pointwise(kind, e.n, e.c, e.h, e.w);
}

/* ---- Data and matrices -------------------------------------------------------------------------------- */

static void visit_copies(const walk *to) {
    static const op_role activations[][2] = {{OP_ROLE_ACTIVATION, OP_ROLE_ACTIVATION},
                                             {OP_ROLE_HOST, OP_ROLE_ACTIVATION},
                                             {OP_ROLE_ACTIVATION, OP_ROLE_HOST},
                                             {OP_ROLE_VECTOR, OP_ROLE_VECTOR}};
    static const op_role filters[][2] = {
        {OP_ROLE_FILTER, OP_ROLE_FILTER_T}, {OP_ROLE_FILTER_T, OP_ROLE_FILTER},
        {OP_ROLE_HOST, OP_ROLE_FILTER},     {OP_ROLE_FILTER, OP_ROLE_HOST},
        {OP_ROLE_FILTER, OP_ROLE_FILTER},   {OP_ROLE_HOST, OP_ROLE_FILTER_T}};
    static const extents filter_shapes[] = {
        {64, 3, 4, 4}, {1, 64, 4, 4}, {17, 33, 3, 3}, {16, 16, 1, 1}, {5, 6, 2, 5}};
    for (size_t r = 0; r < 4; r++) {
        for (int i = 0; i < SHAPE_COUNT; i++) {
            give(to, op_case_copy(activations[r][0], activations[r][1], shapes[i].n, shapes[i].c, shapes[i].h,
                                  shapes[i].w));
        }
    }
    for (size_t r = 0; r < sizeof filters / sizeof filters[0]; r++) {
        for (size_t i = 0; i < sizeof filter_shapes / sizeof filter_shapes[0]; i++) {
            extents f = filter_shapes[i];
            give(to, op_case_copy(filters[r][0], filters[r][1], f.n, f.c, f.h, f.w));
        }
    }
    give(to, op_case_copy(OP_ROLE_VECTOR, OP_ROLE_VECTOR, 1, 1, 1, 1000)); /* flat arrays */
}

/* Only copy supports any channel range: it concatenates 3 + 3 channels. */
static void visit_copy_ranges(const walk *to) {
    static const int64_t ranges[][3] = {{3, 0, 3},  {3, 3, 0},   {17, 3, 1},  {16, 1, 15}, {5, 14, 30},
                                        {33, 7, 8}, {64, 64, 0}, {64, 0, 64}, {1, 15, 1},  {20, 16, 16}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (int which = 1; which <= 3; which++) {
            op_case item = op_case_pointwise(P2P_KIND_copy, 2, ranges[i][0], 3, 5);
            if (which & 1) op_case_range(&item, P2P_AT_copy_x, ranges[i][1], ranges[i][2]);
            if (which & 2) op_case_range(&item, P2P_AT_copy_y, ranges[i][2], ranges[i][1]);
            give(to, item);
        }
    }
}

static op_case prepare_16(op_case item) {
    item.role[P2P_AT_prepare_x] = OP_ROLE_IMAGE_16;
    item.op.alpha = 1 / 32767.5;
    return item;
}

static void visit_data(const walk *to) {
    for (int i = 0; i < SHAPE_COUNT; i++) {
        give(to, pointwise(P2P_KIND_prepare, shapes[i]));
        give(to, prepare_16(pointwise(P2P_KIND_prepare, shapes[i])));
        give(to, pointwise(P2P_KIND_axpby, shapes[i]));
    }
}

/* axpby of filters, of vectors, and of a vector over an activation's channels. */
static void visit_axpby(const walk *to) {
    op_case filter = op_case_pointwise(P2P_KIND_axpby, 17, 20, 3, 3);
    filter.role[P2P_AT_axpby_x] = filter.role[P2P_AT_axpby_y] = OP_ROLE_FILTER;
    give(to, filter);
    for (int i = 0; i < SHAPE_COUNT; i++) {
        op_case item = pointwise(P2P_KIND_axpby, shapes[i]);
        item.op.t[P2P_AT_axpby_x] = p2p_tensor_vector(P2P_TYPE_f32, shapes[i].c);
        item.role[P2P_AT_axpby_x] = OP_ROLE_VECTOR;
        give(to, item);
    }
    static const int64_t counts[] = {1, 15, 17, 1000, 4099};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        op_case flat = op_case_pointwise(P2P_KIND_axpby, 1, 1, 1, counts[i]);
        flat.role[P2P_AT_axpby_x] = flat.role[P2P_AT_axpby_y] = OP_ROLE_VECTOR;
        flat.op.alpha = i % 2 ? 1 : 0.3;
        give(to, flat);
    }
}

static void visit_gemm(const walk *to) {
    static const int64_t sizes[][3] = {{1, 1, 1},    {1, 17, 5},   {17, 1, 64},  {16, 16, 16}, {31, 33, 32},
                                       {65, 63, 64}, {3, 128, 47}, {128, 3, 48}, {64, 64, 1},  {5, 7, 1000}};
    static const double alphas[] = {1, -0.5, 0.37};
    int turn = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int transposes = 0; transposes < 4; transposes++) {
            give(to, op_case_gemm(sizes[i][0], sizes[i][1], sizes[i][2], transposes & 1, transposes >> 1,
                                  alphas[turn++ % 3]));
        }
    }
}

/* ---- Normalisation ------------------------------------------------------------------------------------ */

static const p2p_kind norm_kinds[] = {P2P_KIND_norm_stats, P2P_KIND_norm_apply, P2P_KIND_norm_bwd_stats,
                                      P2P_KIND_norm_bwd_apply};

static void visit_norm(const walk *to, const op_norm_shape *shape) {
    for (int k = 0; k < 4; k++) give(to, op_case_norm(norm_kinds[k], shape));
}

/* Every option once, on a shape with a partial block and more than one image. */
static void visit_norm_options(const walk *to) {
    const op_norm_shape base = {.n = 4, .c = 17, .h = 5, .w = 6};
    op_norm_shape s = base;
    for (int merged = 0; merged < 2; merged++) {
        for (int act = 0; act < P2P_ACT_COUNT; act++) {
            s = base;
            s.merged = merged, s.act = (p2p_act)act, s.slope = 0.2;
            s.dscale = s.dshift = s.running = act % 2;
            visit_norm(to, &s);
            s.second = true, s.act2 = (p2p_act)((act + 1) % P2P_ACT_COUNT), s.slope2 = 0.1;
            visit_norm(to, &s);
            s.dropout = 0.5, s.dscale = true, s.dshift = false;
            visit_norm(to, &s);
            s.images = 2, s.second = false, s.dshift = true;
            visit_norm(to, &s);
            s.images = 1, s.dropout = 0.3, s.dscale = false, s.running = true;
            visit_norm(to, &s);
        }
    }
    for (int merged = 0; merged < 2; merged++) { /* instance normalisation as published, and with dropout */
        s = base;
        s.bare = true, s.merged = merged, s.images = 1, s.act = P2P_ACT_lrelu, s.slope = 0.2;
        visit_norm(to, &s);
        s.second = true, s.act2 = P2P_ACT_relu, s.dropout = 0.5, s.images = 0;
        visit_norm(to, &s);
    }
    s = base;
    s.use_running = true, s.act = P2P_ACT_relu;
    give(to, op_case_norm(P2P_KIND_norm_apply, &s));
    s.bare = true;
    give(to, op_case_norm(P2P_KIND_norm_apply, &s));
    s.bare = false;
    s.second = true, s.act2 = P2P_ACT_lrelu, s.slope2 = 0.2, s.images = 2;
    give(to, op_case_norm(P2P_KIND_norm_apply, &s));
}

/* Shapes, per batch and per image. One has a single element, whose gradient is exactly zero. */
static void visit_norm_shapes(const walk *to) {
    for (int i = 0; i < SHAPE_COUNT; i++) {
        for (int per_image = 0; per_image < 2; per_image++) {
            for (int merged = 0; merged < 2; merged++) {
                op_norm_shape s = {.n = shapes[i].n,
                                   .c = shapes[i].c,
                                   .h = shapes[i].h,
                                   .w = shapes[i].w,
                                   .images = per_image,
                                   .merged = merged,
                                   .act = P2P_ACT_lrelu,
                                   .slope = 0.2,
                                   .running = true,
                                   .dscale = true,
                                   .dshift = true};
                visit_norm(to, &s);
            }
        }
    }
    /* Many partial sums, and totals over groups that have several each. */
    for (int per_image = 0; per_image < 2; per_image++) {
        const op_norm_shape large = {.n = 2,
                                     .c = 3,
                                     .h = 131,
                                     .w = 130,
                                     .images = per_image,
                                     .merged = true,
                                     .running = true,
                                     .dscale = true,
                                     .dshift = true};
        visit_norm(to, &large);
    }
}

/* Each activation operand in turn as a range of a larger tensor, then all of them. */
static void visit_norm_ranges(const walk *to, int64_t alignment) {
    static const int64_t channels[] = {16, 17, 48};
    for (int i = 0; i < 3; i++) {
        op_norm_shape s = {.n = 2,
                           .c = channels[i],
                           .h = 3,
                           .w = 5,
                           .merged = i % 2,
                           .second = true,
                           .act = P2P_ACT_lrelu,
                           .slope = 0.2,
                           .act2 = P2P_ACT_relu,
                           .dropout = i ? 0 : 0.5};
        for (int k = 0; k < 4; k++) {
            op_case all = op_case_norm(norm_kinds[k], &s);
            for (int o = 0; o < P2P_MAX_OPERANDS; o++) {
                if (all.role[o] != OP_ROLE_ACTIVATION) continue;
                op_case one = op_case_norm(norm_kinds[k], &s);
                op_case_range(&one, o, alignment, i == 1 ? 3 : 0);
                give(to, one);
                op_case_range(&all, o, o % 2 ? alignment : 0, 16);
            }
            give(to, all);
        }
    }
}

/* ---- Activations, losses, updates --------------------------------------------------------------------- */

static void visit_activations(const walk *to) {
    for (int i = 0; i < SHAPE_COUNT; i++) {
        for (int act = 0; act < P2P_ACT_COUNT; act++) {
            for (int kind = P2P_KIND_act_fwd; kind <= P2P_KIND_act_bwd; kind++) {
                op_case item = pointwise((p2p_kind)kind, shapes[i]);
                op_case_set_act(&item, (p2p_act)act, i % 2 ? 0.2 : 0.25);
                give(to, item);
            }
        }
    }
}

static void visit_dropout(const walk *to) {
    static const double rates[] = {0.5, 0.1, 0.9, 0.25};
    for (int i = 0; i < SHAPE_COUNT; i++) {
        op_case item = pointwise(P2P_KIND_dropout, shapes[i]);
        item.op.dropout = rates[i % 4];
        item.op.layer = 0x10001 * (i + 1);
        give(to, item);
    }
}

static void visit_reductions(const walk *to) {
    for (int i = 0; i < SHAPE_COUNT; i++) {
        give(to, pointwise(P2P_KIND_bias_grad, shapes[i]));
        for (int target = 0; target < 2; target++) {
            for (int kind = 0; kind < 2; kind++) { /* both have the same operands */
                op_case label = pointwise(kind ? P2P_KIND_loss_mse : P2P_KIND_loss_bce, shapes[i]);
                label.op.target = target;
                give(to, label);
                if (target) op_case_drop_operand(&label, P2P_AT_loss_bce_dx);
                if (target) give(to, label);
            }
            op_case l1 = pointwise(P2P_KIND_loss_l1, shapes[i]);
            if (target) op_case_drop_operand(&l1, P2P_AT_loss_l1_dx);
            give(to, l1);
        }
    }
    give(to,
         op_case_pointwise(P2P_KIND_loss_bce, 1, 1, 30, 30)); /* the discriminator's output for an image */
    give(to, op_case_pointwise(P2P_KIND_loss_mse, 1, 1, 30, 30));
    give(to, op_case_pointwise(P2P_KIND_loss_l1, 1, 3, 64, 64));
}

static void visit_adam(const walk *to) {
    static const int64_t counts[] = {1, 15, 16, 17, 1000, 65536 + 3};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        give(to, op_case_adam(counts[i], 0.5, 0.999, false));
        give(to, op_case_adam(counts[i], 0.9, 0.99, false));
        give(to, op_case_adam(counts[i], 0.5, 0.999, true));
    }
}

/* Each activation operand of the pointwise kinds as a range. */
static void visit_pointwise_ranges(const walk *to, int64_t alignment) {
    static const p2p_kind kinds[] = {P2P_KIND_prepare,  P2P_KIND_act_fwd,  P2P_KIND_act_bwd,
                                     P2P_KIND_dropout,  P2P_KIND_axpby,    P2P_KIND_bias_grad,
                                     P2P_KIND_loss_bce, P2P_KIND_loss_mse, P2P_KIND_loss_l1};
    static const int64_t channels[] = {3, 16, 17};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (int i = 0; i < 3; i++) {
            op_case all = op_case_pointwise(kinds[k], 2, channels[i], 4, 5);
            if (kinds[k] == P2P_KIND_act_fwd || kinds[k] == P2P_KIND_act_bwd) all.op.act = P2P_ACT_relu;
            for (int o = 0; o < P2P_MAX_OPERANDS; o++) {
                if (all.role[o] != OP_ROLE_ACTIVATION) continue;
                op_case one = all;
                for (int other = 0; other < o; other++) one.op.t[other].c0 = one.op.t[other].cp = 0;
                op_case_range(&one, o, alignment, o % 2 ? 16 : 2);
                give(to, one);
                op_case_range(&all, o, o % 2 ? 0 : alignment, 16);
            }
            give(to, all);
        }
    }
}

/* Feature maps of the full networks' size, in a batch. */
static void visit_full_maps(const walk *to) {
    static const extents maps[] = {{4, 64, 128, 128}, {4, 128, 64, 64}, {1, 512, 16, 16}, {4, 3, 256, 256}};
    static const p2p_kind kinds[] = {
        P2P_KIND_copy,  P2P_KIND_prepare,   P2P_KIND_act_fwd,  P2P_KIND_act_bwd,  P2P_KIND_dropout,
        P2P_KIND_axpby, P2P_KIND_bias_grad, P2P_KIND_loss_bce, P2P_KIND_loss_mse, P2P_KIND_loss_l1};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        op_norm_shape s = {.n = maps[i].n,
                           .c = maps[i].c,
                           .h = maps[i].h,
                           .w = maps[i].w,
                           .merged = true,
                           .act = P2P_ACT_lrelu,
                           .slope = 0.2,
                           .second = true,
                           .act2 = P2P_ACT_relu,
                           .running = true,
                           .dscale = true,
                           .dshift = true};
        visit_norm(to, &s);
        s.merged = false, s.images = 1, s.dropout = 0.5;
        visit_norm(to, &s);
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            op_case item = pointwise(kinds[k], maps[i]);
            if (kinds[k] == P2P_KIND_act_fwd || kinds[k] == P2P_KIND_act_bwd) item.op.act = P2P_ACT_tanh;
            give(to, item);
        }
    }
    give(to, op_case_adam(5000001, 0.5, 0.999, false));
    give(to, op_case_gemm(512, 961, 4096, false, false, 1));
}

void op_cases_table(const op_tier *tier, op_visit *visit, void *context) {
    const walk to = {visit, context};
    visit_data(&to);
    visit_copies(&to);
    visit_copy_ranges(&to);
    visit_axpby(&to);
    visit_gemm(&to);
    visit_norm_options(&to);
    visit_norm_shapes(&to);
    visit_norm_ranges(&to, tier->channel_alignment);
    visit_activations(&to);
    visit_dropout(&to);
    visit_reductions(&to);
    visit_adam(&to);
    visit_pointwise_ranges(&to, tier->channel_alignment);
    op_cases_conv(tier, visit, context);
    if (tier->full_size) visit_full_maps(&to);
}
