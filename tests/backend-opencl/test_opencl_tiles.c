/* Properties of the kernels for GPUs that test_ops does not test. Sums have the same bits in work-groups of
 * any size; every tile of a convolution, and every form without another number of parts, gives the same
 * bits, so that the tuner and other devices may choose freely (by default each form on a third of the
 * cases, with the argument "all" on all). The choices for the layers of the full networks on small and
 * large GPUs are compared with committed text (P2P_UPDATE_GOLDEN=1 writes it), without a device.
 */
#include "conv/ocl_conv_gpu.h"
#include "conv/ocl_conv_gpu_winograd.h"
#include "device/device.h"
#include "device/ocl_op.h"
#include "ocl_planners.h"
#include "plan/ocl_plan.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Bits ------------------------------------------------------------------------------------------ */

static const p2p_module *module;
static bool all; /* every form on every case: compiling takes long */

/* One operation on its device, with inputs of real numbers; the output starts with any contents. */
typedef struct {
    p2p_be_device *device;
    ocl_planner plan;
    p2p_op op;
    p2p_binding bindings[P2P_MAX_OPERANDS];
    int out;
    size_t bytes; /* of the output */
} trial;

static double draw(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 33) / 0x1p30 - 1;
}

static void upload(trial *t, int operand, uint64_t *state) {
    const p2p_tensor *tensor = &t->op.t[operand];
    const size_t bytes = p2p_tensor_bytes(tensor);
    const int64_t count = p2p_tensor_elements(tensor);
    double *values = malloc((size_t)count * sizeof *values);
    void *raw = calloc(1, bytes);
    assert_true(values && raw);
    for (int64_t i = 0; i < count; i++) values[i] = draw(state);
    if (tensor->layout == P2P_LAYOUT_nchwc) memset(raw, 0xFF, bytes); /* empty lanes are NaN */
    p2p_tensor_pack(tensor, values, P2P_TYPE_f64, raw);
    OK(module->device.buffer_create(t->device, bytes, &t->bindings[operand].buffer));
    OK(module->device.buffer_write(t->device, t->bindings[operand], raw, bytes));
    p2p_ticket ticket = 0;
    OK(module->device.submit(t->device, &ticket));
    OK(module->device.wait(t->device, ticket));
    free(values);
    free(raw);
}

static trial prepare(p2p_be_device *device, ocl_planner planner, const char *text) {
    trial t = {.device = device, .plan = planner};
    uint64_t state = 1;
    OK(p2p_op_parse(text, &t.op));
    OK(p2p_op_validate(&t.op));
    for (int o = 0; o < p2p_kind_operand_count(t.op.kind); o++) {
        if (!p2p_tensor_present(&t.op.t[o])) continue;
        upload(&t, o, &state);
        if (p2p_kind_operand_use(t.op.kind, o) & P2P_OUT) t.out = o;
    }
    t.bytes = p2p_tensor_bytes(&t.op.t[t.out]);
    return t;
}

static void discard(trial *t) {
    for (int o = 0; o < P2P_MAX_OPERANDS; o++)
        if (t->bindings[o].buffer) module->device.buffer_destroy(t->device, t->bindings[o].buffer);
}

/* An ocl_plan_maker. */
static p2p_status plan_trial(void *context, const p2p_op *op, ocl_plan *plan) {
    const trial *t = context;
    return t->plan(&t->device->target, op, plan);
}

/* The output's memory as computed by `variant`; NULL if the device or the shape does not support it. */
static void *compute(trial *t, const char *variant) {
    p2p_be_device *device = t->device;
    p2p_be_buffer *scratch = NULL;
    p2p_be_op *made = NULL;
    ocl_plan plan = {0};
    p2p_ticket ticket = 0;
    device->target.variant = variant;
    p2p_status status = t->plan(&device->target, &t->op, &plan);
    if (status == P2P_UNSUPPORTED) return NULL;
    OK(status);
    if (plan.answer.scratch_bytes > 0)
        OK(module->device.buffer_create(device, plan.answer.scratch_bytes, &scratch));
    OK(ocl_op_create_by(device, plan_trial, t, &t->op, t->bindings, (p2p_binding){scratch, 0}, &made));
    void *raw = malloc(t->bytes);
    assert_non_null(raw);
    memset(raw, 0xFF, t->bytes);
    OK(module->device.buffer_write(device, t->bindings[t->out], raw, t->bytes));
    OK(module->device.op_run(device, made));
    OK(module->device.buffer_read(device, t->bindings[t->out], raw, t->bytes));
    OK(module->device.submit(device, &ticket));
    OK(module->device.wait(device, ticket));
    module->device.op_destroy(device, made);
    if (scratch) module->device.buffer_destroy(device, scratch);
    return raw;
}

#define PADS " pad_top=1 pad_left=1 pad_bottom=1 pad_right=1"

/* Extents that no tile divides, partial blocks, few channels on either side, phases, sums in parts. */
static const char *const cases[] = {
    "conv_fwd x=f32:nchwc16:2x20x11x13 w=f32:ckrs16:37x20x4x4 y=f32:nchwc16:2x37x10x12" PADS,
    "conv_fwd x=f32:nchwc16:1x3x18x22 w=f32:ckrs16:20x3x4x4 bias=f32:plain:1x20x1x1 y=f32:nchwc16:1x20x9x11 "
    "stride=2 "
    "act=tanh" PADS,
    "conv_fwd x=f32:nchwc16:1x128x7x7 w=f32:ckrs16:5x128x4x4 y=f32:nchwc16:1x5x6x6 act=lrelu slope=0.2" PADS,
    "conv_bwd_data dy=f32:nchwc16:2x33x5x6 w=f32:ckrs16:33x20x4x4 dx=f32:nchwc16:2x20x10x13 stride=2" PADS,
    "conv_bwd_data dy=f32:nchwc16:1x64x5x6 w=f32:ckrs16:64x3x4x4 dx=f32:nchwc16:1x3x11x12 stride=2 "
    "act=tanh" PADS,
    "conv_bwd_data dy=f32:nchwc16:1x6x8x8 w=f32:ckrs16:6x20x3x3 dx=f32:nchwc16:1x20x25x25 stride=3",
    "conv_bwd_filter x=f32:nchwc16:2x20x9x10 dy=f32:nchwc16:2x33x8x9 dw=f32:ckrs16:33x20x4x4" PADS,
    "conv_bwd_filter x=f32:nchwc16:1x3x33x32 dy=f32:nchwc16:1x18x16x16 dw=f32:ckrs16:18x3x4x4 stride=2" PADS,
    "conv_bwd_filter x=f32:nchwc16:1x40x5x5 dy=f32:nchwc16:1x1x4x4 dw=f32:ckrs16:1x40x4x4" PADS,
};

static const char *const forms[] = {"128x128", "128x64", "64x128", "64x64", "64x32", "32x64",
                                    "32x32",   "16x64",  "64x8",   "64x4",  "16x16", "4x16",
                                    "sg4x1",   "sg4x2",  "sg8x2",  "sg16x1"};

enum { CASES = sizeof cases / sizeof cases[0], FORMS = sizeof forms / sizeof forms[0], TILES = 12 };

/* On the device with `limit` as its group limit. `turn` selects one of three forms. */
static void expect_equal_bits(ocl_planner planner, const char *text, size_t limit, int turn) {
    p2p_be_device *device = NULL;
    OK(module->device_open(0, &device));
    if (device->target.group_limit > limit) device->target.group_limit = limit;
    trial t = prepare(device, planner, text);
    void *own = compute(&t, NULL);
    int ran = 0;
    for (int f = 0; f < FORMS; f++) {
        void *other = all || f % 3 == turn ? compute(&t, forms[f]) : NULL;
        if (!other) continue;
        ran++;
        if (memcmp(own, other, t.bytes) != 0) fail_msg("%s: %s gives other bits", text, forms[f]);
        free(other);
    }
    const int least = device->target.group_limit < 256 ? 1 : all ? TILES : TILES / 3;
    if (ran < least) fail_msg("%s: only %d forms ran", text, ran);
    free(own);
    discard(&t);
    module->device.close(device);
}

static void gives_equal_bits_by_every_tile(void **state) {
    (void)state;
    for (int c = 0; c < CASES; c++) expect_equal_bits(ocl_plan_conv_gpu, cases[c], SIZE_MAX, c % 3);
}

/* Sums other than convolutions: small ones in one launch, larger ones in parts, and one with more parts
 * than a work-group merges redundantly. */
static const char *const sums[] = {
    "norm_apply x=f32:nchwc16:3x20x5x7 stats=f32:plain:3x3x1x20 y=f32:nchwc16:3x20x5x7 eps=1e-05 merged=1 "
    "images=1",
    "norm_apply x=f32:nchwc16:2x20x33x37 stats=f32:plain:1x3x1x20 y=f32:nchwc16:2x20x33x37 eps=1e-05 "
    "merged=1",
    "norm_apply x=f32:nchwc16:2x5x130x131 stats=f32:plain:1x3x1x5 y=f32:nchwc16:2x5x130x131 eps=1e-05 "
    "merged=1",
    "bias_grad dy=f32:nchwc16:2x20x9x11 db=f32:plain:1x20x1x1",
    "bias_grad dy=f32:nchwc16:3x7x29x31 db=f32:plain:1x7x1x1",
    "loss_bce x=f32:nchwc16:3x1x14x15 loss=f32:plain:1x1x1x1 loss_scale=0.01",
    "loss_l1 x=f32:nchwc16:2x3x65x66 target=f32:nchwc16:2x3x65x66 loss=f32:plain:1x1x1x1 loss_scale=0.01",
};

static void sums_to_equal_bits_in_groups_of_any_size(void **state) {
    (void)state;
    static const size_t limits[] = {64, 16, 1};
    for (size_t c = 0; c < sizeof sums / sizeof sums[0]; c++) {
        p2p_be_device *device = NULL;
        OK(module->device_open(0, &device));
        trial t = prepare(device, ocl_plan_op, sums[c]);
        assert_true(device->target.group_limit >= 256);
        void *own = compute(&t, NULL);
        for (int l = 0; l < 3; l++) {
            device->target.group_limit = limits[l];
            void *other = compute(&t, NULL);
            if (memcmp(own, other, t.bytes) != 0) fail_msg("%s: groups of %zu", sums[c], limits[l]);
            free(other);
        }
        free(own);
        discard(&t);
        module->device.close(device);
    }
}

static void gives_equal_bits_in_small_groups(void **state) {
    (void)state;
    static const size_t limits[] = {64, 16, 1}; /* the last tile has one work-item */
    for (int l = 0; l < 3; l++) expect_equal_bits(ocl_plan_conv_gpu, cases[l * 3], limits[l], 11 % 3);
}

/* An operation whose plan needs more scratch memory than was allocated for it is not created. */
static void refuses_to_exceed_its_scratch(void **state) {
    (void)state;
    p2p_be_device *device = NULL;
    p2p_be_op *created = NULL;
    p2p_op op;
    p2p_query answer;
    const p2p_binding none[P2P_MAX_OPERANDS] = {{0}};
    OK(p2p_op_parse(
        "conv_fwd x=f32:nchwc16:1x64x4x4 w=f32:ckrs16:64x64x4x4 y=f32:nchwc16:1x64x2x2 stride=2" PADS, &op));
    OK(module->device_open(0, &device));
    device->target.cpu = false;
    device->target.family = OCL_CONV_GPU;
    OK(module->device.op_query(device, &op, &answer));
    assert_true(answer.scratch_bytes > 4);
    assert_int_equal(module->device.op_create(device, &op, none, none[0], &created), P2P_UNSUPPORTED);
    MESSAGE_HAS("scratch memory");
    assert_null(created);
    p2p_binding scratch = {0};
    OK(module->device.buffer_create(device, answer.scratch_bytes, &scratch.buffer));
    scratch.offset = 4;
    assert_int_equal(module->device.op_create(device, &op, none, scratch, &created), P2P_UNSUPPORTED);
    MESSAGE_HAS("scratch memory");
    module->device.buffer_destroy(device, scratch.buffer);
    module->device.close(device);
}

/* Each kind, both strides; in the last one the sum over tiles is divided into parts. */
static const char *const winograd_cases[] = {
    "conv_fwd x=f32:nchwc16:2x20x11x13 w=f32:ckrs16:37x20x4x4 bias=f32:plain:1x37x1x1 "
    "y=f32:nchwc16:2x37x10x12 "
    "act=lrelu slope=0.2" PADS,
    "conv_bwd_data dy=f32:nchwc16:2x33x5x6 w=f32:ckrs16:33x20x4x4 dx=f32:nchwc16:2x20x10x13 stride=2" PADS,
    "conv_bwd_filter x=f32:nchwc16:2x20x9x10 dy=f32:nchwc16:2x33x8x9 dw=f32:ckrs16:33x20x4x4" PADS,
    "conv_bwd_filter x=f32:nchwc16:1x18x134x130 dy=f32:nchwc16:1x33x67x65 dw=f32:ckrs16:33x18x4x4 "
    "stride=2" PADS,
};
enum { WINOGRAD_CASES = sizeof winograd_cases / sizeof winograd_cases[0] };

static void gives_equal_bits_by_every_tile_of_winograd(void **state) {
    (void)state;
    for (int c = 0; c < WINOGRAD_CASES; c++)
        expect_equal_bits(ocl_plan_conv_gpu_winograd, winograd_cases[c], SIZE_MAX, c % 3);
    expect_equal_bits(ocl_plan_conv_gpu_winograd, winograd_cases[0], 1, 11 % 3);
}

/* On a device with small buffers there are passes over rows of tiles, which continue each other's sums. */
static void gives_equal_bits_in_passes(void **state) {
    (void)state;
    for (int c = 0; c < WINOGRAD_CASES - 1; c++) { /* parts would depend on a pass's tiles */
        p2p_be_device *device = NULL;
        ocl_plan plan = {0};
        OK(module->device_open(0, &device));
        trial t = prepare(device, ocl_plan_conv_gpu_winograd, winograd_cases[c]);
        void *whole = compute(&t, NULL);
        OK(ocl_plan_conv_gpu_winograd(&device->target, &t.op, &plan));
        assert_int_equal(plan.repeats, 1);
        device->target.max_alloc_bytes = plan.answer.scratch_bytes;
        plan = (ocl_plan){0};
        OK(ocl_plan_conv_gpu_winograd(&device->target, &t.op, &plan));
        assert_in_range(plan.repeats, 2, 20);
        assert_true(plan.answer.scratch_bytes < device->target.max_alloc_bytes);
        void *passes = compute(&t, NULL);
        assert_memory_equal(whole, passes, t.bytes);
        device->target.max_alloc_bytes = 1 << 10;
        REFUSED(ocl_plan_conv_gpu_winograd(&device->target, &t.op, &plan), P2P_UNSUPPORTED, "scratch memory");
        free(whole);
        free(passes);
        discard(&t);
        module->device.close(device);
    }
}

/* With images = 1 an image in a batch is computed as it would be alone. */
static void gives_equal_bits_alone_and_in_a_batch(void **state) {
    (void)state;
    static const char one[] = "conv_fwd x=f32:nchwc16:1x64x8x8 w=f32:ckrs16:64x64x4x4 y=f32:nchwc16:1x64x4x4 "
                              "stride=2 images=1" PADS;
    static const char many[] =
        "conv_fwd x=f32:nchwc16:9x64x8x8 w=f32:ckrs16:64x64x4x4 y=f32:nchwc16:9x64x4x4 "
        "stride=2 images=1" PADS;
    p2p_op op;
    p2p_host host = *p2p_host_services();
    ocl_target target = {.host = &host,
                         .compute_units = 60,
                         .group_limit = 256,
                         .local_bytes = 32768,
                         .max_alloc_bytes = UINT64_MAX};
    ocl_plan alone = {0}, together = {0};
    OK(p2p_op_parse(one, &op));
    OK(ocl_plan_conv_gpu(&target, &op, &alone));
    OK(p2p_op_parse(many, &op));
    OK(ocl_plan_conv_gpu(&target, &op, &together));
    assert_string_equal(alone.launch[0].kernel, "conv_gpu_data_thin");
    assert_string_equal(together.launch[0].kernel,
                        "conv_gpu_data_thin"); /* 144 positions, but 16 per image */
    assert_int_equal(together.answer.scratch_bytes, 9 * alone.answer.scratch_bytes);
    op.images = 0;
    together = (ocl_plan){0};
    OK(ocl_plan_conv_gpu(&target, &op, &together));
    assert_string_equal(together.launch[0].kernel, "conv_gpu_data_tile");
}

/* Winograd is faster for sixteen images of this layer, not for one. */
static void chooses_alike_alone_and_in_a_batch(void **state) {
    (void)state;
    const ocl_target target = {.winograd = OCL_WINOGRAD_AUTO};
    static const int batches[] = {1, 16};
    for (int b = 0; b < 2; b++) {
        char text[256];
        p2p_op op;
        snprintf(text, sizeof text,
                 "conv_fwd x=f32:nchwc16:%dx128x64x64 w=f32:ckrs16:256x128x4x4 y=f32:nchwc16:%dx256x32x32 "
                 "stride=2" PADS,
                 batches[b], batches[b]);
        OK(p2p_op_parse(text, &op));
        assert_int_equal(ocl_conv_gpu_winograd_pays(&target, &op), batches[b] > 1);
        op.images = 1;
        assert_false(ocl_conv_gpu_winograd_pays(&target, &op));
    }
}

/* ---- Refusals -------------------------------------------------------------------------------------- */

static void refuses_what_does_not_fit(void **state) {
    (void)state;
    p2p_op op;
    ocl_plan plan = {0};
    ocl_target target = {.host = p2p_host_services(),
                         .compute_units = 1,
                         .group_limit = 64,
                         .local_bytes = 32768,
                         .max_alloc_bytes = UINT64_MAX};
    OK(p2p_op_parse(cases[0], &op));
    static const char *const refusals[][2] = {
        {"128x128", "not a tile"}, {"64x65", "not a tile"}, {"sg8x2", "sub-group"},    {"thin", "small map"},
        {"64x32k65", "can't cut"}, {"64x32k", "can't cut"}, {"64x32k2x", "can't cut"}, {"x", "not a tile"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        target.variant = refusals[i][0];
        REFUSED(ocl_plan_conv_gpu(&target, &op, &plan), P2P_UNSUPPORTED, refusals[i][1]);
    }
    target.variant = "64x32k2";
    OK(ocl_plan_conv_gpu(&target, &op, &plan));
    target.max_alloc_bytes = plan.answer.scratch_bytes - 1;
    plan = (ocl_plan){0};
    REFUSED(ocl_plan_conv_gpu(&target, &op, &plan), P2P_UNSUPPORTED, "a buffer of the device");
    target.variant = NULL;
    p2p_op large = op; /* positions beyond 31 bits, images within */
    large.t[P2P_AT_conv_fwd_x].n = large.t[P2P_AT_conv_fwd_y].n = 1 << 25;
    REFUSED(ocl_plan_conv_gpu(&target, &large, &plan), P2P_UNSUPPORTED, "all positions");
    target.local_bytes = 0;
    REFUSED(ocl_plan_conv_gpu(&target, &op, &plan), P2P_UNSUPPORTED, "local memory");
}

/* The message names a size, and no computation overflows on the way. */
static void refuses_what_is_too_large(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"conv_fwd x=f32:nchwc16:1x67108864x8x8 w=f32:ckrs16:67108864x67108864x4x4 "
         "y=f32:nchwc16:1x67108864x5x5",
         "of scratch memory"},
        {"conv_fwd x=f32:nchwc16:1x67108864x4x16777216 w=f32:ckrs16:16x67108864x4x4 "
         "y=f32:nchwc16:1x16x1x16777213",
         "a row of tiles"},
        {"conv_bwd_filter x=f32:nchwc16:67108864x16x4x4 dy=f32:nchwc16:67108864x16x1x1 "
         "dw=f32:ckrs16:16x16x4x4",
         "2^27 pixels"},
    };
    ocl_target target = {.host = p2p_host_services(),
                         .compute_units = 1,
                         .group_limit = 256,
                         .local_bytes = 32768,
                         .max_alloc_bytes = UINT64_MAX};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        p2p_op op;
        ocl_plan plan = {0};
        OK(p2p_op_parse(texts[i][0], &op));
        REFUSED(ocl_plan_conv_gpu_winograd(&target, &op, &plan), P2P_UNSUPPORTED, texts[i][1]);
    }
}

/* ---- Choices --------------------------------------------------------------------------------------- */

/* The layers of the 256x256 U-Net and of the 70x70 PatchGAN, as convolutions. */
static const struct {
    int c, k, size, stride;
} layers[] = {
    {3, 64, 256, 2},    {64, 128, 128, 2},  {128, 256, 64, 2}, {256, 512, 32, 2}, {512, 512, 16, 2},
    {512, 512, 8, 2},   {512, 512, 4, 2},   {512, 512, 2, 2},  {512, 1024, 4, 2}, {512, 1024, 8, 2},
    {512, 1024, 16, 2}, {256, 1024, 32, 2}, {128, 512, 64, 2}, {64, 256, 128, 2}, {3, 128, 256, 2},
    {6, 64, 256, 2},    {256, 512, 32, 1},  {512, 1, 31, 1},
};

static const int units[] = {20, 60, 132};

enum { LAYERS = sizeof layers / sizeof layers[0], UNITS = sizeof units / sizeof units[0] };

static p2p_op layer_op(int layer, p2p_kind kind, int batch) {
    static const struct {
        p2p_kind kind;
        const char *x, *w, *y;
    } names[] = {{P2P_KIND_conv_fwd, "x", "w", "y"},
                 {P2P_KIND_conv_bwd_data, "dx", "w", "dy"},
                 {P2P_KIND_conv_bwd_filter, "x", "dw", "dy"}};
    const int size = layers[layer].size, out = (size - 2) / layers[layer].stride + 1;
    const int name = kind == P2P_KIND_conv_fwd ? 0 : kind == P2P_KIND_conv_bwd_data ? 1 : 2;
    char text[512];
    p2p_op op;
    snprintf(
        text, sizeof text,
        "%s %s=f32:nchwc16:%dx%dx%dx%d %s=f32:ckrs16:%dx%dx4x4 %s=f32:nchwc16:%dx%dx%dx%d stride=%d" PADS,
        p2p_kind_name(kind), names[name].x, batch, layers[layer].c, size, size, names[name].w,
        layers[layer].k, layers[layer].c, names[name].y, batch, layers[layer].k, out, out,
        layers[layer].stride);
    OK(p2p_op_parse(text, &op));
    OK(p2p_op_validate(&op));
    return op;
}

static size_t groups_of(const ocl_launch *launch) {
    size_t groups = 1;
    for (int d = 0; d < 3; d++) groups *= launch->global[d] / launch->local[d];
    return groups;
}

/* Prints "128x64k2 in 64 groups" for each number of compute units; the scratch memory is the same for all. */
static void print_choices(int layer, p2p_kind kind, int batch, FILE *stream) {
    const p2p_op op = layer_op(layer, kind, batch);
    const ocl_target any = {.winograd = OCL_WINOGRAD_AUTO};
    size_t scratch = 0;
    fprintf(stream, "n%d %4d -> %4d, %3d, s%d %-15s", batch, layers[layer].c, layers[layer].k,
            layers[layer].size, layers[layer].stride, p2p_kind_name(kind));
    for (int u = 0; u < UNITS; u++) {
        const ocl_target target = {.host = p2p_host_services(),
                                   .compute_units = units[u],
                                   .group_limit = 256,
                                   .local_bytes = 49152,
                                   .max_alloc_bytes = UINT64_MAX};
        ocl_plan plan = {0};
        OK(ocl_plan_conv_gpu(&target, &op, &plan));
        const char *tile = strchr(plan.answer.kernel, ' ');
        fprintf(stream, " | %-9s %6zu", tile ? tile + 1 : "thin", groups_of(&plan.launch[0]));
        if (u > 0) assert_int_equal(plan.answer.scratch_bytes, scratch);
        scratch = plan.answer.scratch_bytes;
    }
    fprintf(stream, " | %5.1f%s\n", (double)scratch / (1 << 20),
            ocl_conv_gpu_winograd_pays(&any, &op) ? " | winograd" : "");
}

static char *choices(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    fprintf(
        stream,
        "images, channels in and out, input size, stride, kind | tile and parts, groups: on 20, 60 and 132 "
        "compute units | scratch memory, MiB | \"winograd\" where that is chosen instead\n");
    for (int batch = 1; batch <= 4; batch += 3)
        for (int layer = 0; layer < LAYERS; layer++)
            for (int kind = P2P_KIND_conv_fwd; kind <= P2P_KIND_conv_bwd_filter; kind++)
                print_choices(layer, (p2p_kind)kind, batch, stream);
    fclose(stream);
    return text;
}

static void chooses_as_committed(void **state) {
    (void)state;
    const char *path = test_golden("gpu_tiles.txt"), *update = getenv("P2P_UPDATE_GOLDEN");
    char *text = choices();
    if (update && strcmp(update, "1") == 0) {
        test_file_write(path, text, strlen(text));
    } else {
        size_t size = 0, same = 0;
        uint8_t *expected = test_file_read(path, &size);
        while (same < size && text[same] && (uint8_t)text[same] == expected[same]) same++;
        if (same != size || text[same])
            fail_msg("%s: from byte %zu on there is now '%.*s'; P2P_UPDATE_GOLDEN=1 accepts it", path, same,
                     (int)strcspn(text + same, "\n"), text + same);
        free(expected);
    }
    free(text);
}

int main(int argc, char **argv) {
    all = argc == 2 && strcmp(argv[1], "all") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_to_equal_bits_in_groups_of_any_size),
        cmocka_unit_test(gives_equal_bits_by_every_tile),
        cmocka_unit_test(gives_equal_bits_in_small_groups),
        cmocka_unit_test(gives_equal_bits_by_every_tile_of_winograd),
        cmocka_unit_test(gives_equal_bits_in_passes),
        cmocka_unit_test(gives_equal_bits_alone_and_in_a_batch),
        cmocka_unit_test(chooses_alike_alone_and_in_a_batch),
        cmocka_unit_test(refuses_to_exceed_its_scratch),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(refuses_what_is_too_large),
        cmocka_unit_test(chooses_as_committed),
    };
    setenv("P2P_OPENCL_CONV", "gpu", 1);
    unsetenv("P2P_OPENCL_VARIANT");
    module = p2p_module_opencl(P2P_BACKEND_ABI, p2p_host_services());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
