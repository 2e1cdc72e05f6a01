/* Plans and choices of the OpenCL backend without a device, a driver or an ICD loader. On simulated targets
 * every operation of the full networks and odd shapes are planned by the default choice, by each family of
 * convolutions and by each listed way, and the plans are checked for what ocl_op.c and drivers rely on.
 * Then verdicts and choices as values, the text of stored choices under mutation, and environment
 * variables. test_ops tests on a device what the plans compute.
 */
#include "conv/ocl_choice_text.h"
#include "conv/ocl_conv.h"
#include "device/ocl_environment.h"
#include "ocl_planners.h"
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
    const int64_t m = ocl_divide_up(g->m, 64), n = ocl_divide_up(g->n, 64), k = ocl_divide_up(g->k, 64);
    assert_ptr_equal(context, &host);
    assert_true(g->m > 0 && g->n > 0 && g->k > 0 && g->a.row_distance > 0 && g->b.row_distance > 0 &&
                g->y.row_distance > 0);
    *bytes = (size_t)(m * k + k * n + m * n) * 64 * 64 * sizeof(float);
    return P2P_OK;
}

enum { ALIGNMENT = 128 };
static const uint64_t gib = 1 << 30;

static ocl_target cpu(int width, int units, ocl_bf16 bf16) {
    return (ocl_target){.host = &host,
                        .cpu = true,
                        .vector_width = width,
                        .compute_units = units,
                        .group_limit = 4096,
                        .device_group_limit = 4096,
                        .local_bytes = 256 << 10,
                        .max_alloc_bytes = 4 * gib,
                        .bf16 = bf16,
                        .gemm = {gemm_scratch_size, (void *)(size_t)&host, ALIGNMENT}};
}

static ocl_target gpu(int units, size_t group, size_t local_kib, bool subgroups) {
    ocl_target target = cpu(4, units, OCL_BF16_STORED);
    target.cpu = false;
    target.group_limit = target.device_group_limit = group;
    target.local_bytes = local_kib << 10;
    target.subgroups = subgroups;
    return target;
}

enum { TARGETS = 15 };

static void make_targets(ocl_target targets[TARGETS]) {
    const ocl_target all[TARGETS] = {
        cpu(1, 1, OCL_BF16_NONE),  cpu(4, 2, OCL_BF16_NONE),      cpu(8, 16, OCL_BF16_PORTABLE),
        cpu(16, 2, OCL_BF16_NONE), cpu(16, 2, OCL_BF16_PORTABLE), cpu(16, 64, OCL_BF16_ASSEMBLY),
        gpu(20, 256, 32, false),   gpu(60, 256, 48, false),       gpu(132, 1024, 64, false),
        gpu(96, 512, 64, true),    gpu(8, 64, 32, false),         gpu(4, 16, 32, false),
        gpu(4, 1, 32, false),      gpu(60, 256, 16, true),        gpu(1, 256, 4, false),
    };
    memcpy(targets, all, sizeof all);
    targets[10].max_alloc_bytes = gib / 4;
}

/* ---- Operations ------------------------------------------------------------------------------------ */

enum { MOST_OPS = 1024 };

typedef struct {
    p2p_op op[MOST_OPS];
    int count;
} op_list;

static bool is_conv(const p2p_op *op) {
    return op->kind == P2P_KIND_conv_fwd || op->kind == P2P_KIND_conv_bwd_data ||
           op->kind == P2P_KIND_conv_bwd_filter;
}

static void add_op(op_list *ops, const p2p_op *op) {
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
        for (int o = 0; is_op && is_conv(&op) && o < P2P_MAX_OPERANDS; o++)
            if (op.t[o].layout == P2P_LAYOUT_kcrs_t)
                op.t[o].layout = P2P_LAYOUT_ckrs; /* this backend requests no derived filters */
        if (is_op && p2p_op_validate(&op) == P2P_OK) add_op(ops, &op);
    }
    fclose(file);
}

/* Adds the convolutions at another batch size. `alone`: with images = 1. */
static void add_batch(op_list *ops, int batch, bool alone) {
    const int count = ops->count;
    for (int i = 0; i < count; i++) {
        p2p_op op = ops->op[i];
        if (!is_conv(&op)) continue;
        for (int o = 0; o < p2p_kind_operand_count(op.kind); o++)
            if (op.t[o].layout == P2P_LAYOUT_nchwc && p2p_tensor_present(&op.t[o])) op.t[o].n = batch;
        op.images = alone && op.kind != P2P_KIND_conv_bwd_filter;
        OK(p2p_op_validate(&op));
        add_op(ops, &op);
    }
}

#define PADS " pad_top=1 pad_left=1 pad_bottom=1 pad_right=1"

/* Extents that no tile divides, few channels on either side, ranges, large strides, one pixel, many taps. */
static const char *const odd[] = {
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

static void add_odd(op_list *ops) {
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        p2p_op op;
        OK(p2p_op_parse(odd[i], &op));
        OK(p2p_op_validate(&op));
        add_op(ops, &op);
    }
}

static op_list networks;      /* f32 */
static op_list networks_bf16; /* activations in bf16 */
static op_list convolutions;  /* f32, with odd shapes and batches */

static int read_operations(void **state) {
    (void)state;
    read_network("plan_nchw16c.txt", &networks);
    read_network("plan_nchw16c_gpu_bf16.txt", &networks_bf16);
    assert_true(networks.count > 100 && networks_bf16.count > 100);
    op_list all = networks;
    add_odd(&all);
    for (int i = 0; i < all.count; i++)
        if (is_conv(&all.op[i])) add_op(&convolutions, &all.op[i]);
    assert_true(convolutions.count > 50);
    return 0;
}

/* ---- Kernel files ---------------------------------------------------------------------------------- */

enum { MOST_FILES = 64 };

static struct {
    const char *name;
    char *text;
} files[MOST_FILES];

static char *read_kernel_file(const char *name) {
    static const char *const rooms[] = {"plan", "conv", "device"};
    for (int r = 0; r < 3; r++) {
        char path[512];
        enum { MOST = 1 << 16 };
        snprintf(path, sizeof path, P2P_TEST_DIR "/../backend-opencl/kernels/%s/%s", rooms[r], name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        char *text = calloc(1, MOST);
        assert_non_null(text);
        assert_in_range(fread(text, 1, MOST - 1, file), 1, MOST - 2);
        fclose(file);
        return text;
    }
    return NULL;
}

static const char *kernel_file(const char *name) {
    int i = 0;
    while (i < MOST_FILES && files[i].name && strcmp(files[i].name, name) != 0) i++;
    assert_true(i < MOST_FILES);
    if (!files[i].name) {
        files[i].text = read_kernel_file(name);
        if (!files[i].text) fail_msg("there is no kernel file %s", name);
        files[i].name = name;
    }
    return files[i].text;
}

/* Whether a text contains a word that is not part of a longer name. */
static bool has_word(const char *text, const char *word) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    const size_t length = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
        const bool begins = at == text || !strchr(letters, at[-1]);
        if (begins && (at[length] == '\0' || !strchr(letters, at[length]))) return true;
    }
    return false;
}

/* ---- Checks of every plan -------------------------------------------------------------------------- */

/* The operation of the plan under test, for messages. */
static const p2p_op *now_op;
static const ocl_target *now_target;

static void check_that(bool holds, const char *what) {
    char text[P2P_OP_TEXT];
    if (holds) return;
    p2p_op_print(now_op, text, sizeof text);
    fail_msg("%s: %s (cpu %d, width %d, units %d, groups of %zu, family %d, variant '%s')", text, what,
             now_target->cpu, now_target->vector_width, now_target->compute_units, now_target->group_limit,
             (int)now_target->family, now_target->variant ? now_target->variant : "");
}

/* Writes the names in " -DNAME=VALUE ...", with a space before each, and checks that each occurs once. */
static void check_options(const ocl_launch *launch, char names[OCL_LAUNCH_OPTIONS]) {
    const char *at = launch->options;
    size_t end = 0;
    check_that(strlen(at) < OCL_LAUNCH_OPTIONS - 1, "options fill their array");
    names[0] = '\0';
    while (*at) {
        char name[64];
        check_that(strncmp(at, " -D", 3) == 0, "options are not a list of -D");
        const size_t length = strcspn(at + 3, "= ");
        check_that(length > 0 && length < sizeof name, "an option has no name");
        memcpy(name, at + 3, length);
        name[length] = '\0';
        check_that(!has_word(names, name), "an option is given twice");
        end += (size_t)snprintf(names + end, OCL_LAUNCH_OPTIONS - end, " %s", name);
        at += 3 + strcspn(at + 3, " ");
    }
}

/* Whether this combination of files, kernel and names of options was not checked before. */
static bool is_new_program(const ocl_launch *launch, const char *names) {
    enum { MOST = 1 << 12 };
    static uint64_t seen[MOST];
    char text[2048];
    int end = snprintf(text, sizeof text, "%s%s", launch->kernel, names);
    for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++)
        end += snprintf(text + end, sizeof text - (size_t)end, " %s", launch->source[i]);
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < end; i++) hash = (hash ^ (uint8_t)text[i]) * 1099511628211u;
    size_t at = hash % MOST;
    while (seen[at] != 0 && seen[at] != hash) at = (at + 1) % MOST;
    if (seen[at] == hash) return false;
    seen[at] = hash;
    return true;
}

/* Files exist, contain the kernel, and use each option. */
static void check_program(const ocl_launch *launch) {
    char names[OCL_LAUNCH_OPTIONS];
    check_that(launch->source[0] && strcmp(launch->source[0], "common.clh") == 0, "common.clh is not first");
    check_options(launch, names);
    if (!is_new_program(launch, names)) return;
    bool found = false;
    for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++) {
        for (int j = 0; j < i; j++)
            check_that(strcmp(launch->source[i], launch->source[j]) != 0, "a file is in a program twice");
        found |= has_word(kernel_file(launch->source[i]), launch->kernel);
    }
    check_that(found, "the kernel is in no file of the program");
    for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
        bool used = false;
        for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++)
            used |= has_word(kernel_file(launch->source[i]), name);
        check_that(used, "an option is used by no file of the program");
    }
}

static void check_grid(const ocl_launch *launch) {
    size_t items = 1;
    for (int d = 0; d < 3; d++) {
        check_that(launch->local[d] > 0 && launch->global[d] > 0, "an extent of the grid is zero");
        check_that(launch->global[d] % launch->local[d] == 0, "a group is not whole");
        items *= launch->local[d];
    }
    check_that(items <= (now_target->cpu ? 1 : now_target->group_limit), "a group is too large");
}

static void check_arguments(const ocl_launch *launch, const ocl_plan *plan) {
    check_that(launch->arg_count > 0 && launch->arg_count <= OCL_LAUNCH_ARGS, "the number of arguments");
    for (int i = 0; i < launch->arg_count; i++) {
        const ocl_arg *arg = &launch->arg[i];
        if (arg->kind == OCL_ARG_OPERAND)
            check_that(arg->value.operand >= 0 && arg->value.operand < p2p_kind_operand_count(now_op->kind) &&
                           p2p_tensor_present(&now_op->t[arg->value.operand]),
                       "an argument is an absent operand");
        if (arg->kind == OCL_ARG_SCRATCH)
            check_that(arg->value.offset * sizeof(float) < plan->answer.scratch_bytes,
                       "an argument is outside scratch memory");
        if (arg->kind == OCL_ARG_FLOAT) check_that(isfinite(arg->value.f), "an argument is not finite");
        if (arg->kind == OCL_ARG_REPEAT) check_that(plan->repeats > 0, "an argument of a body without one");
    }
}

/* Checks that a matrix of rows x columns floats lies within its operand or the scratch memory. */
static void check_matrix(const ocl_matrix *m, int64_t rows, int64_t columns, const ocl_plan *plan) {
    const uint64_t end = m->offset + (uint64_t)(rows - 1) * m->row_distance + (uint64_t)columns;
    check_that(m->row_distance >= (uint64_t)columns, "rows of a matrix overlap");
    if (m->operand < 0)
        check_that(end * sizeof(float) <= plan->answer.scratch_bytes, "a matrix is outside scratch memory");
    else
        check_that(end <= (uint64_t)p2p_tensor_stored(&now_op->t[m->operand]),
                   "a matrix is outside its operand");
}

static void check_product(const ocl_gemm *g, const ocl_plan *plan) {
    check_that(now_target->device_group_limit >= 64, "a product on a device with too small groups");
    check_that(g->temp_offset * sizeof(float) + g->temp_bytes + (g->temp_bytes ? ALIGNMENT : 0) <=
                   plan->answer.scratch_bytes,
               "the library's scratch memory is outside the plan's");
    check_matrix(&g->a, g->transpose_a ? g->k : g->m, g->transpose_a ? g->m : g->k, plan);
    check_matrix(&g->b, g->transpose_b ? g->n : g->k, g->transpose_b ? g->k : g->n, plan);
    check_matrix(&g->y, g->m, g->n, plan);
}

static void check_plan(const ocl_plan *plan) {
    check_that(plan->launch_count > 0 && plan->launch_count <= OCL_PLAN_LAUNCHES, "the number of launches");
    check_that(plan->answer.scratch_bytes <= now_target->max_alloc_bytes,
               "more scratch memory than a buffer holds");
    check_that(strlen(plan->answer.kernel) < sizeof plan->answer.kernel - 1, "its name is cut");
    check_that(!plan->answer.want_filter, "a derived filter");
    check_that(plan->body_first + plan->body_count <= plan->launch_count,
               "the body is not within the launches");
    check_that(plan->repeats <= 1 || plan->body_count > 0, "a body without launches is repeated");
    for (int i = 0; i < plan->launch_count; i++) {
        const ocl_launch *launch = &plan->launch[i];
        if (!launch->kernel) {
            check_product(&launch->gemm, plan);
            continue;
        }
        check_program(launch);
        check_grid(launch);
        check_arguments(launch, plan);
    }
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_argument(const ocl_arg *a, const ocl_arg *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case OCL_ARG_OPERAND:
        return a->value.operand == b->value.operand;
    case OCL_ARG_FLOAT:
        return memcmp(&a->value.f, &b->value.f, sizeof a->value.f) == 0;
    case OCL_ARG_INT:
    case OCL_ARG_REPEAT:
        return a->value.i == b->value.i;
    default:
        return a->value.u == b->value.u;
    }
}

static bool same_launch(const ocl_launch *a, const ocl_launch *b) {
    bool same = same_text(a->kernel, b->kernel) && strcmp(a->options, b->options) == 0 &&
                memcmp(a->global, b->global, sizeof a->global) == 0 &&
                memcmp(a->local, b->local, sizeof a->local) == 0 && a->arg_count == b->arg_count &&
                a->gemm.m == b->gemm.m && a->gemm.n == b->gemm.n && a->gemm.k == b->gemm.k &&
                a->gemm.temp_bytes == b->gemm.temp_bytes && a->gemm.temp_offset == b->gemm.temp_offset;
    for (int i = 0; i < OCL_LAUNCH_SOURCES; i++) same &= same_text(a->source[i], b->source[i]);
    for (int i = 0; same && i < a->arg_count; i++) same &= same_argument(&a->arg[i], &b->arg[i]);
    return same;
}

static bool same_plan(const ocl_plan *a, const ocl_plan *b) {
    bool same = a->launch_count == b->launch_count && a->body_first == b->body_first &&
                a->body_count == b->body_count && a->repeats == b->repeats && a->untested == b->untested &&
                a->answer.scratch_bytes == b->answer.scratch_bytes && same_text(a->reason, b->reason) &&
                strcmp(a->answer.kernel, b->answer.kernel) == 0;
    for (int i = 0; same && i < a->launch_count; i++) same &= same_launch(&a->launch[i], &b->launch[i]);
    return same;
}

/* Plans and checks the plan, or the reason of the refusal. Memory that planners do not write must not
 * matter, so the second plan starts with other contents. Returns whether there is a plan. */
static bool plan_and_check(const ocl_target *target, const ocl_conv_way *way, const p2p_op *op,
                           ocl_plan *plan) {
    ocl_plan again;
    now_op = op;
    now_target = target;
    memset(plan, 0, sizeof *plan);
    memset(&again, 0xA5, sizeof again);
    const p2p_status status = way ? ocl_conv_plan_way(target, way, op, plan) : ocl_plan_op(target, op, plan);
    if (status != P2P_OK) {
        check_that(status == P2P_UNSUPPORTED, p2p_message());
        check_that(strncmp(p2p_message(), "opencl: ", 8) == 0 && strlen(p2p_message()) > 16, "no reason");
        return false;
    }
    check_plan(plan);
    check_that(way || plan->answer.kernel[0], "it has no name");
    check_that((way ? ocl_conv_plan_way(target, way, op, &again) : ocl_plan_op(target, op, &again)) ==
                       P2P_OK &&
                   same_plan(plan, &again),
               "planning twice gives different plans");
    return true;
}

/* ---- Default choice -------------------------------------------------------------------------------- */

/* No operation of the networks is refused on any target. */
static void plans_the_networks(void **state) {
    (void)state;
    ocl_target targets[TARGETS];
    make_targets(targets);
    for (int t = 0; t < TARGETS; t++) {
        const op_list *lists[] = {&networks, targets[t].cpu ? NULL : &networks_bf16};
        for (int l = 0; l < 2 && lists[l]; l++)
            for (int i = 0; i < lists[l]->count; i++) {
                ocl_plan plan;
                const bool planned = plan_and_check(&targets[t], NULL, &lists[l]->op[i], &plan);
                if (lists[l]->op[i].kind == P2P_KIND_all_reduce) continue;
                check_that(planned, p2p_message());
            }
    }
}

static void plans_or_refuses_odd_shapes(void **state) {
    (void)state;
    ocl_target targets[TARGETS];
    static op_list ops;
    int planned = 0, refused_ops = 0;
    make_targets(targets);
    ops.count = 0;
    add_odd(&ops);
    for (int t = 0; t < TARGETS; t++)
        for (int i = 0; i < ops.count; i++) {
            ocl_plan plan;
            const bool has_plan = plan_and_check(&targets[t], NULL, &ops.op[i], &plan);
            planned += has_plan;
            refused_ops += !has_plan;
        }
    assert_true(refused_ops <=
                4 * TARGETS); /* filters in plain layout, extents beyond 31 bits, small groups */
    assert_true(planned > 30 * TARGETS);
}

/* Batches, and images that must not depend on their batch. */
static void plans_batches(void **state) {
    (void)state;
    ocl_target targets[TARGETS];
    static op_list ops;
    make_targets(targets);
    ops = networks;
    add_batch(&ops, 4, false);
    add_batch(&ops, 16, true);
    for (int t = 0; t < TARGETS; t++)
        for (int i = networks.count; i < ops.count; i++) {
            ocl_plan plan;
            check_that(plan_and_check(&targets[t], NULL, &ops.op[i], &plan) ||
                           targets[t].max_alloc_bytes < gib,
                       "a batch is refused");
        }
}

/* On CPUs that multiply in bf16, the networks' large layers do; a refusal makes a session use float32. */
static void plans_products_in_bf16(void **state) {
    (void)state;
    ocl_target targets[TARGETS];
    make_targets(targets);
    for (int t = 0; t < TARGETS; t++) {
        int planned = 0;
        for (int i = 0; i < convolutions.count; i++) {
            ocl_plan plan;
            p2p_op op = convolutions.op[i];
            op.math = P2P_MATH_bf16;
            planned += plan_and_check(&targets[t], NULL, &op, &plan);
            for (int f = OCL_CONV_AUTO + 1; f < OCL_CONV_FAMILIES; f++) {
                ocl_target named = targets[t];
                named.family = (ocl_conv_family)f;
                plan_and_check(&named, NULL, &op, &plan);
            }
        }
        if (ocl_bf16_multiplies(&targets[t]))
            assert_true(planned > 20);
        else
            assert_int_equal(planned, 0);
    }
}

/* ---- By families and ways -------------------------------------------------------------------------- */

/* A named family is not replaced by another, and "#1" gives only listed variants. */
static void plans_by_each_family(void **state) {
    (void)state;
    static const char *const variants[] = {NULL,      "#1",    "1x1x8x2", "8x2",    "64x64",
                                           "64x32k2", "sg8x2", "thin",    "stream", "nonsense"};
    ocl_target targets[TARGETS];
    int planned[OCL_CONV_FAMILIES] = {0};
    make_targets(targets);
    for (int t = 0; t < TARGETS; t++)
        for (int f = OCL_CONV_AUTO + 1; f < OCL_CONV_FAMILIES; f++)
            for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++)
                for (int i = 0; i < convolutions.count; i++) {
                    ocl_plan plan;
                    ocl_target named = targets[t];
                    named.family = (ocl_conv_family)f;
                    named.variant = variants[v];
                    const bool of_cpus = f == OCL_CONV_DIRECT || f == OCL_CONV_WINOGRAD;
                    if (of_cpus != named.cpu && f != OCL_CONV_GEMM) continue;
                    if (!plan_and_check(&named, NULL, &convolutions.op[i], &plan)) continue;
                    planned[f]++;
                    assert_int_equal(plan.untested, OCL_CONV_AUTO);
                }
    for (int f = OCL_CONV_AUTO + 1; f < OCL_CONV_FAMILIES; f++) assert_true(planned[f] > 1000);
}

/* Each listed way can be planned, under its own name only, and no two plans are equal. */
static void plans_by_each_listed_way(void **state) {
    (void)state;
    ocl_target targets[TARGETS];
    int listed = 0;
    make_targets(targets);
    for (int t = 0; t < TARGETS; t++)
        for (int i = 0; i < convolutions.count; i++) {
            const p2p_op *op = &convolutions.op[i];
            ocl_conv_ways ways;
            ocl_plan usual, plan;
            if (ocl_conv_list_ways(&targets[t], op, &ways) != P2P_OK) continue;
            assert_in_range(ways.count, 1, OCL_MOST_WAYS);
            assert_int_equal(ways.way[0].family, OCL_CONV_AUTO);
            assert_int_not_equal(ways.untested, OCL_CONV_AUTO);
            assert_true(plan_and_check(&targets[t], &ways.way[0], op, &usual));
            for (int w = 1; w < ways.count; w++, listed++) {
                char name[P2P_CHOICE_NAME];
                ocl_conv_way back;
                check_that(plan_and_check(&targets[t], &ways.way[w], op, &plan), p2p_message());
                assert_false(same_plan(&usual, &plan));
                assert_int_equal(plan.untested, ways.way[w].family);
                ocl_conv_way_print(&ways.way[w], name);
                assert_true(ocl_conv_way_parse(name, &back));
                assert_int_equal(back.family, ways.way[w].family);
                assert_string_equal(back.variant, ways.way[w].variant);
            }
        }
    assert_true(listed > 1000);
}

/* ---- Dependence of bits ---------------------------------------------------------------------------- */

/* Neither parts of sums nor passes depend on the number of compute units: scratch memory, launches and
 * repetitions are equal for all. (On CPUs Winograd's scratch memory grows with the number of work-items.) */
static void splits_sums_alike_on_any_number_of_units(void **state) {
    (void)state;
    for (int i = 0; i < networks.count; i++) {
        ocl_plan first, other;
        const ocl_target small = gpu(20, 256, 48, false), large = gpu(132, 256, 48, false);
        if (!plan_and_check(&small, NULL, &networks.op[i], &first)) continue;
        assert_true(plan_and_check(&large, NULL, &networks.op[i], &other));
        check_that(first.answer.scratch_bytes == other.answer.scratch_bytes &&
                       first.launch_count == other.launch_count && first.repeats == other.repeats,
                   "the number of units decides how sums are split");
        const ocl_target few = cpu(16, 2, OCL_BF16_NONE), many = cpu(16, 128, OCL_BF16_NONE);
        assert_true(plan_and_check(&few, NULL, &networks.op[i], &first));
        assert_true(plan_and_check(&many, NULL, &networks.op[i], &other));
        check_that(strcmp(first.answer.kernel, other.answer.kernel) == 0 ||
                       strstr(first.answer.kernel, "winograd"),
                   "the number of units decides the form");
        check_that(first.launch_count == other.launch_count && first.repeats == other.repeats,
                   "the number of units decides how sums are split");
    }
}

/* ---- Verdicts and choices as values ---------------------------------------------------------------- */

static p2p_op parse(const char *text) {
    p2p_op op;
    OK(p2p_op_parse(text, &op));
    OK(p2p_op_validate(&op));
    return op;
}

/* A family that failed is skipped, one without a verdict is reported as untested, one that passed is not. */
static void follows_verdicts(void **state) {
    (void)state;
    ocl_target targets[TARGETS];
    make_targets(targets);
    for (int t = 0; t < TARGETS; t++)
        for (int i = 0; i < convolutions.count; i++) {
            const p2p_op *op = &convolutions.op[i];
            ocl_verdicts verdicts = {0};
            ocl_plan first, plan;
            ocl_conv_family last = OCL_CONV_AUTO;
            targets[t].verdicts = NULL;
            if (!plan_and_check(&targets[t], NULL, op, &first)) continue;
            assert_int_not_equal(first.untested, OCL_CONV_AUTO);
            targets[t].verdicts = &verdicts;
            verdicts.family[first.untested][1] = OCL_VERDICT_FAILS; /* for another storage */
            assert_true(plan_and_check(&targets[t], NULL, op, &plan) && same_plan(&first, &plan));
            verdicts.family[first.untested][0] = OCL_VERDICT_PASSES;
            assert_true(plan_and_check(&targets[t], NULL, op, &plan));
            assert_int_equal(plan.untested, OCL_CONV_AUTO);
            assert_string_equal(plan.answer.kernel, first.answer.kernel);
            for (int f = 0; f < OCL_CONV_FAMILIES; f++) verdicts.family[f][0] = OCL_VERDICT_UNKNOWN;
            while (plan_and_check(&targets[t], NULL, op, &plan)) {
                assert_int_not_equal(plan.untested, OCL_CONV_AUTO);
                assert_int_not_equal(plan.untested, last);
                last = plan.untested;
                const ocl_conv_way way = {last, ""};
                verdicts.family[last][0] = OCL_VERDICT_FAILS;
                REFUSED(ocl_conv_plan_way(&targets[t], &way, op, &plan), P2P_UNSUPPORTED, "fails its test");
            }
        }
    ocl_verdicts all;
    ocl_plan plan;
    const p2p_op op = parse(odd[0]);
    for (int f = 0; f < OCL_CONV_FAMILIES; f++) all.family[f][0] = all.family[f][1] = OCL_VERDICT_FAILS;
    targets[0].verdicts = &all;
    REFUSED(ocl_plan_op(&targets[0], &op, &plan), P2P_UNSUPPORTED, "every family");
}

/* A choice applies to every form of its convolution until it is replaced; one that is not available is
 * ignored. */
static void follows_choices(void **state) {
    (void)state;
    ocl_target target = cpu(16, 2, OCL_BF16_NONE);
    ocl_choices choices = {0};
    const p2p_op op = parse(odd[1]), plain = ocl_choice_key(&op), other = parse(odd[0]);
    ocl_conv_way way;
    ocl_plan usual, plan, of_other;
    target.choices = &choices;
    assert_true(plan_and_check(&target, NULL, &op, &usual) &&
                plan_and_check(&target, NULL, &other, &of_other));
    assert_false(ocl_choice_find(&choices, &op, &way));
    assert_true(ocl_conv_way_parse("direct:1x2x3x2", &way));
    assert_true(ocl_choice_remember(&choices, &op, &way));
    assert_true(ocl_choice_find(&choices, &plain, &way));
    assert_string_equal(way.variant, "1x2x3x2");
    assert_true(plan_and_check(&target, NULL, &op, &plan));
    assert_non_null(strstr(plan.answer.kernel, "1x2x3x2"));
    assert_true(plan_and_check(&target, NULL, &other, &plan) && same_plan(&plan, &of_other));
    assert_true(ocl_conv_way_parse("direct:9x9x9x9", &way) && ocl_choice_remember(&choices, &op, &way));
    assert_true(plan_and_check(&target, NULL, &op, &plan) && same_plan(&plan, &usual));
    assert_true(ocl_conv_way_parse("", &way) && ocl_choice_remember(&choices, &op, &way));
    assert_true(plan_and_check(&target, NULL, &op, &plan) && same_plan(&plan, &usual));
    assert_int_equal(choices.count, 1);
    for (int i = 0; i < convolutions.count; i++) /* the table grows */
        assert_true(ocl_choice_remember(&choices, &convolutions.op[i], &way));
    ocl_choices_release(&choices);
    assert_int_equal(choices.count, 0);
}

/* ---- The text of stored choices -------------------------------------------------------------------- */

static uint32_t draw(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

enum { LINES = 8, TEXT_ROOM = LINES * (P2P_OP_TEXT + 128) };

static void print_descriptor(int line, char text[P2P_OP_TEXT]) {
    const p2p_op key = ocl_choice_key(&convolutions.op[line]);
    p2p_op_print(&key, text, P2P_OP_TEXT);
}

static char *whole_text(void) {
    static const char *const names[] = {"", "direct", "direct:1x1x8x2", "gpu:64x64k2", "gemm", "winograd"};
    char *text = calloc(1, 1);
    for (int i = 0; i < LINES; i++) {
        char descriptor[P2P_OP_TEXT];
        ocl_choice choice = {.seconds = 0.25 + i, .default_seconds = 1e-9};
        assert_true(ocl_conv_way_parse(names[i % 6], &choice.way));
        print_descriptor(i, descriptor);
        char *longer = ocl_choice_text_replace(text, descriptor, &choice);
        assert_non_null(longer);
        free(text);
        text = longer;
    }
    return text;
}

static void reads_what_it_wrote(void **state) {
    (void)state;
    char *text = whole_text(), descriptor[P2P_OP_TEXT];
    ocl_choice choice;
    for (int replaced = 0; replaced < LINES; replaced++) {
        ocl_choice changed = {.seconds = 3, .default_seconds = 4};
        assert_true(ocl_conv_way_parse("gpu:16x64", &changed.way));
        print_descriptor(replaced, descriptor);
        char *other = ocl_choice_text_replace(text, descriptor, &changed);
        for (int i = 0; i < LINES; i++) {
            print_descriptor(i, descriptor);
            assert_true(ocl_choice_text_find(other, descriptor, &choice));
            assert_true(choice.seconds == (i == replaced ? 3 : 0.25 + i));
            assert_int_equal(choice.way.family == OCL_CONV_GPU && strcmp(choice.way.variant, "16x64") == 0,
                             i == replaced);
        }
        free(other);
    }
    assert_false(ocl_choice_text_find(text, "conv_fwd of another shape", &choice));
    assert_false(ocl_choice_text_find("", descriptor, &choice));
    free(text);
}

/* Changes, removes and doubles bytes, cuts and joins lines. */
static void mutate(char *text, uint64_t *state) {
    static const char bytes[] = "\t\n :x019.-einfa\x80\xff";
    for (int n = 1 + (int)(draw(state) % 4); n > 0; n--) {
        const size_t length = strlen(text);
        const size_t at = length ? draw(state) % length : 0, count = 1 + draw(state) % 40;
        switch (draw(state) % 4) {
        case 0:
            if (length) text[at] = bytes[draw(state) % (sizeof bytes - 1)];
            break;
        case 1:
            if (at + count < length) memmove(text + at, text + at + count, length - at - count + 1);
            break;
        case 2:
            if (at + count < length && length + count < TEXT_ROOM)
                memmove(text + at + count, text + at, length - at + 1);
            break;
        default:
            text[at] = '\0';
        }
    }
}

/* For any text, what is found is valid, and what is written is found again. */
static void survives_any_text(void **state) {
    (void)state;
    enum { ROUNDS = 20000 };
    char *whole = whole_text();
    uint64_t seed = 1;
    int found = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char *mutated = calloc(1, TEXT_ROOM);
        strcpy(mutated, whole);
        mutate(mutated, &seed);
        char *text = strdup(mutated); /* allocated without slack, for the sanitizers */
        free(mutated);
        ocl_choice choice, written = {.way = {OCL_CONV_GEMM, ""}, .seconds = 7, .default_seconds = 8};
        char descriptor[P2P_OP_TEXT], name[P2P_CHOICE_NAME];
        for (int i = 0; i < LINES; i++) {
            print_descriptor(i, descriptor);
            if (!ocl_choice_text_find(text, descriptor, &choice)) continue;
            found++;
            assert_true(isfinite(choice.seconds) && choice.seconds > 0);
            assert_true(isfinite(choice.default_seconds) && choice.default_seconds > 0);
            assert_in_range(choice.way.family, OCL_CONV_AUTO, OCL_CONV_FAMILIES - 1);
            ocl_conv_way_print(&choice.way, name);
            assert_true(ocl_conv_way_parse(name, &choice.way));
        }
        print_descriptor((int)(draw(&seed) % LINES), descriptor);
        char *replaced = ocl_choice_text_replace(text, descriptor, &written);
        /* A damaged line that ends with the descriptor may precede the new one; then another replaces it. */
        for (int tries = 0; tries < 3 && !ocl_choice_text_find(replaced, descriptor, &choice); tries++) {
            char *again = ocl_choice_text_replace(replaced, descriptor, &written);
            free(replaced);
            replaced = again;
        }
        assert_true(ocl_choice_text_find(replaced, descriptor, &choice));
        free(replaced);
        free(text);
    }
    assert_true(found > ROUNDS && found < ROUNDS * LINES); /* some lines are damaged, others intact */
    free(whole);
}

/* ---- Environment variables ------------------------------------------------------------------------- */

static const char *const variables[] = {
    "P2P_OPENCL_BF16",     "P2P_OPENCL_VECTOR_WIDTH", "P2P_OPENCL_CONV",      "P2P_OPENCL_VARIANT",
    "P2P_OPENCL_WINOGRAD", "P2P_OPENCL_TREAT_AS",     "P2P_OPENCL_LAUNCH_MS", "P2P_OPENCL_TIMEOUT",
    "P2P_OPENCL_CACHE",    "P2P_OPENCL_FAIL"};

enum { VARIABLES = sizeof variables / sizeof variables[0] };

static int clear_variables(void **state) {
    (void)state;
    for (int i = 0; i < VARIABLES; i++) unsetenv(variables[i]);
    return 0;
}

static ocl_environment read_with(const char *name, const char *value) {
    setenv(name, value, 1);
    const ocl_environment e = ocl_environment_read();
    unsetenv(name);
    return e;
}

static void has_defaults(void **state) {
    (void)state;
    for (int i = -1; i < VARIABLES; i++) { /* an empty value is like none */
        if (i >= 0) setenv(variables[i], "", 1);
        const ocl_environment e = ocl_environment_read();
        assert_string_equal(e.problem, "");
        assert_true(e.bf16 == OCL_BF16_AUTO && e.vector_width == 0 && e.family == OCL_CONV_AUTO);
        assert_true(e.winograd == OCL_WINOGRAD_AUTO && !e.treat_as_gpu && e.cache == OCL_CACHE_AUTO);
        assert_true(e.launch_seconds == 0.1 && e.timeout == 120 && !e.variant[0] && !e.fail[0]);
        assert_true(ocl_environment_acts_as_cpu(&e, P2P_DEVICE_CPU));
        assert_false(ocl_environment_acts_as_cpu(&e, P2P_DEVICE_GPU));
    }
}

static void reads_each_variable(void **state) {
    (void)state;
    assert_int_equal(read_with("P2P_OPENCL_BF16", "portable").bf16, OCL_BF16_FORCE_PORTABLE);
    assert_int_equal(read_with("P2P_OPENCL_BF16", "off").bf16, OCL_BF16_OFF);
    assert_int_equal(read_with("P2P_OPENCL_VECTOR_WIDTH", "1").vector_width, 1);
    assert_int_equal(read_with("P2P_OPENCL_VECTOR_WIDTH", "16").vector_width, 16);
    assert_int_equal(read_with("P2P_OPENCL_WINOGRAD", "always").winograd, OCL_WINOGRAD_ALWAYS);
    assert_int_equal(read_with("P2P_OPENCL_CACHE", "on").cache, OCL_CACHE_ON);
    assert_true(read_with("P2P_OPENCL_LAUNCH_MS", "20").launch_seconds == 0.02);
    assert_true(read_with("P2P_OPENCL_TIMEOUT", "0").timeout == 0);
    const ocl_environment as_gpu = read_with("P2P_OPENCL_TREAT_AS", "gpu");
    assert_false(ocl_environment_acts_as_cpu(&as_gpu, P2P_DEVICE_CPU));
    for (int f = OCL_CONV_AUTO; f < OCL_CONV_FAMILIES; f++) {
        const ocl_environment e = read_with("P2P_OPENCL_CONV", ocl_conv_family_name((ocl_conv_family)f));
        assert_int_equal(e.family, f);
        assert_int_equal(ocl_environment_acts_as_cpu(&e, P2P_DEVICE_CPU),
                         f != OCL_CONV_GPU && f != OCL_CONV_GPU_WINOGRAD);
    }
    setenv("P2P_OPENCL_CONV", "direct", 1);
    assert_string_equal(read_with("P2P_OPENCL_VARIANT", "#2").variant, "#2");
    const ocl_environment failing = read_with("P2P_OPENCL_FAIL", "winograd,direct:1x1x8x2");
    assert_true(ocl_environment_fails(&failing, "winograd") &&
                ocl_environment_fails(&failing, "direct:1x1x8x2"));
    assert_false(ocl_environment_fails(&failing, "direct") ||
                 ocl_environment_fails(&failing, "gpu_winograd"));
}

/* The message names the variable and its value, and the default is used. */
static void names_what_makes_no_sense(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"P2P_OPENCL_BF16", "on"},
                                           {"P2P_OPENCL_VECTOR_WIDTH", "3"},
                                           {"P2P_OPENCL_VECTOR_WIDTH", "auto"},
                                           {"P2P_OPENCL_CONV", "guess"},
                                           {"P2P_OPENCL_VARIANT", "64x64"},
                                           {"P2P_OPENCL_WINOGRAD", "on"},
                                           {"P2P_OPENCL_TREAT_AS", "fpga"},
                                           {"P2P_OPENCL_LAUNCH_MS", "0"},
                                           {"P2P_OPENCL_LAUNCH_MS", "soon"},
                                           {"P2P_OPENCL_TIMEOUT", "-1"},
                                           {"P2P_OPENCL_TIMEOUT", "10 minutes"},
                                           {"P2P_OPENCL_TIMEOUT", "nan"},
                                           {"P2P_OPENCL_CACHE", "yes"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const ocl_environment e = read_with(wrong[i][0], wrong[i][1]);
        assert_non_null(strstr(e.problem, wrong[i][0]));
        assert_non_null(strstr(e.problem, wrong[i][1]));
        assert_true(e.launch_seconds > 0 && e.timeout == 120 && e.family == OCL_CONV_AUTO && !e.variant[0]);
    }
    char text[4096];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < VARIABLES; i++)
        assert_non_null(strstr(read_with(variables[i], text).problem, variables[i]));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, clear_variables, clear_variables)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_the_networks),
        cmocka_unit_test(plans_or_refuses_odd_shapes),
        cmocka_unit_test(plans_batches),
        cmocka_unit_test(plans_products_in_bf16),
        cmocka_unit_test(plans_by_each_family),
        cmocka_unit_test(plans_by_each_listed_way),
        cmocka_unit_test(splits_sums_alike_on_any_number_of_units),
        cmocka_unit_test(follows_verdicts),
        cmocka_unit_test(follows_choices),
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(survives_any_text),
        TEST(has_defaults),
        TEST(reads_each_variable),
        TEST(names_what_makes_no_sense),
    };
    const int failures = cmocka_run_group_tests(tests, read_operations, NULL);
    for (int i = 0; i < MOST_FILES; i++) free(files[i].text);
    return failures;
}
