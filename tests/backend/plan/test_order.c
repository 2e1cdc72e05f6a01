/* The order of commands and collectives: on a device that runs commands in any order that the interface
 * permits, trainings of several replicas have the same bits in every order, with gradients reduced in buckets
 * and in one piece, recorded and not; and a forgotten wait gives other results. Buckets are cut and placed as
 * documented, and reduced behind the backward pass.
 */
#include "plan/session.h"
#include "support/plan_training.h"
#include "support/shuffled_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"

enum { STEPS = 3, BATCH = 4, SEEDS = 12 };

/* Buckets of one layer each. */
static const p2p_session_options small_buckets = {.bucket_bytes = 1};

static plan_training train(const char *backend, int replicas, bool sync, const p2p_session_options *options) {
    const plan_net_step step = {.sync = sync, .dropout = 0.5};
    plan_training result;
    OK(plan_train_steps(backend, 0, replicas, BATCH, STEPS, &step, options, &result));
    return result;
}

/* Two summands have one sum, in either order. */
static void test_any_order(void **state) {
    (void)state;
    for (int sync = 0; sync < 2; sync++) {
        plan_training expected = train("reference", 2, sync, &small_buckets);
        plan_training whole = train("reference", 2, sync, &(p2p_session_options){.no_buckets = true});
        assert_true(plan_training_equal(&whole, &expected));
        assert_true(whole.collectives < expected.collectives);
        const int before = shuffled_overlaps();
        for (uint32_t seed = 1; seed <= SEEDS; seed++) {
            const p2p_session_options options = {.bucket_bytes = 1,
                                                 .no_recording = seed % 2,
                                                 .no_sharing = seed % 3 == 0,
                                                 .no_buckets = seed % 5 == 0};
            shuffled_seed(seed);
            plan_training t = train("shuffled", 2, sync, &options);
            if (!plan_training_equal(&t, &expected)) fail_msg("seed %u gives other bits", seed);
            free(t.parameters);
        }
        assert_true(shuffled_overlaps() > before + SEEDS);
        free(expected.parameters);
        free(whole.parameters);
    }
}

/* Four summands in the opposite order: other bits than the reference's, the same in every order of commands,
 * and with every cut into buckets, because this communicator adds element by element. */
static void test_other_sums(void **state) {
    (void)state;
    plan_training ordered = train("reference", 4, true, &small_buckets), first = {.count = 0};
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        const p2p_session_options options = {.bucket_bytes = seed % 3 == 0 ? 4096 : 1,
                                             .no_buckets = seed % 4 == 0};
        shuffled_seed(100 + seed);
        plan_training t = train("shuffled", 4, true, &options);
        if (seed == 1) {
            first = t;
            assert_false(plan_training_equal(&t, &ordered));
            for (int64_t i = 0; i < t.count; i++)
                assert_true(fabs(t.parameters[i] - ordered.parameters[i]) < 1e-9);
            continue;
        }
        if (!plan_training_equal(&t, &first)) fail_msg("seed %u gives other bits", seed);
        free(t.parameters);
    }
    free(first.parameters);
    free(ordered.parameters);
}

/* If the core's orders had no effect, most random orders would give other results: this device finds them. */
static void test_forgotten_order(void **state) {
    (void)state;
    plan_training expected = train("reference", 2, false, &small_buckets);
    int wrong = 0;
    shuffled_forget_order(true);
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        shuffled_seed(seed);
        plan_training t = train("shuffled", 2, false, &small_buckets);
        wrong += !plan_training_equal(&t, &expected);
        free(t.parameters);
    }
    shuffled_forget_order(false);
    assert_true(wrong > SEEDS / 2);
    free(expected.parameters);
}

/* The number of warnings while two replicas are planned. */
static int count_warnings(bool sync) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    p2p_warnings_to(stream);
    plan_training t = train("shuffled", 2, sync, &small_buckets);
    p2p_warnings_to(NULL);
    fclose(stream);
    int lines = 0;
    for (const char *at = text; *at; at++) lines += *at == '\n';
    if (lines > 0) assert_non_null(strstr(text, "through host memory and is slower: shuffled: no moments"));
    free(text);
    free(t.parameters);
    return lines;
}

/* A collective that the communicator lacks is reported once, although every normalisation needs it. */
static void test_lacking_collective(void **state) {
    (void)state;
    assert_int_equal(count_warnings(true), 1);
    assert_int_equal(count_warnings(false), 0);
}

static bool uses_gradient(const plan_part *part, const plan_step *step, const plan_step *bucket) {
    for (int i = 0; i < p2p_kind_operand_count(step->op.kind); i++) {
        const plan_address *at = &step->at[i];
        if (step->collective || !p2p_tensor_present(&step->op.t[i]) || at->space != bucket->at[0].space)
            continue;
        if (at->offset < bucket->at[0].offset + p2p_tensor_bytes(&bucket->op.t[0]) &&
            bucket->at[0].offset < at->offset + p2p_tensor_bytes(&step->op.t[i]))
            return true;
    }
    (void)part;
    return false;
}

/* Each bucket is reduced right after its last gradient, unless one before it is reduced later; together they
 * are the whole arena, without overlap; and the segment of the first step that reads one waits for it. */
static void test_placement(void **state) {
    (void)state;
    plan_rig rig;
    const plan_net_step training_step = {.dropout = 0.5};
    OK(plan_rig_open(&rig, "reference", 0, 2, BATCH, &plan_training_net, &training_step, &small_buckets));
    const plan_part *part = &rig.plan->parts[0];
    size_t covered = 0, arenas = 0;
    int early = 0, number = 0;
    for (int n = 0; n < rig.session->network_count; n++) {
        assert_true(rig.session->networks[n].bucket_count >= 3);
        arenas += rig.session->networks[n].bytes[PLAN_SPACE_gradient];
    }
    for (int s = 0; s < part->step_count; s++) {
        const plan_step *bucket = &part->steps[s];
        if (!bucket->collective) continue;
        number++;
        covered += p2p_tensor_bytes(&bucket->op.t[0]);
        const plan_step *before = &part->steps[s - 1];
        assert_true(before->collective || uses_gradient(part, before, bucket));
        int reader = s + 1;
        while (!uses_gradient(part, &part->steps[reader], bucket)) reader++;
        assert_int_equal(part->steps[reader].op.kind, P2P_KIND_adam);
        early += reader > s + 2;
        int segment = 0;
        while (reader >= part->segments[segment].end) segment++;
        assert_true(part->segments[segment].needed >= number);
        if (segment > 0) assert_true(part->segments[segment - 1].needed < number);
    }
    assert_int_equal(covered, arenas);
    assert_true(early > 4);
    plan_rig_close(&rig);
}

/* ---- Reductions behind the backward pass --------------------------------------------------------------- */

enum { MOST_KINDS = 4096 };

/* Runs a step of two replicas, and records what runs on the first. Returns the number of kinds. */
static int trace_step(shuffled_time time, bool no_buckets, p2p_kind kinds[MOST_KINDS]) {
    plan_rig rig;
    const plan_net_step step = {.dropout = 0.5};
    const p2p_session_options options = {.bucket_bytes = 1, .no_buckets = no_buckets};
    OK(plan_rig_open(&rig, "shuffled", 0, 2, BATCH, &plan_training_net, &step, &options));
    shuffled_collectives(time);
    shuffled_trace(kinds, MOST_KINDS);
    OK(plan_rig_step(&rig, 0));
    const int count = shuffled_traced();
    shuffled_trace(NULL, 0);
    shuffled_collectives(SHUFFLED_ANY_TIME);
    plan_rig_close(&rig);
    assert_true(count > 0 && count < MOST_KINDS);
    return count;
}

/* The number of backward passes in which a reduction runs before the last gradient of filters. Each ends with
 * the first update after such a gradient. */
static int count_overlapped(const p2p_kind *kinds, int count, int *passes) {
    int overlapped = 0, reduction = -1, gradient = -1;
    *passes = 0;
    for (int i = 0; i < count; i++) {
        if (kinds[i] == P2P_KIND_conv_bwd_filter) gradient = i;
        if (kinds[i] == P2P_KIND_all_reduce && reduction < 0) reduction = i;
        if (kinds[i] != P2P_KIND_adam) continue;
        *passes += gradient >= 0;
        overlapped += reduction >= 0 && reduction < gradient;
        reduction = gradient = -1;
    }
    return overlapped;
}

/* Whether the first operation after each reduction is an update: no other waited for it. */
static bool updates_alone_wait(const p2p_kind *kinds, int count) {
    for (int i = 0; i + 1 < count; i++)
        if (kinds[i] == P2P_KIND_all_reduce && kinds[i + 1] != P2P_KIND_all_reduce &&
            kinds[i + 1] != P2P_KIND_adam)
            return false;
    return true;
}

/* As early as they may run, reductions begin before the last gradients of both networks are computed. As late
 * as they may, all gradients are complete before the first reduction: no command but the updates waits for
 * one. Gradients in one piece have no such overlap. */
static void test_overlap(void **state) {
    (void)state;
    static p2p_kind kinds[MOST_KINDS];
    int passes;
    int count = trace_step(SHUFFLED_EARLY, false, kinds);
    assert_int_equal(count_overlapped(kinds, count, &passes), 2);
    assert_int_equal(passes, 2);
    count = trace_step(SHUFFLED_LATE, false, kinds);
    assert_int_equal(count_overlapped(kinds, count, &passes), 0);
    assert_int_equal(passes, 2);
    assert_true(updates_alone_wait(kinds, count));
    count = trace_step(SHUFFLED_EARLY, true, kinds);
    assert_int_equal(count_overlapped(kinds, count, &passes), 0);
}

int main(void) {
    OK(p2p_module_register(shuffled_module));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),       cmocka_unit_test(test_other_sums),
        cmocka_unit_test(test_forgotten_order), cmocka_unit_test(test_lacking_collective),
        cmocka_unit_test(test_placement),       cmocka_unit_test(test_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
