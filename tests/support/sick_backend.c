/* The reference's table with wrappers. The devices are the reference's own, so all open devices act as the
 * double that was opened last: a process uses only one of them at a time. */
#include "sick_backend.h"

#include <stdio.h>
#include <string.h>

static p2p_module module;
static const p2p_module *reference;
static const p2p_host *host;
static int opened;
static char imposed[P2P_CHOICE_NAME]; /* for every convolution */
static const p2p_be_op *gemm;         /* the one that was created last */

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = SICK_DEVICES;
    return P2P_OK;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    P2P_TRY(reference->device_info(0, info));
    snprintf(info->name, sizeof info->name, "sick device %d", index);
    if (index != SICK_PRECISION) return P2P_OK;
    snprintf(info->no_bf16, sizeof info->no_bf16, "it has no bf16 in its registers");
    snprintf(info->no_tf32, sizeof info->no_tf32, "it has no tf32");
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    opened = index;
    imposed[0] = '\0';
    return reference->device_open(index % 4, device);
}

static p2p_status op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    if (opened == SICK_REFUSES && (op->kind == P2P_KIND_dropout || (p2p_op_is_norm(op) && op->dropout > 0)))
        return host->fail(P2P_UNSUPPORTED, "sick: it drops nothing");
    return reference->device.op_query(device, op, answer);
}

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    p2p_op made = *op;
    if (opened == SICK_KIND && op->kind == P2P_KIND_act_fwd && op->act == P2P_ACT_lrelu) made.slope += 0.01;
    if (opened == SICK_ALGORITHM && op->kind == P2P_KIND_conv_fwd && strcmp(imposed, "other") == 0 &&
        op->pad_top > 0) {
        made.pad_top--; /* the same sizes, another position */
        made.pad_bottom++;
    }
    P2P_TRY(reference->device.op_create(device, &made, bindings, scratch, created));
    if (op->kind == P2P_KIND_gemm) gemm = *created;
    return P2P_OK;
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    if (opened == SICK_LOST && op == gemm) return host->fail(P2P_DEVICE_LOST, "sick: it is lost");
    return reference->device.op_run(device, op);
}

static void op_destroy(p2p_be_device *device, p2p_be_op *op) {
    if (op == gemm) gemm = NULL;
    reference->device.op_destroy(device, op);
}

static p2p_status op_choose(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                            p2p_choice *choice) {
    (void)device, (void)op, (void)mode, (void)clock, (void)choice;
    return P2P_OK;
}

static p2p_status op_impose(p2p_be_device *device, const p2p_op *op, const char *name) {
    (void)device, (void)op;
    if (opened == SICK_ALGORITHM && strcmp(name, "plain:wide") == 0)
        return host->fail(P2P_UNSUPPORTED, "sick: '%s' fails its test here", name);
    snprintf(imposed, sizeof imposed, "%s", name);
    return P2P_OK;
}

static p2p_status op_list(p2p_be_device *device, const p2p_op *op, char (*names)[P2P_CHOICE_NAME],
                          int *count) {
    (void)device, (void)op;
    strcpy(names[0], "plain");
    strcpy(names[1], "plain:wide");
    strcpy(names[2], "other");
    *count = opened == SICK_LISTS ? P2P_MOST_CHOICES + 1 : 3;
    return P2P_OK;
}

static p2p_status all_reduce(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                             p2p_ticket *done) {
    if (opened != SICK_FALSE_SUM) return reference->comm.all_reduce(comm, op, replicas, done);
    done[0] = done[1] = 0;
    return P2P_OK;
}

const p2p_module *sick_module(uint32_t abi, const p2p_host *services) {
    reference = p2p_module_reference(abi, services);
    if (!reference) return NULL;
    host = services;
    module = *reference;
    module.name = "sick";
    module.description = "the reference with faults";
    module.device_count = device_count;
    module.device_info = device_info;
    module.device_open = device_open;
    module.device.op_query = op_query;
    module.device.op_create = op_create;
    module.device.op_run = op_run;
    module.device.op_destroy = op_destroy;
    module.device.op_choose = op_choose;
    module.device.op_impose = op_impose;
    module.device.op_list = op_list;
    module.comm.all_reduce = all_reduce;
    return &module;
}
