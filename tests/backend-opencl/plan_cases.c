/* See plan_cases.h. */
#include "plan_cases.h"

#include "plan/ocl_plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Simulated targets ----------------------------------------------------------------------------- */

static const p2p_host host = {.fail = p2p_fail, .hint = p2p_hint, .op_print = p2p_op_print};

/* Simulates a library that copies every matrix to whole tiles of 64 x 64. */
static p2p_status gemm_scratch_size(void *context, const ocl_gemm *g, size_t *bytes) {
    const int64_t m = p2p_divide_up(g->m, 64), n = p2p_divide_up(g->n, 64), k = p2p_divide_up(g->k, 64);
    assert_ptr_equal(context, &host);
    assert_true(g->m > 0 && g->n > 0 && g->k > 0 && g->a.row_distance > 0 && g->b.row_distance > 0 &&
                g->y.row_distance > 0);
    *bytes = (size_t)(m * k + k * n + m * n) * 64 * 64 * sizeof(float);
    return P2P_OK;
}

ocl_target cpu(int width, int units, ocl_bf16 bf16) {
    return (ocl_target){.host = &host,
                        .cpu = true,
                        .vector_width = width,
                        .compute_units = units,
                        .group_limit = 4096,
                        .device_group_limit = 4096,
                        .local_bytes = 256 << 10,
                        .max_alloc_bytes = (uint64_t)4 * GIB,
                        .bf16 = bf16,
                        .gemm = {gemm_scratch_size, (void *)(size_t)&host, ALIGNMENT}};
}

ocl_target gpu(int units, size_t group, size_t local_kib, bool subgroups) {
    ocl_target target = cpu(4, units, OCL_BF16_STORED);
    target.cpu = false;
    target.group_limit = target.device_group_limit = group;
    target.local_bytes = local_kib << 10;
    target.subgroups = subgroups;
    return target;
}

void make_targets(ocl_target targets[TARGETS]) {
    const ocl_target all[TARGETS] = {
        cpu(1, 1, OCL_BF16_NONE),  cpu(4, 2, OCL_BF16_NONE),      cpu(8, 16, OCL_BF16_PORTABLE),
        cpu(16, 2, OCL_BF16_NONE), cpu(16, 2, OCL_BF16_PORTABLE), cpu(16, 64, OCL_BF16_ASSEMBLY),
        gpu(20, 256, 32, false),   gpu(60, 256, 48, false),       gpu(132, 1024, 64, false),
        gpu(96, 512, 64, true),    gpu(8, 64, 32, false),         gpu(4, 16, 32, false),
        gpu(4, 1, 32, false),      gpu(60, 256, 16, true),        gpu(1, 256, 4, false),
    };
    memcpy(targets, all, sizeof all);
    targets[10].max_alloc_bytes = GIB / 4;
}

/* ---- Operations ------------------------------------------------------------------------------------ */

void add_op(op_list *ops, const p2p_op *op) {
    for (int i = 0; i < ops->count; i++)
        if (p2p_op_equal(&ops->op[i], op)) return;
    assert_true(ops->count < MOST_OPS);
    ops->op[ops->count++] = *op;
}

/* Reads the operations of the full networks from a committed plan at batch 1, each once. */
static void read_network(const char *name, op_list *ops) {
    char path[512], line[2048];
    snprintf(path, sizeof path, P2P_TEST_DIR "/golden/%s", name);
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("can't read %s", path);
    while (fgets(line, sizeof line, file)) {
        p2p_op op;
        line[strcspn(line, "\n")] = '\0';
        const bool is_op = p2p_op_parse(line + strspn(line, " 0123456789"), &op) == P2P_OK; /* or a summary */
        for (int o = 0; is_op && p2p_op_is_convolution(&op) && o < P2P_MAX_OPERANDS; o++)
            if (op.t[o].layout == P2P_LAYOUT_kcrs_t)
                op.t[o].layout = P2P_LAYOUT_ckrs; /* this backend requests no derived filters */
        if (is_op && p2p_op_validate(&op) == P2P_OK) add_op(ops, &op);
    }
    fclose(file);
}

void add_batch(op_list *ops, int batch, bool alone) {
    const int count = ops->count;
    for (int i = 0; i < count; i++) {
        p2p_op op = ops->op[i];
        if (!p2p_op_is_convolution(&op)) continue;
        for (int o = 0; o < p2p_kind_operand_count(op.kind); o++)
            if (op.t[o].layout == P2P_LAYOUT_nchwc && p2p_tensor_present(&op.t[o])) op.t[o].n = batch;
        op.images = alone && op.kind != P2P_KIND_conv_bwd_filter;
        OK(p2p_op_validate(&op));
        add_op(ops, &op);
    }
}

#define PADS " pad_top=1 pad_left=1 pad_bottom=1 pad_right=1"

/* Extents that no tile divides, few channels on either side, ranges, large strides, one pixel, many taps. */
const char *const odd[] = {
    "conv_fwd x=f32:nchwc16:2x20x11x13 w=f32:ckrs16:37x20x4x4 y=f32:nchwc16:2x37x10x12" PADS,
    "conv_fwd x=f32:nchwc16:1x20x9x9 w=f32:ckrs16:33x20x4x4 bias=f32:plain:1x33x1x1 y+=f32:nchwc16:1x33x4x4 "
    "stride=2 act=relu" PADS,
    "conv_fwd x=f32:nchwc16:1x20x9x9 w=f32:ckrs16:33x20x4x4 y=f32:nchwc16:1x33@16/64x4x4 stride=2" PADS,
    "conv_fwd x=f32:nchwc16:1x1x1x1 w=f32:ckrs16:1x1x1x1 y=f32:nchwc16:1x1x1x1",
    "conv_fwd x=f32:nchwc16:3x32x8x8 w=f32:ckrs16:16x32x1x1 y=f32:nchwc16:3x16x8x8",
    "conv_fwd x=f32:nchwc16:1x32x8x8 w=f32:plain:16x32x4x4 y=f32:nchwc16:1x16x5x5",
    "conv_fwd x=f32:nchwc16:1x128x7x7 w=f32:ckrs16:3x128x4x4 y=f32:nchwc16:1x3x6x6 act=lrelu slope=0.2" PADS,
    "conv_fwd x=f32:nchwc16:1x17x70x3 w=f32:ckrs16:5x17x7x2 y=f32:nchwc16:1x5x8x1 stride=9",
    "conv_fwd x=f32:nchwc16:1x16x300x300 w=f32:ckrs16:16x16x64x64 y=f32:nchwc16:1x16x237x237",
    "conv_fwd x=f32:nchwc16:67108864x16x4x4 w=f32:ckrs16:16x16x4x4 y=f32:nchwc16:67108864x16x1x1",
    "conv_bwd_data dy=f32:nchwc16:2x33x5x6 w=f32:ckrs16:33x20x4x4 dx=f32:nchwc16:2x20x10x13 stride=2" PADS,
    "conv_bwd_data dy=f32:nchwc16:1x64x5x6 w=f32:ckrs16:64x3x4x4 dx=f32:nchwc16:1x3x11x12 stride=2 "
    "act=tanh" PADS,
    "conv_bwd_data dy=f32:nchwc16:1x6x8x8 w=f32:ckrs16:6x20x3x3 dx=f32:nchwc16:1x20x25x25 stride=3",
    "conv_bwd_data dy=f32:nchwc16:1x48x3x3 w=f32:kcrs_t16:48x32x4x4 dx+=f32:nchwc16:1x32x6x6 stride=2" PADS,
    "conv_bwd_data dy=f32:nchwc16:5x48x2x2 w=f32:ckrs16:48x32x4x4 dx+=f32:nchwc16:5x32x5x4 stride=2 "
    "pad_left=2 "
    "pad_bottom=2 pad_right=1",
    "conv_bwd_filter x=f32:nchwc16:2x20x9x10 dy=f32:nchwc16:2x33x8x9 dw=f32:ckrs16:33x20x4x4" PADS,
    "conv_bwd_filter x=f32:nchwc16:1x3x33x32 dy=f32:nchwc16:1x18x16x16 dw+=f32:ckrs16:18x3x4x4 stride=2" PADS,
    "conv_bwd_filter x=f32:nchwc16:1x40x5x5 dy=f32:nchwc16:1x1x4x4 dw=f32:ckrs16:1x40x4x4" PADS,
    "conv_bwd_filter x=f32:nchwc16:1x18x134x130 dy=f32:nchwc16:1x33x67x65 dw=f32:ckrs16:33x18x4x4 "
    "stride=2" PADS,
    "copy x=f32:plain:2x18x5x7 y=f32:nchwc16:2x18x5x7",
    "copy x=f32:nchwc16:2x3@2/18x5x7 y=f32:plain:2x3x5x7",
    "copy x=f32:ckrs16:33x20x4x4 y=f32:kcrs_t16:33x20x4x4",
    "copy x=f32:nchwc16:2x18x5x7 y+=f32:nchwc16:2x18x5x7",
    "act_fwd x=f32:nchwc16:2x18x5x7 y=f32:nchwc16:2x18x5x7 act=tanh",
    "act_bwd y=f32:nchwc16:2x18x5x7 dy=f32:nchwc16:2x18x5x7 dx+=f32:nchwc16:2x18x5x7 act=lrelu slope=0.2",
    "axpby x=f32:plain:1x18x1x1 y=f32:nchwc16:1x18x2x1 alpha=1",
    "axpby x=f32:nchwc16:1x18x2x1 y+=f32:nchwc16:1x18x2x1 alpha=0.5",
    "bias_grad dy=f32:nchwc16:2x20x9x11 db=f32:plain:1x20x1x1",
    "bias_grad dy=f32:nchwc16:3x7x129x131 db+=f32:plain:1x7x1x1",
    "loss_bce x=f32:nchwc16:3x1x14x15 loss=f32:plain:1x1x1x1 loss_scale=0.01",
    "loss_mse x=f32:nchwc16:3x1x140x150 loss=f32:plain:1x1x1x1 dx=f32:nchwc16:3x1x140x150 loss_scale=0.01",
    "loss_l1 x=f32:nchwc16:2x3x65x66 target=f32:nchwc16:2x3x65x66 loss=f32:plain:1x1x1x1 loss_scale=0.01",
    "norm_apply x=f32:nchwc16:3x20x5x7 stats=f32:plain:3x3x1x20 y=f32:nchwc16:3x20x5x7 eps=1e-05 merged=1 "
    "images=1",
    "norm_apply x=f32:nchwc16:2x5x130x131 stats=f32:plain:1x3x1x5 y=f32:nchwc16:2x5x130x131 eps=1e-05 "
    "merged=1",
    "norm_stats x=f32:nchwc16:2x20x33x37 stats=f32:plain:1x3x1x20",
    "gemm a=f32:plain:1x33x1x17 b=f32:plain:1x17x1x5 y=f32:plain:1x33x1x5 alpha=1",
    "gemm a=f32:plain:1x17x1x33 b=f32:plain:1x5x1x17 y+=f32:plain:1x33x1x5 alpha=2 transpose_a=1 "
    "transpose_b=1",
};

void add_odd(op_list *ops) {
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        p2p_op op;
        OK(p2p_op_parse(odd[i], &op));
        OK(p2p_op_validate(&op));
        add_op(ops, &op);
    }
}

op_list networks, networks_bf16, convolutions;

int read_operations(void **state) {
    (void)state;
    read_network("plan_nchw16c.txt", &networks);
    read_network("plan_nchw16c_gpu_bf16.txt", &networks_bf16);
    assert_true(networks.count > 100 && networks_bf16.count > 100);
    op_list all = networks;
    add_odd(&all);
    for (int i = 0; i < all.count; i++)
        if (p2p_op_is_convolution(&all.op[i])) add_op(&convolutions, &all.op[i]);
    assert_true(convolutions.count > 50);
    return 0;
}
