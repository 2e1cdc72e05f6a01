/* Plans of convolutions, without a device, a toolkit or cuDNN: what is refused, which steps a plan has and
 * where they find their operands. A library of convolutions that always has an algorithm takes the place of
 * cuDNN.
 */
#include "cuda_planners.h"
#include "plan/cuda_plan_conv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_op_text.h"

enum { WORKSPACE = 1000 };

static const p2p_host host = {.fail = p2p_fail, .hint = p2p_hint, .op_print = p2p_op_print};
static p2p_op asked; /* of the library, the last one */

static p2p_status find_algorithm(void *context, const p2p_op *conv, size_t *workspace_bytes,
                                 char name[P2P_CHOICE_NAME]) {
    const bool *refuses = context;
    asked = *conv;
    *workspace_bytes = WORKSPACE;
    strcpy(name, "e1");
    return refuses && *refuses ? p2p_fail(P2P_UNSUPPORTED, "no engine") : P2P_OK;
}

static cuda_target card(void) {
    return (cuda_target){.host = &host,
                         .capability = 90,
                         .multiprocessors = 132,
                         .shared_bytes = 48 << 10,
                         .shared_optin = 227 << 10,
                         .tf32 = true,
                         .bf16 = true,
                         .conv = {find_algorithm, NULL}};
}

static cuda_plan plan_of(const char *text) {
    const cuda_target target = card();
    const p2p_op op = parse(text);
    cuda_plan plan;
    OK(cuda_plan_op(&target, &op, &plan));
    return plan;
}

static void expect_refusal(const char *text, const char *why) {
    const cuda_target target = card();
    const p2p_op op = parse(text);
    cuda_plan plan;
    REFUSED(cuda_plan_op(&target, &op, &plan), P2P_UNSUPPORTED, why);
}

#define X   "x=f32:nhwc8:4x20x9x9 "
#define W   "w=f32:krsc8:33x20x4x4 "
#define Y   "f32:nhwc8:4x33x4x4 "
#define PAD "stride=2 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1"
#define XB  "x=bf16:nhwc8:4x20x9x9 "
#define WB  "w=bf16:krsc8:33x20x4x4 "
#define YB  "bf16:nhwc8:4x33x4x4 "

static void is_one_convolution(void **state) {
    (void)state;
    const cuda_plan plan = plan_of("conv_fwd " X W "y=" Y PAD);
    const cuda_conv *conv = &plan.step[0].conv;
    assert_int_equal(plan.step_count, 1);
    assert_int_equal(plan.step[0].kind, CUDA_STEP_CONV);
    assert_string_equal(plan.answer.kernel, "cudnn_e1");
    assert_string_equal(conv->algorithm, "e1");
    assert_int_equal(plan.answer.filter_need, P2P_FILTER_AS_QUERIED);
    assert_true(conv->repeats == 1 && !conv->in_scratch[0] && !conv->in_scratch[1] && !conv->in_scratch[2]);
    assert_int_equal(conv->workspace_bytes, WORKSPACE);
    assert_int_equal(plan.answer.scratch_bytes, 1024);
    assert_int_equal(asked.accumulate, 0);
    (void)plan_of("conv_fwd " X W "y+=" Y PAD);
    assert_int_equal(asked.accumulate, 1u << P2P_AT_conv_fwd_y); /* the convolution adds itself */
}

static void repeats_for_images_apart(void **state) {
    (void)state;
    const cuda_plan plan = plan_of("conv_fwd " X W "y=" Y PAD " images=2");
    const cuda_conv *conv = &plan.step[0].conv;
    assert_int_equal(conv->repeats, 2);
    assert_int_equal(asked.t[P2P_AT_conv_fwd_x].n, 2);
    assert_int_equal(conv->distance[0], 2 * 9 * 9 * 24 * 4);
    assert_int_equal(conv->distance[1], 0);
    assert_int_equal(conv->distance[2], 2 * 4 * 4 * 40 * 4);
}

static void adds_a_kernel_for_bias_and_activation(void **state) {
    (void)state;
    cuda_plan plan = plan_of("conv_fwd " X W "bias=f32:plain:1x33x1x1 y=" Y PAD " act=tanh");
    assert_int_equal(plan.step_count, 2);
    assert_false(plan.step[0].conv.in_scratch[2]);
    assert_int_equal(plan.step[1].kind, CUDA_STEP_KERNEL);
    plan = plan_of("conv_fwd " X W "y+=" Y PAD " act=relu");
    assert_int_equal(plan.step_count, 2);
    assert_true(plan.step[0].conv.in_scratch[2]);
    assert_int_equal(asked.accumulate, 0);
    assert_true(plan.answer.scratch_bytes >= 4 * 4 * 4 * 40 * 4 + WORKSPACE);
}

static void packs_channel_ranges(void **state) {
    (void)state;
    cuda_plan plan = plan_of("conv_fwd x=f32:nhwc8:4x20@8/28x9x9 " W "y=" Y PAD);
    assert_int_equal(plan.step_count, 2);
    assert_string_equal(plan.step[0].launch.kernel, "axpby_f32");
    assert_true(plan.step[1].conv.in_scratch[0] && !plan.step[1].conv.in_scratch[2]);
    plan = plan_of("conv_bwd_filter x=f32:nhwc8:4x20@8/28x9x9 dy=f32:nhwc8:4x33@0/40x4x4 "
                   "dw=f32:krsc8:33x20x4x4 " PAD);
    assert_int_equal(plan.step_count, 3);
    assert_true(plan.step[2].conv.in_scratch[0] && plan.step[2].conv.in_scratch[1]);
    plan = plan_of("conv_fwd " X W "y+=f32:nhwc8:4x33@16/64x4x4 " PAD);
    assert_int_equal(plan.step_count, 2);
    assert_true(plan.step[0].conv.in_scratch[2]);
    assert_int_equal(asked.accumulate, 0);
    expect_refusal("conv_fwd x=f32:nhwc8:4x20@4/28x9x9 " W "y=" Y PAD, "x is");
}

static void requires_filters_in_bf16(void **state) {
    (void)state;
    cuda_plan plan = plan_of("conv_fwd " XB W "y=" YB PAD);
    assert_int_equal(plan.answer.filter_need, P2P_FILTER_REQUIRED);
    assert_true(plan.answer.filter.type == P2P_TYPE_bf16 && plan.answer.filter.layout == P2P_LAYOUT_krsc &&
                plan.answer.filter.block == 8);
    assert_int_equal(asked.t[P2P_AT_conv_fwd_w].type, P2P_TYPE_bf16);
    plan = plan_of("conv_fwd " XB WB "y=" YB PAD " math=bf16");
    assert_int_equal(plan.answer.filter_need, P2P_FILTER_AS_QUERIED);
    expect_refusal("conv_bwd_filter " XB "dy=" YB "dw=f32:krsc8:33x20x4x4 " PAD, "bf16:krsc8");
}

static void rounds_bf16_once(void **state) {
    (void)state;
    (void)plan_of("conv_fwd " XB WB "y+=" YB PAD);
    expect_refusal("conv_fwd " XB WB "bias=f32:plain:1x33x1x1 y=" YB PAD, "rounded twice");
    expect_refusal("conv_fwd " XB WB "y=" YB PAD " act=relu", "rounded twice");
    expect_refusal("conv_fwd " XB WB "y=" YB PAD " act=lrelu slope=0.2", "rounded twice");
    expect_refusal("conv_fwd " XB WB "y+=" YB PAD " act=relu", "rounded twice");
    expect_refusal("conv_fwd " XB WB "y+=bf16:nhwc8:4x33@8/48x4x4 " PAD, "rounded twice");
}

static void makes_products_of_1x1_filters(void **state) {
    (void)state;
    cuda_plan plan = plan_of("conv_fwd " X "w=f32:krsc8:33x20x1x1 y=f32:nhwc8:4x33x9x9 math=tf32");
    const cuda_gemm *gemm = &plan.step[0].gemm;
    assert_true(plan.step_count == 1 && plan.step[0].kind == CUDA_STEP_GEMM);
    assert_true(gemm->m == 4 * 81 && gemm->n == 40 && gemm->k == 24 && gemm->transpose_b &&
                !gemm->transpose_a);
    assert_true(gemm->math == P2P_MATH_tf32 && gemm->beta == 0);
    plan = plan_of("conv_bwd_filter " X "dy=f32:nhwc8:4x33x9x9 dw+=f32:krsc8:33x20x1x1");
    assert_true(gemm->m == 40 && gemm->n == 24 && gemm->k == 4 * 81 && gemm->transpose_a && gemm->beta == 1);
    assert_true(gemm->a.operand == P2P_AT_conv_bwd_filter_dy && gemm->b.operand == P2P_AT_conv_bwd_filter_x);
    /* Not with padding, a stride, or images apart. */
    plan = plan_of("conv_fwd " X "w=f32:krsc8:33x20x1x1 y=f32:nhwc8:4x33x9x9 images=1");
    assert_true(plan.step[0].kind == CUDA_STEP_CONV && plan.step[0].conv.repeats == 4);
    plan = plan_of("conv_fwd " X "w=f32:krsc8:33x20x1x1 y=f32:nhwc8:4x33x5x5 stride=2");
    assert_int_equal(plan.step[0].kind, CUDA_STEP_CONV);
}

static void refuses_other_storage(void **state) {
    (void)state;
    expect_refusal("conv_fwd x=f32:plain:4x20x9x9 " W "y=" Y PAD, "x is f32:plain");
    expect_refusal("conv_fwd x=f32:nhwc16:4x20x9x9 " W "y=" Y PAD, "x is f32:nhwc16");
    expect_refusal("conv_fwd " X "w=f32:ckrs16:33x20x4x4 y=" Y PAD, "w is f32:ckrs16");
    expect_refusal("conv_fwd " X WB "y=" Y PAD, "f32:krsc8");
    expect_refusal("conv_fwd " X W "y=" YB PAD, "y is bf16");
    expect_refusal("conv_fwd " X W "y=" Y PAD " math=bf16", "math=bf16");
    expect_refusal("conv_fwd " XB WB "y=" YB PAD " math=tf32", "math=tf32");
}

static void refuses_what_the_card_or_cudnn_lacks(void **state) {
    const p2p_op bf16 = parse("conv_fwd " XB WB "y=" YB PAD),
                 tf32 = parse("conv_fwd " X W "y=" Y PAD " math=tf32");
    const p2p_op plain = parse("conv_fwd " X W "y=" Y PAD);
    bool refuses = true;
    cuda_target target = card();
    cuda_plan plan;
    (void)state;
    target.tf32 = target.bf16 = false;
    REFUSED(cuda_plan_op(&target, &bf16, &plan), P2P_UNSUPPORTED, "no convolutions in bf16");
    REFUSED(cuda_plan_op(&target, &tf32, &plan), P2P_UNSUPPORTED, "no convolutions in tf32");
    target.conv.context = &refuses;
    REFUSED(cuda_plan_op(&target, &plain, &plan), P2P_UNSUPPORTED, "no engine");
    target.conv.plan = NULL;
    REFUSED(cuda_plan_op(&target, &plain, &plan), P2P_UNSUPPORTED, "cuDNN");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_one_convolution),
        cmocka_unit_test(repeats_for_images_apart),
        cmocka_unit_test(adds_a_kernel_for_bias_and_activation),
        cmocka_unit_test(packs_channel_ranges),
        cmocka_unit_test(requires_filters_in_bf16),
        cmocka_unit_test(rounds_bf16_once),
        cmocka_unit_test(makes_products_of_1x1_filters),
        cmocka_unit_test(refuses_other_storage),
        cmocka_unit_test(refuses_what_the_card_or_cudnn_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
