/* Planner of copy. Equal layouts are copied by vectors (ocl_pointwise.c), a filter's derived copy
 * by 16 x 16 transposes (kernels/plan/copy.cl), and everything else, including channel ranges with any
 * start, by one general kernel over planes (kernels/plan/copy.cl).
 */
#include "ocl_copy.h"

#include "ocl_pointwise.h"

#include <stddef.h>

enum { CPU_POSITIONS = 256, CPU_TAPS = 16 };

static bool is_filter(const p2p_tensor *t) {
    return t->layout == P2P_LAYOUT_ckrs || t->layout == P2P_LAYOUT_kcrs_t;
}

static ocl_planes planes_of(const p2p_tensor *t) {
    int64_t block = t->block > 1 ? t->block : 1, plane = t->h * t->w, channels = t->cp ? t->cp : t->c;
    int64_t c_blocks = p2p_divide_up(channels, block), n_blocks = p2p_divide_up(t->n, block);
    ocl_planes p = {.n_block = 1, .c_block = block, .c0 = t->c0};
    switch (t->layout) {
    case P2P_LAYOUT_nchwc:
        p.n_outer = c_blocks * plane * block, p.c_outer = plane * block, p.c_inner = 1, p.step = block;
        return p;
    case P2P_LAYOUT_nhwc:
        p.n_outer = plane * c_blocks * block, p.c_outer = block, p.c_inner = 1, p.step = c_blocks * block;
        return p;
    case P2P_LAYOUT_ckrs:
        p.n_block = block, p.n_outer = c_blocks * plane * block * block, p.n_inner = 1;
        p.c_outer = plane * block * block, p.c_inner = block, p.step = block * block;
        return p;
    case P2P_LAYOUT_kcrs_t:
        p.n_block = block, p.n_outer = plane * block * block, p.n_inner = block;
        p.c_outer = n_blocks * plane * block * block, p.c_inner = 1, p.step = block * block;
        return p;
    default:
        p.c_block = 1, p.n_outer = channels * plane, p.c_outer = plane, p.step = 1;
        return p;
    }
}

ocl_plane_side ocl_plane_side_of(const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    return (ocl_plane_side){.operand = operand, .planes = planes_of(t), .bf16 = t->type == P2P_TYPE_bf16};
}

/* ---- The general kernel ---------------------------------------------------------------------------- */

static void arg_side(ocl_launch *launch, const ocl_plane_side *side) {
    const ocl_planes *p = &side->planes;
    const int64_t numbers[] = {p->n_block, p->c_block, p->n_outer, p->n_inner,
                               p->c_outer, p->c_inner, p->step,    p->c0};
    if (side->operand >= 0)
        ocl_arg_operand(launch, side->operand);
    else
        ocl_arg_scratch(launch, side->scratch);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ocl_arg_ulong(launch, (uint64_t)numbers[i]);
}

void ocl_launch_plane_copy(const ocl_target *target, ocl_plan *plan, const ocl_plane_copy *copy) {
    ocl_launch *launch = ocl_launch_add(target, plan, "copy.cl", "copy_planes");
    if (copy->x.bf16) ocl_launch_option(launch, "X_BF16");
    if (copy->y.bf16) ocl_launch_option(launch, "Y_BF16");
    const int shift = copy->c_stored > 4 ? 4 : 2; /* log2 of the elements per position */
    ocl_launch_grid(target, launch,
                    target->cpu ? p2p_divide_up(copy->positions, CPU_POSITIONS) : copy->positions << shift,
                    p2p_divide_up(copy->c_stored, OCL_LANES), copy->n_stored);
    arg_side(launch, &copy->x);
    arg_side(launch, &copy->y);
    ocl_arg_int(launch, copy->positions);
    ocl_arg_int(launch, target->cpu ? CPU_POSITIONS : shift);
    ocl_arg_ulong(launch, (uint64_t)copy->n_real);
    ocl_arg_ulong(launch, (uint64_t)copy->c_real);
    ocl_arg_ulong(launch, (uint64_t)copy->c_stored);
    ocl_arg_int(launch, copy->accumulate);
}

/* Padding lanes of filters are included, because they must stay zero. */
ocl_plane_copy ocl_plane_copy_into(const p2p_op *op, int y) {
    const p2p_tensor *t = &op->t[y];
    int64_t block = is_filter(t) && t->block > 1 ? t->block : 1;
    return (ocl_plane_copy){.y = ocl_plane_side_of(op, y),
                            .positions = t->h * t->w,
                            .n_real = t->n,
                            .c_real = t->c,
                            .n_stored = p2p_divide_up(t->n, block) * block,
                            .c_stored = p2p_divide_up(t->c, block) * block,
                            .accumulate = p2p_op_accumulates(op, y)};
}

static p2p_status require_copyable(const ocl_target *target, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    if (t->type != P2P_TYPE_f32 && (t->type != P2P_TYPE_bf16 || target->cpu))
        return ocl_refuse(target, op, "%s is %s, and only f32%s is copied",
                          p2p_kind_operand_name(op->kind, operand), p2p_type_name(t->type),
                          target->cpu ? "" : " or bf16");
    if (t->h * t->w > INT32_MAX || p2p_tensor_stored(t) > UINT32_MAX)
        return ocl_refuse(target, op, "%s has more than 2^32 elements",
                          p2p_kind_operand_name(op->kind, operand));
    return P2P_OK;
}

/* ---- The planner ----------------------------------------------------------------------------------- */

static bool is_transpose(const p2p_tensor *x, const p2p_tensor *y) {
    return x->type == P2P_TYPE_f32 && y->type == P2P_TYPE_f32 && x->block == OCL_LANES &&
           y->block == OCL_LANES && is_filter(x) && is_filter(y) && x->layout != y->layout;
}

static void plan_transpose(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const p2p_tensor *x = &op->t[P2P_AT_copy_x];
    int64_t k_blocks = p2p_divide_up(x->n, OCL_LANES), c_blocks = p2p_divide_up(x->c, OCL_LANES);
    int64_t taps = x->h * x->w;
    bool k_outer = x->layout == P2P_LAYOUT_ckrs;
    int64_t outer = k_outer ? k_blocks : c_blocks, inner = k_outer ? c_blocks : k_blocks;
    ocl_launch *launch = ocl_launch_add(target, plan, "copy.cl", "filter_transpose");
    ocl_launch_grid(target, launch, target->cpu ? p2p_divide_up(taps, CPU_TAPS) : 16 * taps, outer, inner);
    ocl_arg_operand(launch, P2P_AT_copy_x);
    ocl_arg_operand(launch, P2P_AT_copy_y);
    ocl_arg_int(launch, taps);
    if (target->cpu) ocl_arg_int(launch, CPU_TAPS);
    ocl_arg_ulong(launch, (uint64_t)inner);
    if (!target->cpu) ocl_arg_ulong(launch, (uint64_t)outer);
    ocl_arg_int(launch, p2p_op_accumulates(op, P2P_AT_copy_y));
}

p2p_status ocl_plan_copy(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    P2P_TRY(require_copyable(target, op, P2P_AT_copy_x));
    P2P_TRY(require_copyable(target, op, P2P_AT_copy_y));
    /* If both have the same traversal, vectors of one are vectors of the other. */
    if (ocl_plan_vector_copy(target, op, plan) == P2P_OK) return P2P_OK;
    if (is_transpose(&op->t[P2P_AT_copy_x], &op->t[P2P_AT_copy_y])) {
        plan_transpose(target, op, plan);
    } else {
        ocl_plane_copy copy = ocl_plane_copy_into(op, P2P_AT_copy_y);
        copy.x = ocl_plane_side_of(op, P2P_AT_copy_x);
        ocl_launch_plane_copy(target, plan, &copy);
    }
    return P2P_OK;
}
