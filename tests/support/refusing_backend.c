/* The reference's table with an op_query that refuses more. The devices are the reference's own, so all open
 * devices act as the double that was opened last: a process uses only one of them. */
#include "refusing_backend.h"

#include <stdio.h>

static p2p_module module;
static const p2p_module *reference;
static const p2p_host *host;
static int opened;

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = REFUSING_DEVICES;
    return P2P_OK;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    P2P_TRY(reference->device_info(0, info));
    snprintf(info->name, sizeof info->name, "refusing device %d", index);
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    opened = index;
    return reference->device_open(0, device);
}

static bool has_unfused(const p2p_op *op) {
    return op->kind == P2P_KIND_conv_fwd && op->stride == 3 && op->t[P2P_AT_conv_fwd_w].h == 5 &&
           !op->t[P2P_AT_conv_fwd_bias].n && op->act == P2P_ACT_none && !op->accumulate;
}

static bool has_optional(const p2p_op *op) {
    const bool conv = op->kind == P2P_KIND_conv_fwd || op->kind == P2P_KIND_conv_bwd_data;
    if (conv && (op->t[P2P_AT_conv_fwd_bias].n || op->act != P2P_ACT_none)) return true;
    if (p2p_op_is_norm(op) && (op->act != P2P_ACT_none || op->act2 != P2P_ACT_none)) return true;
    if (p2p_op_is_norm(op) && (op->merged || op->dropout > 0)) return true;
    return op->accumulate && op->kind != P2P_KIND_axpby;
}

static bool has_one_fusion(const p2p_op *op) {
    return p2p_op_is_norm(op) && op->merged && op->dropout > 0;
}

static bool has_a_shape(const p2p_op *op) {
    const p2p_tensor *filter = &op->t[P2P_AT_conv_fwd_w];
    if (op->kind != P2P_KIND_conv_fwd || op->act == P2P_ACT_none) return false;
    return !op->t[P2P_AT_conv_fwd_bias].n || (filter->h == 4 && filter->w == 5);
}

static p2p_status op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    const bool refuses = (opened == REFUSING_UNFUSED && has_unfused(op)) ||
                         (opened == REFUSING_OPTIONAL && has_optional(op)) ||
                         (opened == REFUSING_ONE_FUSION && has_one_fusion(op)) ||
                         (opened == REFUSING_A_SHAPE && has_a_shape(op));
    if (refuses) return host->fail(P2P_UNSUPPORTED, "refusing:%d refuses it", opened);
    return reference->device.op_query(device, op, answer);
}

const p2p_module *refusing_module(uint32_t abi, const p2p_host *services) {
    reference = p2p_module_reference(abi, services);
    if (!reference) return NULL;
    host = services;
    module = *reference;
    module.name = "refusing";
    module.description = "the reference, refusing more";
    module.device_count = device_count;
    module.device_info = device_info;
    module.device_open = device_open;
    module.device.op_query = op_query;
    return &module;
}
