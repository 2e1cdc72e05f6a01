/* Random cases of every kind with all options drawn. Extents are small enough for the reference and lie
 * around the sizes of tiles and blocks. The same seed gives the same cases on every machine.
 */
#include "op_tables.h"

/* Draws a number of channels, mostly near a multiple of 16. */
static int64_t draw_channels(op_rng *rng) {
    static const int64_t favourites[] = {1, 2, 3, 6, 15, 16, 17, 31, 32, 33, 48, 64};
    if (op_rng_chance(rng, 4)) return op_rng_range(rng, 1, 70);
    return favourites[op_rng_range(rng, 0, 11)];
}

static int64_t draw_side(op_rng *rng) {
    return op_rng_chance(rng, 3) ? op_rng_range(rng, 1, 40) : op_rng_range(rng, 1, 12);
}

static bool draw_bool(op_rng *rng) {
    return op_rng_chance(rng, 2);
}

static p2p_act draw_act(op_rng *rng) {
    return (p2p_act)op_rng_range(rng, 0, P2P_ACT_COUNT - 1);
}

static double draw_slope(op_rng *rng) {
    return draw_bool(rng) ? 0.25 : op_rng_uniform(rng, 0, 0.9);
}

/* Makes some activation operands channel ranges. Ranges of a copy need no alignment. */
static void draw_ranges(op_case *item, op_rng *rng, const op_tier *tier) {
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        if (item->role[i] == OP_ROLE_FILTER && item->op.kind == P2P_KIND_copy)
            return; /* filters have no ranges */
    }
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        bool may = item->role[i] == OP_ROLE_ACTIVATION || item->role[i] == OP_ROLE_HOST;
        if (!may || !op_rng_chance(rng, 4)) continue;
        int64_t before = op_rng_range(rng, 0, 2) * tier->channel_alignment;
        if (item->op.kind == P2P_KIND_copy) before = op_rng_range(rng, 0, 40);
        op_case_range(item, i, before, op_rng_range(rng, 0, 35));
    }
}

static op_conv_shape draw_conv_shape(op_rng *rng) {
    const double most = 1e6;
    for (;;) {
        op_conv_shape s = {.n = op_rng_range(rng, 1, 3),
                           .c = draw_channels(rng),
                           .h = draw_side(rng),
                           .w = draw_side(rng),
                           .k = draw_channels(rng),
                           .r = op_rng_range(rng, 1, 5),
                           .s = op_rng_range(rng, 1, 5),
                           .stride = op_rng_range(rng, 1, 3)};
        if (draw_bool(rng)) s.s = s.r;
        s.top = op_rng_range(rng, 0, s.r - 1);
        s.left = op_rng_range(rng, 0, s.s - 1);
        s.bottom = draw_bool(rng) ? s.top : op_rng_range(rng, 0, s.r);
        s.right = draw_bool(rng) ? s.left : op_rng_range(rng, 0, s.s);
        bool fits = s.h + s.top + s.bottom >= s.r && s.w + s.left + s.right >= s.s;
        if (fits && op_conv_macs(&s) <= most) return s;
    }
}

static op_case draw_conv(p2p_kind kind, op_rng *rng) {
    op_conv_shape shape = draw_conv_shape(rng);
    op_case item = op_case_conv(kind, &shape);
    if (kind == P2P_KIND_conv_bwd_filter) return item;
    if (draw_bool(rng)) op_case_set_bias(&item);
    op_case_set_act(&item, draw_act(rng), draw_slope(rng));
    return item;
}

static op_case draw_norm(p2p_kind kind, op_rng *rng) {
    int64_t images = op_rng_range(rng, 0, 2), groups = op_rng_range(rng, 1, 3);
    op_norm_shape s = {.n = images ? images * groups : groups,
                       .c = draw_channels(rng),
                       .h = draw_side(rng),
                       .w = draw_side(rng),
                       .images = images,
                       .act = draw_act(rng),
                       .act2 = draw_act(rng),
                       .slope = draw_slope(rng),
                       .slope2 = draw_slope(rng),
                       .dropout = op_rng_chance(rng, 3) ? op_rng_uniform(rng, 0.05, 0.95) : 0,
                       .second = draw_bool(rng),
                       .merged = draw_bool(rng),
                       .use_running = op_rng_chance(rng, 4),
                       .running = draw_bool(rng),
                       .dscale = draw_bool(rng),
                       .dshift = draw_bool(rng),
                       .bare = op_rng_chance(rng, 4)};
    return op_case_norm(kind, &s);
}

static op_case draw_gemm(op_rng *rng) {
    return op_case_gemm(op_rng_range(rng, 1, 100), op_rng_range(rng, 1, 100), op_rng_range(rng, 1, 100),
                        draw_bool(rng), draw_bool(rng), draw_bool(rng) ? 1 : op_rng_uniform(rng, -2, 2));
}

static op_case draw_copy(op_rng *rng) {
    static const op_role pairs[][2] = {
        {OP_ROLE_ACTIVATION, OP_ROLE_ACTIVATION}, {OP_ROLE_HOST, OP_ROLE_ACTIVATION},
        {OP_ROLE_ACTIVATION, OP_ROLE_HOST},       {OP_ROLE_FILTER, OP_ROLE_FILTER_T},
        {OP_ROLE_FILTER_T, OP_ROLE_FILTER},       {OP_ROLE_HOST, OP_ROLE_FILTER},
        {OP_ROLE_FILTER, OP_ROLE_HOST},
    };
    int pair = (int)op_rng_range(rng, 0, 6);
    if (pair < 3) {
        return op_case_copy(pairs[pair][0], pairs[pair][1], op_rng_range(rng, 1, 3), draw_channels(rng),
                            draw_side(rng), draw_side(rng));
    }
    return op_case_copy(pairs[pair][0], pairs[pair][1], draw_channels(rng), draw_channels(rng),
                        op_rng_range(rng, 1, 5), op_rng_range(rng, 1, 5));
}

static op_case draw_pointwise(p2p_kind kind, op_rng *rng) {
    op_case item =
        op_case_pointwise(kind, op_rng_range(rng, 1, 3), draw_channels(rng), draw_side(rng), draw_side(rng));
    p2p_op *op = &item.op;
    switch (kind) {
    case P2P_KIND_act_fwd:
    case P2P_KIND_act_bwd:
        op_case_set_act(&item, draw_act(rng), draw_slope(rng));
        break;
    case P2P_KIND_axpby:
        op->alpha = op_rng_uniform(rng, -2, 2);
        break;
    case P2P_KIND_dropout:
        op->dropout = op_rng_uniform(rng, 0.01, 0.99);
        op->layer = op_rng_range(rng, 0, UINT32_MAX);
        break;
    case P2P_KIND_loss_bce:
    case P2P_KIND_loss_mse: /* has the same operands */
        op->target = draw_bool(rng);
        if (draw_bool(rng)) op_case_drop_operand(&item, P2P_AT_loss_bce_dx);
        break;
    case P2P_KIND_loss_l1:
        if (draw_bool(rng)) op_case_drop_operand(&item, P2P_AT_loss_l1_dx);
        break;
    default:
        break;
    }
    return item;
}

static op_case draw(p2p_kind kind, op_rng *rng) {
    switch (kind) {
    case P2P_KIND_conv_fwd:
    case P2P_KIND_conv_bwd_data:
    case P2P_KIND_conv_bwd_filter:
        return draw_conv(kind, rng);
    case P2P_KIND_norm_stats:
    case P2P_KIND_norm_apply:
    case P2P_KIND_norm_bwd_stats:
    case P2P_KIND_norm_bwd_apply:
        return draw_norm(kind, rng);
    case P2P_KIND_gemm:
        return draw_gemm(rng);
    case P2P_KIND_copy:
        return draw_copy(rng);
    case P2P_KIND_adam:
        return op_case_adam(op_rng_range(rng, 1, 5000), op_rng_uniform(rng, 0, 0.99), 0.999, false);
    default:
        return draw_pointwise(kind, rng);
    }
}

op_case op_case_random(p2p_kind kind, op_rng *rng, const op_tier *tier) {
    op_case item = draw(kind, rng);
    draw_ranges(&item, rng, tier);
    return item;
}
