/* Plans and choices of the OpenCL backend without a device, a driver or an ICD loader. On simulated targets
 * every operation of the full networks and odd shapes are planned by the default choice, by each family of
 * convolutions and by each listed algorithm, and the plans are checked (plan_check.h). Then verdicts and
 * choices as values. test_ops tests on a device what the plans compute.
 */
#include "conv/ocl_choice.h"
#include "plan_cases.h"
#include "plan_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_op_text.h"

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
                           targets[t].max_alloc_bytes < GIB,
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

/* ---- By families and algorithms -------------------------------------------------------------------- */

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

/* Each listed algorithm can be planned, under its own name only, and no two plans are equal. */
static void plans_by_each_listed_algorithm(void **state) {
    (void)state;
    ocl_target targets[TARGETS];
    int listed = 0;
    make_targets(targets);
    for (int t = 0; t < TARGETS; t++)
        for (int i = 0; i < convolutions.count; i++) {
            const p2p_op *op = &convolutions.op[i];
            ocl_conv_algorithms algorithms;
            ocl_plan usual, plan;
            if (ocl_conv_list_algorithms(&targets[t], op, &algorithms) != P2P_OK) continue;
            assert_in_range(algorithms.count, 1, OCL_MOST_ALGORITHMS);
            assert_int_equal(algorithms.algorithm[0].family, OCL_CONV_AUTO);
            assert_int_not_equal(algorithms.untested, OCL_CONV_AUTO);
            assert_true(plan_and_check(&targets[t], &algorithms.algorithm[0], op, &usual));
            for (int w = 1; w < algorithms.count; w++, listed++) {
                char name[P2P_CHOICE_NAME];
                ocl_conv_algorithm back;
                check_that(plan_and_check(&targets[t], &algorithms.algorithm[w], op, &plan), p2p_message());
                assert_false(same_plan(&usual, &plan));
                assert_int_equal(plan.untested, algorithms.algorithm[w].family);
                ocl_conv_algorithm_print(&algorithms.algorithm[w], name);
                assert_true(ocl_conv_algorithm_parse(name, &back));
                assert_int_equal(back.family, algorithms.algorithm[w].family);
                assert_string_equal(back.variant, algorithms.algorithm[w].variant);
            }
        }
    assert_true(listed > 1000);
}

static bool has_algorithm(const ocl_conv_algorithms *algorithms, const ocl_conv_algorithm *algorithm) {
    for (int i = 0; i < algorithms->count; i++)
        if (algorithms->algorithm[i].family == algorithm->family &&
            strcmp(algorithms->algorithm[i].variant, algorithm->variant) == 0)
            return true;
    return false;
}

/* The list for a check of the device has every algorithm that may be chosen, and keeps families that fail
 * their test. */
static void lists_every_algorithm_by_name(void **state) {
    (void)state;
    ocl_target targets[TARGETS];
    ocl_verdicts failing;
    int listed = 0;
    make_targets(targets);
    for (int f = 0; f < OCL_CONV_FAMILIES; f++)
        failing.family[f][0] = failing.family[f][1] = OCL_VERDICT_FAILS;
    for (int t = 0; t < TARGETS; t++)
        for (int i = 0; i < convolutions.count; i++) {
            const p2p_op *op = &convolutions.op[i];
            ocl_conv_algorithms algorithms, all, again;
            if (ocl_conv_list_algorithms(&targets[t], op, &algorithms) != P2P_OK) continue;
            ocl_target broken = targets[t];
            broken.verdicts = &failing;
            assert_int_equal(ocl_conv_list_all_algorithms(&targets[t], op, &all), P2P_OK);
            assert_int_equal(ocl_conv_list_all_algorithms(&broken, op, &again), P2P_OK);
            assert_int_equal(all.count, again.count);
            assert_in_range(all.count, 0, OCL_MOST_ALGORITHMS);
            listed += all.count;
            for (int w = 1; w < algorithms.count; w++)
                assert_true(has_algorithm(&all, &algorithms.algorithm[w]));
            for (int w = 0; w < all.count; w++) assert_int_not_equal(all.algorithm[w].family, OCL_CONV_AUTO);
        }
    assert_true(listed > 1000);
}

/* ---- Registers ------------------------------------------------------------------------------------- */

/* Whether a launch of the plan has the tile. */
static bool has_tile(const ocl_plan *plan, const char *tile) {
    char word[64];
    snprintf(word, sizeof word, " %s", tile);
    const char *at = strstr(plan->answer.kernel, word);
    return at && (at[strlen(word)] == 'k' || at[strlen(word)] == ' ');
}

/* Counts the plans with the tile among the default choice and all listed algorithms of every convolution, or
 * of every filter gradient. */
static int count_plans_with(const ocl_target *target, const char *tile, bool gradients_only) {
    int count = 0;
    for (int i = 0; i < convolutions.count; i++) {
        ocl_conv_algorithms algorithms;
        if (gradients_only && convolutions.op[i].kind != P2P_KIND_conv_bwd_filter) continue;
        if (ocl_conv_list_algorithms(target, &convolutions.op[i], &algorithms) != P2P_OK) continue;
        for (int w = 0; w < algorithms.count; w++) {
            ocl_plan plan;
            assert_true(plan_and_check(target, &algorithms.algorithm[w], &convolutions.op[i], &plan));
            count += has_tile(&plan, tile);
        }
    }
    return count;
}

static int count_tile(const ocl_target *target, const char *tile) {
    return count_plans_with(target, tile, false);
}

static int count_gradients_with(const ocl_target *target, const char *tile) {
    return count_plans_with(target, tile, true);
}

/* Neither chosen nor measured: tiles whose values compilers leave in memory on a device of so few registers.
 * A named one is used, and a device for which no tile has enough registers uses one anyway. */
static void chooses_tiles_with_enough_registers(void **state) {
    (void)state;
    static const char *const always[] = {"128x64", "64x64", "32x64", "32x32", "16x64", "64x8", "4x2"};
    static const char *const never_on_intel[] = {"128x128", "64x128", "64x32", "16x16", "4x16", "8x1", "8x2"};
    static const ocl_conv_family families[] = {OCL_CONV_AUTO, OCL_CONV_GPU_WINOGRAD};
    for (int f = 0; f < 2; f++) {
        ocl_target usual = gpu(20, 256, 48, false), intel = gpu(20, 256, 48, true);
        usual.family = intel.family = families[f];
        usual.registers = OCL_USUAL_REGISTERS;
        intel.registers = OCL_INTEL_REGISTERS;
        for (int i = 0; i < 7; i++) {
            assert_int_equal(count_tile(&intel, never_on_intel[i]), 0);
            if (i < 3) assert_true(count_tile(&usual, never_on_intel[i]) > 0);
            if (families[f] == OCL_CONV_AUTO) assert_true(count_tile(&intel, always[i]) > 0);
        }
        assert_int_equal(count_tile(&usual, "4x16"), 0);
    }
    ocl_target named = gpu(20, 256, 48, true), least = gpu(20, 1, 48, true);
    ocl_plan plan;
    named.family = OCL_CONV_GPU;
    named.variant = "128x128";
    named.registers = least.registers = OCL_INTEL_REGISTERS;
    assert_true(plan_and_check(&named, NULL, &convolutions.op[0], &plan) && has_tile(&plan, "128x128"));
    assert_true(plan_and_check(&least, NULL, &convolutions.op[0], &plan));
}

/* Intel's GPUs before Xe: filter gradients have fewer tiles, other convolutions keep theirs. */
static void chooses_smaller_tiles_of_gradients(void **state) {
    (void)state;
    static const char *const tiles[] = {"128x64", "64x64"};
    ocl_target xe = gpu(20, 256, 48, true);
    xe.family = OCL_CONV_GPU;
    xe.registers = OCL_INTEL_REGISTERS;
    ocl_target old = xe;
    old.gradient_registers = OCL_OLD_INTEL_GRADIENT_REGISTERS;
    for (int i = 0; i < 2; i++) {
        assert_true(count_gradients_with(&xe, tiles[i]) > 0);
        assert_int_equal(count_gradients_with(&old, tiles[i]), 0);
        assert_int_equal(count_tile(&old, tiles[i]),
                         count_tile(&xe, tiles[i]) - count_gradients_with(&xe, tiles[i]));
    }
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
                const ocl_conv_algorithm algorithm = {last, ""};
                verdicts.family[last][0] = OCL_VERDICT_FAILS;
                REFUSED(ocl_conv_plan_algorithm(&targets[t], &algorithm, op, &plan), P2P_UNSUPPORTED,
                        "fails its test");
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
    ocl_conv_algorithm algorithm;
    ocl_plan usual, plan, of_other;
    target.choices = &choices;
    assert_true(plan_and_check(&target, NULL, &op, &usual) &&
                plan_and_check(&target, NULL, &other, &of_other));
    assert_false(ocl_choice_find(&choices, &op, &algorithm));
    assert_true(ocl_conv_algorithm_parse("direct:1x2x3x2", &algorithm));
    assert_true(ocl_choice_remember(&choices, &op, &algorithm));
    assert_true(ocl_choice_find(&choices, &plain, &algorithm));
    assert_string_equal(algorithm.variant, "1x2x3x2");
    assert_true(plan_and_check(&target, NULL, &op, &plan));
    assert_non_null(strstr(plan.answer.kernel, "1x2x3x2"));
    assert_true(plan_and_check(&target, NULL, &other, &plan) && same_plan(&plan, &of_other));
    assert_true(ocl_conv_algorithm_parse("direct:9x9x9x9", &algorithm) &&
                ocl_choice_remember(&choices, &op, &algorithm));
    assert_true(plan_and_check(&target, NULL, &op, &plan) && same_plan(&plan, &usual));
    assert_true(ocl_conv_algorithm_parse("", &algorithm) && ocl_choice_remember(&choices, &op, &algorithm));
    assert_true(plan_and_check(&target, NULL, &op, &plan) && same_plan(&plan, &usual));
    assert_int_equal(choices.count, 1);
    for (int i = 0; i < convolutions.count; i++) /* the table grows */
        assert_true(ocl_choice_remember(&choices, &convolutions.op[i], &algorithm));
    ocl_choices_release(&choices);
    assert_int_equal(choices.count, 0);
}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_the_networks),
        cmocka_unit_test(plans_or_refuses_odd_shapes),
        cmocka_unit_test(plans_batches),
        cmocka_unit_test(plans_products_in_bf16),
        cmocka_unit_test(plans_by_each_family),
        cmocka_unit_test(plans_by_each_listed_algorithm),
        cmocka_unit_test(lists_every_algorithm_by_name),
        cmocka_unit_test(chooses_tiles_with_enough_registers),
        cmocka_unit_test(chooses_smaller_tiles_of_gradients),
        cmocka_unit_test(splits_sums_alike_on_any_number_of_units),
        cmocka_unit_test(follows_verdicts),
        cmocka_unit_test(follows_choices),
    };
    const int failures = cmocka_run_group_tests(tests, read_operations, NULL);
    plan_check_release();
    return failures;
}
