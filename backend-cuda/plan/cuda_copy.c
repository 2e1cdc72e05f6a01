/* Planner of copy: kernels/copy.cu and axpby of kernels/pointwise.cu. Equal traversals are copied as flat
 * arrays, ranges that start at multiples of 8 channels by packs, and everything else through tiles in shared
 * memory. */
#include "cuda_copy.h"

#include "cuda_pointwise.h"
#include "cuda_view.h"

enum { X = P2P_AT_copy_x, Y = P2P_AT_copy_y };

/* ---- Tiles --------------------------------------------------------------------------------------------- */

/* A tensor in strides, in elements: every layout of this device is one. */
typedef struct {
    int64_t start, outer, step, channel;
    int64_t n_stored, c_stored; /* extents of the range with its padding */
} side;

static bool is_strided(const p2p_tensor *t) {
    return (t->layout == P2P_LAYOUT_plain || t->layout == P2P_LAYOUT_nhwc || t->layout == P2P_LAYOUT_krsc) &&
           (t->type == P2P_TYPE_f32 || t->type == P2P_TYPE_bf16);
}

static side side_of(const p2p_tensor *t) {
    const int64_t channels = t->cp ? t->cp : t->c, plane = t->h * t->w;
    const int64_t block = t->layout != P2P_LAYOUT_plain && t->block > 1 ? t->block : 1;
    const int64_t stored = p2p_divide_up(channels, block) * block;
    side s = {.n_stored = t->n, .c_stored = p2p_tensor_owns_padding(t) ? stored - t->c0 : t->c};
    if (t->layout == P2P_LAYOUT_plain) {
        s.outer = channels * plane, s.step = 1, s.channel = plane;
    } else {
        s.outer = plane * stored, s.step = stored, s.channel = 1;
    }
    if (t->layout == P2P_LAYOUT_krsc) s.n_stored = p2p_divide_up(t->n, block) * block;
    s.start = t->c0 * s.channel;
    return s;
}

static void arg_side(cuda_launch *launch, int operand, const side *s) {
    cuda_arg_operand(launch, operand);
    cuda_arg_long(launch, s->start);
    cuda_arg_long(launch, s->outer);
    cuda_arg_long(launch, s->step);
    cuda_arg_long(launch, s->channel);
}

/* [type of x is bf16][type of y is bf16] */
static const char *const tile_kernels[2][2] = {{"tiles_f32_f32", "tiles_f32_bf16"},
                                               {"tiles_bf16_f32", "tiles_bf16_bf16"}};

static p2p_status plan_tiles(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    const p2p_tensor *x = &op->t[X], *y = &op->t[Y];
    const side from = side_of(x), to = side_of(y);
    const int64_t positions = y->h * y->w;
    const int c_log = to.c_stored > 8 ? 5 : 3; /* channels of a tile of 1024 elements */
    const int64_t c_tiles = p2p_divide_up(to.c_stored, (int64_t)1 << c_log);
    const int64_t p_tiles = p2p_divide_up(positions, (int64_t)1024 >> c_log);
    if (to.n_stored > INT32_MAX || to.c_stored > INT32_MAX || positions > INT32_MAX ||
        c_tiles * p_tiles > INT32_MAX || to.n_stored > INT32_MAX / (c_tiles * p_tiles))
        return cuda_refuse(target, op, "y has more than 2^31 tiles of 1024 elements");
    cuda_launch *launch =
        cuda_launch_items(plan, "copy", tile_kernels[x->type == P2P_TYPE_bf16][y->type == P2P_TYPE_bf16],
                          to.n_stored * c_tiles * p_tiles * CUDA_THREADS);
    arg_side(launch, X, &from);
    arg_side(launch, Y, &to);
    cuda_arg_int(launch, y->n);
    cuda_arg_int(launch, y->c);
    cuda_arg_int(launch, to.c_stored);
    cuda_arg_int(launch, positions);
    cuda_arg_int(launch, c_log);
    cuda_arg_int(launch, c_tiles);
    cuda_arg_int(launch, p_tiles);
    cuda_arg_flags(launch, op, Y);
    return P2P_OK;
}

/* ---- The planner --------------------------------------------------------------------------------------- */

static bool is_viewed(const p2p_tensor *t) {
    return t->layout == P2P_LAYOUT_nhwc && t->block == CUDA_CHANNELS && t->c0 % CUDA_CHANNELS == 0;
}

static p2p_status plan_packs(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    const bool same = op->t[X].type == op->t[Y].type;
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, Y, &view));
    if (!same) { /* packs of 4 channels on either side */
        view.packs = view.packs * view.lanes / 4;
        view.lanes = 4;
    }
    if (view.positions > INT32_MAX / view.packs) return cuda_refuse(target, op, "y has more than 2^31 packs");
    cuda_launch *launch =
        same ? cuda_launch_walk(plan, &view, "pointwise", CUDA_VIEW_KERNEL(&view, "axpby"))
             : cuda_launch_walk(plan, &view, "copy",
                                view.type == P2P_TYPE_bf16 ? "convert_f32_bf16" : "convert_bf16_f32");
    cuda_arg_view(launch, op, X);
    cuda_arg_view(launch, op, Y);
    cuda_arg_flags(launch, op, Y);
    if (same) cuda_arg_float(launch, 1);
    return P2P_OK;
}

p2p_status cuda_plan_copy(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    for (int i = X; i <= Y; i++)
        if (!is_strided(&op->t[i]))
            return cuda_refuse_operand(target, op, i, "f32 or bf16, in layout plain, nhwc or krsc");
    if (cuda_launch_flat(op, X, Y, 1, plan)) return P2P_OK;
    if (is_viewed(&op->t[X]) && is_viewed(&op->t[Y])) return plan_packs(target, op, plan);
    return plan_tiles(target, op, plan);
}
