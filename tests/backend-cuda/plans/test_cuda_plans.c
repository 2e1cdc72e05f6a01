/* Plans of the CUDA backend for all kinds but convolutions, without a device or a toolkit: every case of the
 * operation runner's table and every operation of the full networks is planned, in both precisions, and each
 * launch is compared with the signature of its kernel. What the kernels compute is tested by the operation
 * runner.
 */
#include "cuda_planners.h"
#include "kernel_text.h"
#include "operations/op_tables.h"
#include "plan/cuda_plan.h"
#include "plan/cuda_pointwise.h"
#include "plan/cuda_view.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

static const p2p_host host = {.fail = p2p_fail, .hint = p2p_hint, .op_print = p2p_op_print};
static const cuda_target card = {.host = &host,
                                 .capability = 90,
                                 .multiprocessors = 132,
                                 .shared_bytes = 48 << 10,
                                 .shared_optin = 227 << 10,
                                 .tf32 = true,
                                 .bf16 = true};

/* The operation under test, for messages. */
static const p2p_op *now;

static void check_that(bool holds, const char *what) {
    char text[P2P_OP_TEXT];
    if (holds) return;
    p2p_op_print(now, text, sizeof text);
    fail_msg("%s: %s", text, what);
}

/* ---- Launches ------------------------------------------------------------------------------------------ */

static const char *c_type(p2p_type type) {
    switch (type) {
    case P2P_TYPE_f32:
        return "float";
    case P2P_TYPE_bf16:
        return "bf16";
    case P2P_TYPE_u8:
        return "unsigned char";
    case P2P_TYPE_u16:
        return "unsigned short";
    default:
        return "unsigned";
    }
}

/* Memory that the kernel may write is an output of the kind, and elements have the operand's type. */
static void check_operand(const cuda_arg *arg, const kernel_parameter *parameter) {
    const int operand = arg->value.operand;
    check_that(parameter->pointer, "an operand for a parameter that is no pointer");
    check_that(operand >= -1 && operand < p2p_kind_operand_count(now->kind),
               "an operand that the kind lacks");
    if (operand < 0 || !p2p_tensor_present(&now->t[operand])) return;
    if (!(p2p_kind_operand_use(now->kind, operand) & P2P_OUT))
        check_that(parameter->constant, "an operand that is only read for a pointer to write by");
    if (strcmp(parameter->type, "void") != 0)
        check_that(strcmp(parameter->type, c_type(now->t[operand].type)) == 0, "the type of an operand");
}

static void check_argument(const cuda_plan *plan, const cuda_arg *arg, const kernel_parameter *parameter) {
    switch (arg->kind) {
    case CUDA_ARG_OPERAND:
        check_operand(arg, parameter);
        break;
    case CUDA_ARG_SCRATCH:
        check_that(parameter->pointer, "scratch memory for a parameter that is no pointer");
        check_that(arg->value.offset < plan->answer.scratch_bytes, "an argument outside scratch memory");
        check_that(arg->value.offset % CUDA_ALIGNMENT == 0, "scratch memory that is not aligned");
        break;
    case CUDA_ARG_COUNTERS:
        check_that(parameter->pointer && !parameter->constant && strcmp(parameter->type, "unsigned") == 0,
                   "counters for another type");
        check_that(arg->value.offset < plan->counter_bytes, "an argument outside the counters");
        break;
    case CUDA_ARG_INT:
        check_that(!parameter->pointer && strcmp(parameter->type, "int") == 0, "an int for another type");
        break;
    case CUDA_ARG_LONG:
        check_that(!parameter->pointer && strcmp(parameter->type, "long long") == 0,
                   "a long for another type");
        break;
    default:
        check_that(!parameter->pointer && strcmp(parameter->type, "float") == 0, "a float for another type");
        check_that(isfinite(arg->value.f), "a float that is not finite");
    }
}

static void check_launch(const cuda_plan *plan, const cuda_launch *launch) {
    kernel_signature signature;
    check_that(kernel_find(launch->source, launch->kernel, &signature), launch->kernel);
    check_that(signature.count == launch->arg_count, "the number of arguments");
    for (int i = 0; i < signature.count; i++) check_argument(plan, &launch->arg[i], &signature.parameter[i]);
    check_that(launch->block[0] == (unsigned)kernel_constant(launch->source, "BLOCK_THREADS"),
               "a block is not as large as the kernel takes it");
    check_that(launch->block[1] == 1 && launch->block[2] == 1 && launch->grid[1] == 1 && launch->grid[2] == 1,
               "more than one dimension");
    check_that(launch->grid[0] >= 1 && launch->grid[0] <= INT32_MAX, "the size of the grid");
    check_that(launch->shared_bytes == 0, "dynamic shared memory");
}

/* A matrix of rows x columns lies within its operand. */
static void check_matrix(const cuda_matrix *m, int64_t rows, int64_t columns) {
    check_that(m->operand >= 0 && m->offset == 0 && m->type == now->t[m->operand].type, "a matrix");
    check_that(m->row_distance >= columns, "rows of a matrix overlap");
    check_that((rows - 1) * m->row_distance + columns <= p2p_tensor_stored(&now->t[m->operand]),
               "a matrix is outside its operand");
}

static void check_gemm(const cuda_gemm *g) {
    check_matrix(&g->a, g->transpose_a ? g->k : g->m, g->transpose_a ? g->m : g->k);
    check_matrix(&g->b, g->transpose_b ? g->n : g->k, g->transpose_b ? g->k : g->n);
    check_matrix(&g->y, g->m, g->n);
}

static void check_plan(const cuda_plan *plan) {
    check_that(plan->step_count >= 1 && plan->step_count <= CUDA_PLAN_STEPS, "the number of steps");
    check_that(plan->answer.kernel[0] != '\0' && strlen(plan->answer.kernel) < sizeof plan->answer.kernel - 1,
               "the name");
    for (int i = 0; i < plan->step_count; i++)
        if (plan->step[i].kind == CUDA_STEP_KERNEL)
            check_launch(plan, &plan->step[i].launch);
        else
            check_gemm(&plan->step[i].gemm);
}

/* Plans an operation, checks the plan, and that neither a second planning nor another number of
 * multiprocessors, on which bits would depend, changes it. */
static cuda_plan plan_and_check(const p2p_op *op) {
    static cuda_plan plan, again;
    cuda_target other = card;
    other.multiprocessors = 8;
    now = op;
    OK(p2p_op_validate(op));
    check_that(cuda_plan_op(&card, op, &plan) == P2P_OK, p2p_message());
    check_plan(&plan);
    OK(cuda_plan_op(&other, op, &again));
    check_that(memcmp(&plan, &again, sizeof plan) == 0, "a plan depends on the card");
    return plan;
}

/* ---- Every operation ----------------------------------------------------------------------------------- */

static const op_storages storages[2] = {{.activation = {P2P_TYPE_f32, P2P_LAYOUT_nhwc, 8},
                                         .filter = {P2P_TYPE_f32, P2P_LAYOUT_krsc, 8},
                                         .vector = {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                                         .gradient = P2P_TYPE_f32,
                                         .channel_alignment = 8},
                                        {.activation = {P2P_TYPE_bf16, P2P_LAYOUT_nhwc, 8},
                                         .filter = {P2P_TYPE_f32, P2P_LAYOUT_krsc, 8},
                                         .vector = {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                                         .gradient = P2P_TYPE_bf16,
                                         .channel_alignment = 8}};

typedef struct {
    const op_storages *storages;
    int planned;
} table_walk;

/* Every accumulate bit alone, none, and all. */
static void plan_case(void *context, const op_case *item) {
    table_walk *walk = context;
    p2p_op op = op_case_stamp(item, walk->storages);
    uint32_t all = 0;
    if (p2p_op_is_convolution(&op)) return;
    for (int i = 0; i < p2p_kind_operand_count(op.kind); i++) {
        p2p_op one = op;
        one.accumulate = 1u << i;
        if (p2p_tensor_present(&op.t[i]) && p2p_op_validate(&one) == P2P_OK) all |= 1u << i;
    }
    for (uint32_t bits = all;; bits = (bits - 1) & all) { /* every subset */
        op.accumulate = bits;
        plan_and_check(&op);
        walk->planned++;
        if (bits == 0) break;
    }
}

/* Nothing is refused: fused forms, accumulation, and ranges that start at multiples of 8 channels. */
static void plans_every_case(void **state) {
    (void)state;
    for (int s = 0; s < 2; s++) {
        table_walk walk = {.storages = &storages[s]};
        const op_tier tier = {.channel_alignment = 8, .full_size = true, .fewer = true};
        op_cases_table(&tier, plan_case, &walk);
        assert_true(walk.planned > 1000);
    }
}

/* The text with every "bf16:nhwc8" replaced by "f32:nhwc8", if `f32`. */
static bool parse_line(char *line, bool f32, p2p_op *op) {
    line[strcspn(line, "\n")] = '\0';
    for (char *at = line; f32 && (at = strstr(at, "bf16:nhwc8")) != NULL;) {
        memmove(at + 3, at + 4, strlen(at + 4) + 1);
        memcpy(at, "f32", 3);
    }
    return p2p_op_parse(line + strspn(line, " 0123456789"), op) == P2P_OK && p2p_op_validate(op) == P2P_OK;
}

static int plan_network(const char *name, bool f32) {
    char path[512], line[2048];
    int planned = 0;
    snprintf(path, sizeof path, P2P_TEST_DIR "/golden/%s", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        p2p_op op;
        if (!parse_line(line, f32, &op) || p2p_op_is_convolution(&op) || op.kind == P2P_KIND_all_reduce)
            continue;
        plan_and_check(&op);
        planned++;
    }
    fclose(file);
    return planned;
}

static void plans_the_networks(void **state) {
    (void)state;
    for (int f32 = 0; f32 < 2; f32++) {
        assert_true(plan_network("plan_nhwc8_bf16.txt", f32) > 50);
        assert_true(plan_network("plan_nhwc8_bf16_replicas.txt", f32) > 50);
    }
}

static cuda_plan plan_text(const char *text) {
    static p2p_op op;
    OK(p2p_op_parse(text, &op));
    return plan_and_check(&op);
}

/* ---- Launches of merged kinds -------------------------------------------------------------------------- */

#define NORM(type, shape, channels)                                                                          \
    "norm_apply x=" type ":nhwc8:" shape " stats=f32:plain:1x3x1x" channels " y=" type ":nhwc8:" shape       \
    " eps=1e-05 merged=1"
#define NORM_BWD(type, shape, channels)                                                                      \
    "norm_bwd_apply x=" type ":nhwc8:" shape " stats=f32:plain:1x3x1x" channels " dy=" type ":nhwc8:" shape  \
    " sums=f32:plain:1x2x1x" channels " dx=" type ":nhwc8:" shape " eps=1e-05 merged=1"

static const struct {
    const char *text;
    int launches;
} launches[] = {
    {NORM("bf16", "1x512x16x16", "512"), 1},
    {NORM("f32", "1x512x16x16", "512"), 1},
    {NORM("bf16", "4x512x8x8", "512"), 1},
    {NORM("bf16", "1x256x32x32", "256"), 1},
    {NORM("f32", "1x256x32x32", "256"), 2},
    {NORM("f32", "1x128x64x64", "128"), 2},
    {NORM("bf16", "1x64x128x128", "64"), 2},
    {NORM("bf16", "16x64x128x128", "64"), 2},
    {NORM("bf16", "64x512x16x16", "512"), 2},
    {NORM_BWD("bf16", "1x512x16x16", "512"), 1},
    {NORM_BWD("f32", "1x256x32x32", "256"), 2},
    {NORM_BWD("f32", "1x128x64x64", "128"), 2},
    {NORM_BWD("f32", "16x64x128x128", "64"), 2},
    {"bias_grad dy=bf16:nhwc8:1x512x16x16 db=f32:plain:1x512x1x1", 1},
    {"bias_grad dy=bf16:nhwc8:1x64x128x128 db=f32:plain:1x64x1x1", 1},
    {"loss_bce x=bf16:nhwc8:1x1x30x30 loss=f32:plain:1x1x1x1 dx=bf16:nhwc8:1x1x30x30 loss_scale=1", 1},
    {"loss_l1 x=f32:nhwc8:1x3x256x256 target=f32:nhwc8:1x3x256x256 loss=f32:plain:1x1x1x1 loss_scale=1", 1},
};

static void small_maps_take_one_launch(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof launches / sizeof launches[0]; i++) {
        const cuda_plan plan = plan_text(launches[i].text);
        if (plan.step_count != launches[i].launches)
            fail_msg("%s: %d launches instead of %d", launches[i].text, plan.step_count,
                     launches[i].launches);
    }
}

/* Groups of images that update the same numbers are in one block, in order. */
static void groups_in_order(void **state) {
    (void)state;
    static const char text[] =
        "norm_apply x=f32:nhwc8:6x64x4x4 stats=f32:plain:3x3x1x64 %s y=f32:nhwc8:6x64x4x4 "
        "eps=1e-05 momentum=0.1 merged=1 images=2";
    char one[512];
    snprintf(one, sizeof one, text, "");
    assert_int_equal(plan_text(one).step[0].launch.grid[0], 3 * 2); /* groups, slabs of 32 channels */
    snprintf(one, sizeof one, text, "running=f32:plain:1x2x1x64");
    assert_int_equal(plan_text(one).step[0].launch.grid[0], 2);
}

/* ---- Single plans -------------------------------------------------------------------------------------- */

/* Storages of copy that the runner's table lacks: the mirror of filters, and gradients that are widened and
 * added. */
static const struct {
    const char *text, *kernel;
} copies[] = {
    {"copy x=f32:krsc8:64x3x4x4 y=bf16:krsc8:64x3x4x4", "flat_f32_bf16"},
    {"copy x=bf16:krsc8:64x3x4x4 y+=f32:krsc8:64x3x4x4", "flat_bf16_f32"},
    {"copy x=bf16:krsc8:64x3x4x4 y=bf16:krsc8:64x3x4x4", "flat_bf16_bf16"},
    {"copy x=f32:plain:1x1x1x1000003 y=bf16:plain:1x1x1x1000003", "flat_f32_bf16"},
    {"copy x=f32:plain:64x3x4x4 y=f32:krsc8:64x3x4x4", "tiles_f32_f32"},
    {"copy x=f32:krsc8:5x3x4x4 y=f32:plain:5x3x4x4", "tiles_f32_f32"},
    {"copy x=f32:plain:64x3x4x4 y=bf16:krsc8:64x3x4x4", "tiles_f32_bf16"},
    {"copy x=bf16:nhwc8:2x3x5x7 y=f32:plain:2x3x5x7", "tiles_bf16_f32"},
    {"copy x=f32:plain:2x3x5x7 y=bf16:nhwc8:2x3x5x7", "tiles_f32_bf16"},
    {"copy x=f32:nhwc8:2x3x5x7 y=bf16:nhwc8:2x3x5x7", "flat_f32_bf16"},
    {"copy x=f32:nhwc8:2x8@8/24x5x7 y=bf16:nhwc8:2x8x5x7", "convert_f32_bf16"},
    {"copy x=bf16:nhwc8:2x8x5x7 y+=f32:nhwc8:2x8@16/24x5x7", "convert_bf16_f32"},
    {"copy x=bf16:nhwc8:2x8@8/24x5x7 y=bf16:nhwc8:2x8x5x7", "axpby_bf16"},
    {"copy x=f32:nhwc8:2x3x5x7 y=f32:nhwc8:2x3@3/6x5x7", "tiles_f32_f32"},
    {"copy x=bf16:nhwc8:2x3@1/6x5x7 y=bf16:nhwc8:2x3x5x7", "tiles_bf16_bf16"},
};

static void plans_copies(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++) {
        const cuda_plan plan = plan_text(copies[i].text);
        if (strcmp(plan.step[0].launch.kernel, copies[i].kernel) != 0)
            fail_msg("%s: by %s instead of %s", copies[i].text, plan.step[0].launch.kernel, copies[i].kernel);
    }
}

static void plans_adam(void **state) {
    (void)state;
    static const char *const pairs[] = {"g=f32:plain:1x1x1x99", "g=bf16:plain:1x1x1x99"};
    static const char *const mirrors[] = {"", "copy=f32:plain:1x1x1x99", "copy=bf16:plain:1x1x1x99"};
    for (int g = 0; g < 2; g++)
        for (int c = 0; c < 3; c++) {
            char text[512];
            snprintf(text, sizeof text,
                     "adam p=f32:plain:1x1x1x99 %s m=f32:plain:1x1x1x99 v=f32:plain:1x1x1x99 "
                     "step=u32:plain:1x1x1x10 "
                     "%s eps=1e-08 beta1=0.5 beta2=0.999",
                     pairs[g], mirrors[c]);
            const cuda_plan plan = plan_text(text);
            assert_int_equal(plan.step[0].launch.arg[3].value.i, g);
            assert_int_equal(plan.step[0].launch.arg[8].value.i, c);
        }
}

/* The kernel after a convolution: in place nothing is added; from scratch memory y may be added to. */
static void plans_bias_and_activation(void **state) {
    (void)state;
    enum { FLAGS = 10 };
    for (int scratch = 0; scratch < 2; scratch++) {
        p2p_op op;
        cuda_plan plan = {0};
        OK(p2p_op_parse("conv_fwd x=f32:nhwc8:2x16x4x4 w=f32:krsc8:5x16x1x1 bias=f32:plain:1x5x1x1 "
                        "y+=f32:nhwc8:2x5x4x4 act=relu",
                        &op));
        now = &op;
        const uint64_t at = cuda_scratch(&plan, p2p_tensor_bytes(&op.t[P2P_AT_conv_fwd_y]));
        const cuda_bias_act what = {P2P_AT_conv_fwd_bias, P2P_AT_conv_fwd_y, scratch, at};
        OK(cuda_launch_bias_act(&card, &op, &what, &plan));
        check_launch(&plan, &plan.step[0].launch);
        const int flags = plan.step[0].launch.arg[FLAGS].value.i;
        assert_int_equal(flags & CUDA_ACCUMULATES, scratch);
        assert_true(flags & CUDA_OWNS_PADDING);
    }
}

static void kernels_have_the_flags(void **state) {
    (void)state;
    assert_int_equal(kernel_constant("pointwise", "ACCUMULATES"), CUDA_ACCUMULATES);
    assert_int_equal(kernel_constant("pointwise", "OWNS_PADDING"), CUDA_OWNS_PADDING);
    assert_int_equal(kernel_constant("pointwise", "PRESENT"), CUDA_PRESENT);
}

/* ---- Refusals ------------------------------------------------------------------------------------------ */

static const struct {
    const char *text, *reason;
} refusals[] = {
    {"act_fwd x=f32:plain:1x3x4x4 y=f32:plain:1x3x4x4 act=relu",
     "cuda: act_fwd: x is f32:plain:1x3x4x4, but must be f32:nhwc8 or bf16:nhwc8"},
    {"act_fwd x=f32:nhwc8:1x3x4x4 y=bf16:nhwc8:1x3x4x4 act=relu",
     "y is bf16:nhwc8:1x3x4x4, but must be of the type of the other activations"},
    {"act_fwd x=f32:nhwc8:1x3x4x4 y=f32:nhwc8:1x3@4/8x4x4 act=relu", "starts at a multiple of 8 channels"},
    {"act_fwd x=f64:nhwc8:1x3x4x4 y=f64:nhwc8:1x3x4x4 act=relu", "x is f64"},
    {"act_fwd x=f32:nhwc16:1x3x4x4 y=f32:nhwc16:1x3x4x4 act=relu", "x is f32:nhwc16"},
    {"act_fwd x=bf16:nhwc8:65536x8x256x256 y=bf16:nhwc8:65536x8x256x256 act=relu",
     "x has more than 2^31 packs"},
    {"axpby x=f32:plain:1x3x4x4 y=f32:nhwc8:1x3x4x4 alpha=1",
     "x is f32:plain:1x3x4x4, but must be stored as y is"},
    {"axpby x=bf16:plain:1x3x1x1 y=bf16:nhwc8:1x3x4x4 alpha=1",
     "x is bf16:plain:1x3x1x1, but must be f32:plain"},
    {"copy x=f32:nchwc8:1x3x4x4 y=f32:nhwc8:1x3x4x4",
     "x is f32:nchwc8:1x3x4x4, but must be f32 or bf16, in layout"},
    {"copy x=f64:plain:1x3x4x4 y=f32:nhwc8:1x3x4x4", "x is f64"},
    {"copy x=f32:plain:1048576x1x64x64 y=f32:nhwc8:1048576x1x64x64", NULL},
    {"copy x=f32:plain:4294967296x1x1x1 y=f32:nhwc8:4294967296x1x1x1", "y has more than 2^31 tiles"},
    {"norm_stats x=f32:nhwc8:1x3x4x4 stats=f64:plain:1x3x1x3", "stats is f64"},
    {"bias_grad dy=f32:nhwc8:1x3x4x4 db=f64:plain:1x3x1x1", "db is f64"},
    {"loss_bce x=f32:nhwc8:1x3x4x4 loss=f64:plain:1x1x1x1", "loss is f64"},
    {"gemm a=bf16:plain:1x3x1x4 b=f32:plain:1x4x1x5 y=f32:plain:1x3x1x5 alpha=1", "a is bf16"},
    {"gemm a=f32:plain:1x3x1x4294967296 b=f32:plain:1x4294967296x1x5 y=f32:plain:1x3x1x5 alpha=1",
     "at most 2^31 - 1 rows and columns"},
    {"adam p=f64:plain:1x1x1x9 g=f64:plain:1x1x1x9 m=f64:plain:1x1x1x9 v=f64:plain:1x1x1x9 "
     "step=u32:plain:1x1x1x10 "
     "eps=1e-08",
     "p is f64"},
    {"all_reduce y=f32:plain:1x1x1x9", "a communicator does this"},
};

static void refuses_with_reasons(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        static cuda_plan plan;
        p2p_op op;
        OK(p2p_op_parse(refusals[i].text, &op));
        OK(p2p_op_validate(&op));
        if (refusals[i].reason)
            REFUSED(cuda_plan_op(&card, &op, &plan), P2P_UNSUPPORTED, refusals[i].reason);
        else
            OK(cuda_plan_op(&card, &op, &plan));
    }
}

/* ---- The test's own reading of signatures -------------------------------------------------------------- */

static void count_kernel(void *context, const char *kernel) {
    kernel_signature signature;
    assert_true(kernel_find(context, kernel, &signature) && signature.count > 0);
    for (int i = 0; i < signature.count; i++) assert_true(signature.parameter[i].type[0] != '\0');
}

static void reads_signatures(void **state) {
    (void)state;
    static const char *const names[] = {"copy", "pointwise", "reduce", "norm_fwd", "norm_bwd"};
    kernel_signature s;
    int kernels = 0;
    for (int i = 0; i < 5; i++) kernels += kernel_each(names[i], count_kernel, (void *)(size_t)names[i]);
    assert_true(kernels > 40);
    assert_false(kernel_find("copy", "flat", &s));
    assert_true(kernel_find("copy", "flat_bf16_f32", &s));
    assert_int_equal(s.count, 5);
    assert_string_equal(s.parameter[0].type, "long long");
    assert_true(s.parameter[1].pointer && s.parameter[1].constant);
    assert_string_equal(s.parameter[1].type, "bf16");
    assert_true(s.parameter[2].pointer && !s.parameter[2].constant);
    assert_string_equal(s.parameter[2].type, "float");
    assert_string_equal(s.parameter[3].type, "int");
    assert_string_equal(s.parameter[4].type, "float");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_signatures),
        cmocka_unit_test(plans_every_case),
        cmocka_unit_test(plans_the_networks),
        cmocka_unit_test(small_maps_take_one_launch),
        cmocka_unit_test(groups_in_order),
        cmocka_unit_test(plans_copies),
        cmocka_unit_test(plans_adam),
        cmocka_unit_test(plans_bias_and_activation),
        cmocka_unit_test(kernels_have_the_flags),
        cmocka_unit_test(refuses_with_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
