/* Helpers for planners. See ocl_plan.h. */
#include "ocl_plan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Positions per work-item of an element-wise kernel on a CPU: 16 KiB per operand, enough to hide the cost
 * of a work-group and small enough to balance threads. */
enum { CPU_CHUNK = 256, GPU_GROUP = 64, MAX_GROUPS_PER_AXIS = 65535 };

/* ---- Texts ----------------------------------------------------------------------------------------- */

p2p_status ocl_refuse(const ocl_target *target, const p2p_op *op, const char *format, ...) {
    char reason[512];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return target->host->fail(P2P_UNSUPPORTED, "opencl: %s: %s", p2p_kind_name(op->kind), reason);
}

bool ocl_variant_numbers(const char *variant, int64_t *numbers, int count) {
    for (int i = 0; i < count; i++) {
        int digits = 0;
        for (numbers[i] = 0; *variant >= '0' && *variant <= '9' && digits < 4; variant++, digits++)
            numbers[i] = numbers[i] * 10 + (*variant - '0');
        if (numbers[i] == 0) return false;
        if (*variant++ != (i + 1 < count ? 'x' : '\0')) return false;
    }
    return true;
}

/* ---- Launches -------------------------------------------------------------------------------------- */

ocl_launch *ocl_launch_add(const ocl_target *target, ocl_plan *plan, const char *source, const char *kernel) {
    assert(plan->launch_count < OCL_PLAN_LAUNCHES);
    ocl_launch *launch = &plan->launch[plan->launch_count++];
    launch->source[0] = "common.clh";
    launch->source[1] = source;
    launch->kernel = kernel;
    if (target->cpu) ocl_launch_option(launch, "CPU");
    return launch;
}

void ocl_launch_option(ocl_launch *launch, const char *format, ...) {
    size_t length = strlen(launch->options);
    va_list args;
    va_start(args, format);
    length += (size_t)snprintf(launch->options + length, sizeof launch->options - length, " -D");
    assert(length < sizeof launch->options);
    length += (size_t)vsnprintf(launch->options + length, sizeof launch->options - length, format, args);
    va_end(args);
    assert(length < sizeof launch->options);
}

static ocl_arg *add_arg(ocl_launch *launch, ocl_arg_kind kind) {
    assert(launch->arg_count < OCL_LAUNCH_ARGS);
    ocl_arg *arg = &launch->arg[launch->arg_count++];
    arg->kind = kind;
    return arg;
}

void ocl_arg_operand(ocl_launch *launch, int operand) {
    add_arg(launch, OCL_ARG_OPERAND)->value.operand = operand;
}

void ocl_arg_scratch(ocl_launch *launch, uint64_t floats) {
    add_arg(launch, OCL_ARG_SCRATCH)->value.offset = floats;
}

void ocl_arg_int(ocl_launch *launch, int64_t value) {
    add_arg(launch, OCL_ARG_INT)->value.i = (int32_t)value;
}

void ocl_arg_repeat(ocl_launch *launch, int64_t per_repeat) {
    add_arg(launch, OCL_ARG_REPEAT)->value.i = (int32_t)per_repeat;
}

void ocl_arg_ulong(ocl_launch *launch, uint64_t value) {
    add_arg(launch, OCL_ARG_ULONG)->value.u = value;
}

void ocl_arg_float(ocl_launch *launch, double value) {
    add_arg(launch, OCL_ARG_FLOAT)->value.f = (float)value;
}

void ocl_arg_optional(ocl_launch *launch, const p2p_op *op, int operand, int substitute) {
    bool present = p2p_tensor_present(&op->t[operand]);
    ocl_arg_operand(launch, present ? operand : substitute);
    ocl_arg_int(launch, present ? OCL_HAS | (p2p_op_accumulates(op, operand) ? OCL_HAS_ACCUMULATE : 0) : 0);
}

int64_t ocl_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t ocl_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

int64_t ocl_blocks(int64_t channels) {
    return p2p_divide_up(channels, OCL_LANES);
}

int64_t ocl_stride(const p2p_op *op) {
    return op->stride ? op->stride : 1;
}

bool ocl_has_variant(const ocl_target *target) {
    return target->variant && target->variant[0];
}

bool ocl_bf16_multiplies(const ocl_target *target) {
    return target->bf16 == OCL_BF16_PORTABLE || target->bf16 == OCL_BF16_ASSEMBLY;
}

void ocl_bf16_options(const ocl_target *target, ocl_launch *launch) {
    ocl_launch_option(launch, "BF16");
    if (target->bf16 == OCL_BF16_ASSEMBLY) ocl_launch_option(launch, "BF16_ASSEMBLY");
}

void ocl_launch_grid(const ocl_target *target, ocl_launch *launch, int64_t x, int64_t y, int64_t z) {
    size_t local = 1;
    if (!target->cpu)
        while (local * 2 <= GPU_GROUP && local * 2 <= target->group_limit && (int64_t)local < x) local *= 2;
    launch->local[0] = local;
    launch->local[1] = launch->local[2] = 1;
    launch->global[0] = (size_t)p2p_divide_up(x, (int64_t)local) * local;
    launch->global[1] = (size_t)y;
    launch->global[2] = (size_t)z;
}

/* ---- Views ----------------------------------------------------------------------------------------- */

/* Whether the device's kernels can read the type as STORED of common.clh. */
static bool is_stored(const ocl_target *target, const p2p_tensor *t) {
    return t->type == P2P_TYPE_f32 || (t->type == P2P_TYPE_bf16 && !target->cpu);
}

/* An activation in nchwc16 whose channel range starts at a block. */
static bool is_blocked_activation(const ocl_target *target, const p2p_tensor *t) {
    return is_stored(target, t) && t->layout == P2P_LAYOUT_nchwc && t->block == OCL_LANES &&
           t->c0 % OCL_LANES == 0;
}

p2p_status ocl_refuse_operand(const ocl_target *target, const p2p_op *op, int operand, const char *rule) {
    char text[P2P_TENSOR_TEXT];
    p2p_tensor_print(&op->t[operand], text, sizeof text);
    return ocl_refuse(target, op, "%s is %s, but must be %s", p2p_kind_operand_name(op->kind, operand), text,
                      rule);
}

static void choose_chunk(const ocl_target *target, ocl_view *view, int64_t chunk) {
    int64_t least = p2p_divide_up(view->positions, MAX_GROUPS_PER_AXIS);
    if (chunk == 0) {
        chunk = target->cpu ? CPU_CHUNK : 1;
        if (target->cpu && chunk < least) chunk = least;
    }
    view->chunk = chunk;
    view->chunks = p2p_divide_up(view->positions, chunk);
}

p2p_status ocl_view_of(const ocl_target *target, const p2p_op *op, int like, bool allow_flat, int64_t chunk,
                       ocl_view *view) {
    const p2p_tensor *t = &op->t[like];
    if (is_blocked_activation(target, t)) {
        *view = (ocl_view){.images = t->n,
                           .blocks = p2p_divide_up(t->c, OCL_LANES),
                           .positions = t->h * t->w,
                           .valid = t->c,
                           .width = t->w};
    } else if (allow_flat && is_stored(target, t) && p2p_tensor_is_whole(t)) {
        int64_t stored = p2p_tensor_stored(t);
        *view = (ocl_view){.images = 1,
                           .blocks = 1,
                           .positions = p2p_divide_up(stored, OCL_LANES),
                           .valid = stored,
                           .flat = true,
                           .width = 1};
    } else {
        return ocl_refuse_operand(target, op, like,
                                  target->cpu
                                      ? "f32:nchwc16 with a range that starts at a multiple of 16 channels"
                                      : "f32 or bf16, nchwc16, with a range that starts at a multiple of 16 "
                                        "channels");
    }
    view->like = like;
    choose_chunk(target, view, chunk);
    if (view->positions > INT32_MAX || view->images > INT32_MAX || view->blocks > INT32_MAX / OCL_LANES ||
        view->chunks > INT32_MAX || (!target->cpu && view->flat && view->valid / 4 >= INT32_MAX))
        return ocl_refuse_operand(target, op, like, "within 31 bits in every extent");
    return P2P_OK;
}

p2p_status ocl_view_check(const ocl_target *target, const p2p_op *op, const ocl_view *view, int operand) {
    const p2p_tensor *t = &op->t[operand];
    if (!p2p_tensor_present(t)) return P2P_OK;
    const p2p_tensor *like = &op->t[view->like];
    if (!view->flat)
        return is_blocked_activation(target, t) && t->type == like->type
                   ? P2P_OK
                   : ocl_refuse_operand(
                         target, op, operand,
                         "nchwc16 with a range that starts at a multiple of 16 channels, and of one "
                         "type, as the others are");
    bool stored_alike = p2p_tensor_same_shape(t, like) && t->layout == like->layout &&
                        (t->block == like->block || (t->block <= 1 && like->block <= 1));
    if (t->type == like->type && p2p_tensor_is_whole(t) && stored_alike) return P2P_OK;
    return ocl_refuse_operand(target, op, operand, "whole and stored like the others");
}

p2p_status ocl_require_plain(const ocl_target *target, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    if (!p2p_tensor_present(t) || (t->type == P2P_TYPE_f32 && t->layout == P2P_LAYOUT_plain)) return P2P_OK;
    return ocl_refuse_operand(target, op, operand, "f32:plain");
}

void ocl_arg_view(ocl_launch *launch, const ocl_view *view) {
    ocl_arg_int(launch, view->positions);
    ocl_arg_int(launch, view->chunk);
    ocl_arg_int(launch, view->flat);
    ocl_arg_ulong(launch, (uint64_t)view->valid);
}

/* All STORED operands of a program have one type: ocl_view_check has checked it. */
static void store_as(ocl_launch *launch, const p2p_tensor *t) {
    if (t->type == P2P_TYPE_bf16 && !strstr(launch->options, "STORED_BF16"))
        ocl_launch_option(launch, "STORED_BF16");
}

void ocl_arg_viewed(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int operand) {
    store_as(launch, &op->t[operand]);
    if (!view->flat) {
        ocl_arg_activation(launch, op, operand);
        return;
    }
    ocl_arg_operand(launch, operand);
    ocl_arg_ulong(launch, 0);
    ocl_arg_ulong(launch, 0);
}

void ocl_arg_activation(ocl_launch *launch, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    p2p_tensor whole = p2p_tensor_whole(t);
    store_as(launch, t);
    ocl_arg_operand(launch, operand);
    ocl_arg_ulong(launch, (uint64_t)p2p_tensor_index(t, 0, 0, 0, 0));
    ocl_arg_ulong(launch, (uint64_t)(p2p_tensor_stored(&whole) / t->n));
}

void ocl_arg_viewed_optional(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int operand,
                             int substitute) {
    bool present = p2p_tensor_present(&op->t[operand]);
    ocl_arg_viewed(launch, op, view, present ? operand : substitute);
    ocl_arg_int(launch, present ? OCL_HAS | (p2p_op_accumulates(op, operand) ? OCL_HAS_ACCUMULATE : 0) : 0);
}
