/* Common part of the convolution families. See ocl_conv_shared.h. */
#include "ocl_conv_shared.h"

enum {
    MAX_STRIDE = 1024,    /* of direct convolutions */
    MAX_EXTENT = 1 << 26, /* of images and channels: products with strides stay within 31 bits */
    MAX_PIXELS = 1 << 27  /* of all images of an activation: likewise */
};

/* ---- Checks ---------------------------------------------------------------------------------------- */

p2p_status ocl_conv_check_activation(const ocl_target *target, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    if (t->type != P2P_TYPE_f32 || t->layout != P2P_LAYOUT_nchwc || t->block != OCL_LANES ||
        t->c0 % OCL_LANES)
        return ocl_refuse_operand(target, op, operand,
                                  "f32:nchwc16 with a range that starts at a multiple of 16 channels");
    return ocl_conv_check_extents(target, op, operand);
}

p2p_status ocl_conv_check_extents(const ocl_target *target, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    if (t->n > MAX_EXTENT || t->c > MAX_EXTENT || t->h > MAX_EXTENT || t->w > MAX_EXTENT ||
        t->n * t->h > MAX_PIXELS / t->w)
        return ocl_refuse_operand(target, op, operand, "at most 2^27 pixels and 2^26 channels");
    return P2P_OK;
}

p2p_status ocl_conv_check_filter(const ocl_target *target, const p2p_op *op, int operand, bool turned_too) {
    const p2p_tensor *t = &op->t[operand];
    const bool known = t->layout == P2P_LAYOUT_ckrs || (turned_too && t->layout == P2P_LAYOUT_kcrs_t);
    if (t->type != P2P_TYPE_f32 || t->block != OCL_LANES || !p2p_tensor_is_whole(t) || !known)
        return ocl_refuse_operand(target, op, operand,
                                  turned_too ? "f32:ckrs16 or f32:kcrs_t16" : "f32:ckrs16");
    if (t->h > MAX_EXTENT || t->w > MAX_EXTENT || t->h * t->w > INT32_MAX / 256)
        return ocl_refuse_operand(target, op, operand, "at most 2^23 taps");
    return P2P_OK;
}

p2p_status ocl_conv_check_stride(const ocl_target *target, const p2p_op *op) {
    if (ocl_stride(op) <= MAX_STRIDE) return P2P_OK;
    return ocl_refuse(target, op, "a stride of %lld is more than %d", (long long)ocl_stride(op), MAX_STRIDE);
}

/* ---- Registers ------------------------------------------------------------------------------------- */

int64_t ocl_conv_registers(const ocl_target *target) {
    return target->vector_width >= 16 ? 1 : target->vector_width >= 8 ? 2 : 4;
}

int64_t ocl_conv_sums(const ocl_target *target, ocl_sums_use use) {
    const int64_t each = ocl_conv_registers(target), all = each == 1 ? 32 : 16;
    const bool half = use == OCL_SUMS_STREAMED || (use == OCL_SUMS_USUAL && each == 1);
    return all * (half ? 2 : 3) / 4 / each;
}

/* ---- Launches -------------------------------------------------------------------------------------- */

ocl_launch *ocl_conv_launch_cpu(const ocl_target *target, ocl_plan *plan, const char *source,
                                const char *kernel, int64_t x, int64_t y, int64_t z) {
    const int64_t global[3] = {x, y, z};
    ocl_launch *launch = ocl_launch_add(target, plan, "cpu.clh", kernel);
    launch->source[2] = source;
    for (int i = 0; i < 3; i++) {
        launch->global[i] = (size_t)global[i];
        launch->local[i] = 1;
    }
    return launch;
}

void ocl_conv_arg_activation(ocl_launch *launch, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    ocl_arg_activation(launch, op, operand);
    ocl_arg_int(launch, t->c);
    ocl_arg_int(launch, t->h);
    ocl_arg_int(launch, t->w);
}
