/* The planner, by results and by structure. Every off-switch gives the same training as all optimisations, on
 * the reference and on devices with other storage, refusals and buffer sizes; plans have the operations that
 * each fusion implies; values that are live at the same time never overlap; misuse is refused with its name.
 */
#include "device/device.h"
#include "plan/session.h"
#include "support/null_backend.h"
#include "support/picky_backend.h"
#include "support/plan_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_plan.h"

enum { STEPS = 2, BATCH = 2, LOSSES = 4 };

static const plan_net shape = {.in = 3, .out = 3, .filters = 4};
static const plan_net_step full_step = {.dropout = 0.5};
static const char *const loss_names[LOSSES] = {"d_fake", "d_real", "g_gan", "g_l1"};

/* ---- A short training ---------------------------------------------------------------------------------- */

typedef struct {
    double losses[STEPS][LOSSES];
    double y[BATCH * 3 * PLAN_NET_SIDE * PLAN_NET_SIDE];
    double *parameters;
    int64_t count;
    int launches, fused[PLAN_FUSION_COUNT], kinds[P2P_KIND_COUNT];
} training;

static void describe(const plan_rig *rig, training *result) {
    const plan_part *part = &rig->plan->parts[0];
    result->launches = part->step_count;
    memcpy(result->fused, part->fused, sizeof part->fused);
    for (int s = 0; s < part->step_count; s++) result->kinds[part->steps[s].op.kind]++;
}

static training train(const char *backend, int device, const p2p_session_options *options) {
    training result = {.launches = 0};
    plan_rig rig;
    OK(plan_rig_open(&rig, backend, device, 1, BATCH, &shape, &full_step, options));
    describe(&rig, &result);
    for (uint32_t s = 0; s < STEPS; s++) {
        OK(plan_rig_step(&rig, s));
        for (int l = 0; l < LOSSES; l++) OK(p2p_plan_loss(rig.plan, loss_names[l], &result.losses[s][l]));
    }
    OK(p2p_plan_output(rig.plan, 0, "y", result.y));
    OK(plan_rig_parameters(&rig, &result.parameters, &result.count));
    plan_rig_close(&rig);
    return result;
}

static void compare(const char *what, const double *a, const double *b, int64_t count, double tolerance) {
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(a[i] - b[i]);
        if (!(error <= tolerance * fmax(1, fabs(b[i]))))
            fail_msg("%s %lld: %.17g instead of %.17g", what, (long long)i, a[i], b[i]);
    }
}

/* Compares two trainings; a tolerance of 0 requires equal bits. */
static void expect_equal(const training *a, const training *b, double tolerance) {
    assert_int_equal(a->count, b->count);
    compare("loss", &a->losses[0][0], &b->losses[0][0], STEPS * LOSSES, tolerance);
    compare("y", a->y, b->y, sizeof a->y / sizeof a->y[0], tolerance);
    compare("parameter", a->parameters, b->parameters, a->count, tolerance);
}

/* ---- Off-switches ------------------------------------------------------------------------------------- */

static training everything_on;

static int prepare_baseline(void **state) {
    (void)state;
    everything_on = train("reference", 0, NULL);
    return 0;
}

static int release_baseline(void **state) {
    (void)state;
    free(everything_on.parameters);
    return 0;
}

/* Adam divides by the gradient's magnitude, which amplifies rounding. */
static const double rounding = 1e-12;

static training expect_same_training(const p2p_session_options *options, double tolerance) {
    training other = train("reference", 0, options);
    expect_equal(&other, &everything_on, tolerance);
    free(other.parameters);
    other.parameters = NULL;
    return other;
}

/* The network applies 8 biases (those of c0 and c2 three times each, e2, d0), 14 activations including the
 * generator's tanh, 6 normalisations, one of them with dropout, and 5 concatenations. */
static void test_everything_on(void **state) {
    (void)state;
    const int *fused = everything_on.fused, *kinds = everything_on.kinds;
    assert_int_equal(fused[PLAN_FUSED_bias], 8);
    assert_int_equal(kinds[P2P_KIND_axpby], 0);
    assert_int_equal(fused[PLAN_FUSED_merge], 6);
    assert_int_equal(fused[PLAN_FUSED_merge_bwd], 6);
    assert_int_equal(kinds[P2P_KIND_norm_stats] + kinds[P2P_KIND_norm_bwd_stats], 0);
    assert_int_equal(fused[PLAN_FUSED_dropout], 1);
    assert_int_equal(fused[PLAN_FUSED_dropout_bwd], 1);
    assert_int_equal(kinds[P2P_KIND_dropout], 0);
    assert_int_equal(fused[PLAN_FUSED_act_conv], 6);
    assert_int_equal(fused[PLAN_FUSED_act_norm], 7);
    assert_int_equal(fused[PLAN_FUSED_act_norm_bwd], 7);
    assert_int_equal(fused[PLAN_FUSED_act_reread], 1);
    assert_int_equal(kinds[P2P_KIND_act_fwd], 1);
    assert_int_equal(kinds[P2P_KIND_act_bwd], 7);
    /* The image is written in place once and copied twice, the target is copied once, and the output, which
     * the host reads, twice. The copy of the output's gradient accumulates to that of the L1 loss. */
    assert_int_equal(fused[PLAN_FUSED_elide], 5);
    assert_int_equal(fused[PLAN_FUSED_elide_bwd], 4);
    assert_int_equal(kinds[P2P_KIND_copy], 6);
}

static void test_no_fusion(void **state) {
    (void)state;
    training t = expect_same_training(&(p2p_session_options){.no_fusion = true}, rounding);
    for (int i = 0; i < PLAN_FUSION_COUNT; i++) assert_int_equal(t.fused[i], 0);
    assert_int_equal(t.kinds[P2P_KIND_copy], 15);
    assert_int_equal(t.kinds[P2P_KIND_act_fwd], 14);
    assert_int_equal(t.kinds[P2P_KIND_act_bwd], 14);
    assert_int_equal(t.kinds[P2P_KIND_axpby], 8);
    assert_int_equal(t.kinds[P2P_KIND_dropout], 2);
    assert_int_equal(t.kinds[P2P_KIND_norm_stats], 6);
}

static void test_no_fuse_bias(void **state) {
    (void)state;
    training t = expect_same_training(&(p2p_session_options){.no_fuse_bias = true}, rounding);
    assert_int_equal(t.fused[PLAN_FUSED_bias], 0);
    assert_int_equal(t.kinds[P2P_KIND_axpby], 8);
    /* The result of a convolution with a separate bias has two writers, so its activation is not fused
     * either. */
    assert_int_equal(t.fused[PLAN_FUSED_act_conv], 1);
}

static void test_no_fuse_act(void **state) {
    (void)state;
    training t = expect_same_training(&(p2p_session_options){.no_fuse_act = true}, rounding);
    assert_int_equal(t.kinds[P2P_KIND_act_fwd], 14);
    assert_int_equal(t.kinds[P2P_KIND_act_bwd], 14);
    assert_int_equal(t.fused[PLAN_FUSED_dropout], 1);
}

static void test_no_fuse_dropout(void **state) {
    (void)state;
    training t = expect_same_training(&(p2p_session_options){.no_fuse_dropout = true}, rounding);
    assert_int_equal(t.kinds[P2P_KIND_dropout], 2);
    /* The activation after the separate dropout is not fused either. */
    assert_int_equal(t.fused[PLAN_FUSED_act_norm], 6);
    assert_int_equal(t.fused[PLAN_FUSED_act_norm_bwd], 6);
}

static void test_no_merge_norm(void **state) {
    (void)state;
    training t = expect_same_training(&(p2p_session_options){.no_merge_norm = true}, rounding);
    assert_int_equal(t.kinds[P2P_KIND_norm_stats], 6);
    assert_int_equal(t.kinds[P2P_KIND_norm_bwd_stats], 6);
    /* Activations are fused into both nodes of a gradient. */
    assert_int_equal(t.fused[PLAN_FUSED_act_norm_bwd], 7);
}

static void test_no_elide_copies(void **state) {
    (void)state;
    training t = expect_same_training(&(p2p_session_options){.no_elide_copies = true}, 0);
    assert_int_equal(t.kinds[P2P_KIND_copy], 15);
}

static void test_no_sharing(void **state) {
    (void)state;
    expect_same_training(&(p2p_session_options){.no_sharing = true}, 0);
}

static void test_check(void **state) {
    (void)state;
    expect_same_training(&(p2p_session_options){.check = true}, 0);
    expect_same_training(&(p2p_session_options){.check = true, .no_fusion = true}, rounding);
}

/* ---- Other devices ------------------------------------------------------------------------------------- */

static void test_recording(void **state) {
    (void)state;
    int before = picky_recordings_run();
    training recorded = train("picky", PICKY_EASY, NULL);
    assert_int_equal(picky_recordings_run() - before, STEPS);
    training replayed = train("picky", PICKY_EASY, &(p2p_session_options){.no_recording = true});
    training checked = train("picky", PICKY_EASY, &(p2p_session_options){.check = true});
    assert_int_equal(picky_recordings_run() - before, STEPS);
    expect_equal(&replayed, &recorded, 0);
    expect_equal(&checked, &recorded, 0);
    expect_equal(&recorded, &everything_on, 0);
    free(recorded.parameters);
    free(replayed.parameters);
    free(checked.parameters);
}

/* Several plans of a device take the same slower path. Another path has a warning of its own. */
static void test_slower_once(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    p2p_device *device = NULL;
    FILE *stream = open_memstream(&text, &size);
    OK(p2p_device_open("picky:2", &device));
    p2p_warnings_to(stream);
    (void)p2p_fail(P2P_UNSUPPORTED, "the reason");
    for (int i = 0; i < 3; i++) p2p_device_warn_slower(device, P2P_SLOWER_recording);
    p2p_device_warn_slower(device, P2P_SLOWER_host_memory);
    p2p_warnings_to(NULL);
    fclose(stream);
    int lines = 0;
    for (const char *at = text; *at; at++) lines += *at == '\n';
    assert_int_equal(lines, 2);
    free(text);
    p2p_device_close(device);
}

/* What fails although the table has it is replaced by something slower, with one warning, and the same bits.
 */
static void test_slower_paths(void **state) {
    (void)state;
    static const struct {
        picky_failure failure;
        const char *warning;
    } cases[] = {{PICKY_FAILS_NOTHING, ""},
                 {PICKY_FAILS_HOST_MEMORY, "are slower: picky: nothing can be pinned"},
                 {PICKY_FAILS_RECORDING, "which is slower: picky: a command that can't be recorded"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);
        p2p_warnings_to(stream);
        picky_fail(cases[i].failure);
        training t = train("picky", PICKY_EASY, NULL);
        picky_fail(PICKY_FAILS_NOTHING);
        p2p_warnings_to(NULL);
        fclose(stream);
        expect_equal(&t, &everything_on, 0);
        assert_non_null(strstr(text, cases[i].warning));
        int lines = 0;
        for (const char *at = text; *at; at++) lines += *at == '\n';
        assert_int_equal(lines, cases[i].failure != PICKY_FAILS_NOTHING);
        assert_int_equal(picky_host_pieces(), 0);
        free(text);
        free(t.parameters);
    }
}

/* Padding lanes that are multiplied, and must be zero. */
static void test_padding(void **state) {
    (void)state;
    training checked = train("picky", PICKY_TENSOR, &(p2p_session_options){.check = true});
    expect_equal(&checked, &everything_on, rounding);
    training unchecked = train("picky", PICKY_TENSOR, &(p2p_session_options){.no_fusion = true});
    expect_equal(&unchecked, &everything_on, rounding);
    free(checked.parameters);
    free(unchecked.parameters);
}

/* A kernel that leaves padding lanes as they were spoils results, and the check mode names it. */
static void test_padding_left(void **state) {
    (void)state;
    static const p2p_kind kinds[] = {P2P_KIND_prepare, P2P_KIND_conv_bwd_data, P2P_KIND_copy};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int check = 0; check < 2; check++) {
            plan_rig rig;
            double loss = 0;
            OK(plan_rig_open(&rig, "picky", PICKY_TENSOR, 1, BATCH, &shape, &full_step,
                             &(p2p_session_options){.check = check}));
            picky_leave_padding(kinds[i]);
            const p2p_status status = plan_rig_step(&rig, 0);
            picky_leave_padding(P2P_KIND_COUNT);
            if (check) {
                REFUSED(status, P2P_FAILED, "a padding lane, is not zero");
                assert_non_null(strstr(p2p_message(), p2p_kind_name(kinds[i])));
            } else {
                OK(status);
                OK(p2p_plan_loss(rig.plan, "d_real", &loss));
                for (int l = 0; l < LOSSES && isfinite(loss); l++)
                    OK(p2p_plan_loss(rig.plan, loss_names[l], &loss));
                assert_false(isfinite(loss));
            }
            plan_rig_close(&rig);
        }
}

static const plan_network *find_network(const p2p_session *session, const p2p_network *network) {
    int index;
    OK(session_find_network(session, network, &index));
    return &session->networks[index];
}

static int count_filters(const p2p_network *network) {
    int count = 0;
    for (int i = 0; i < network->param_count; i++) count += network->params[i].kind == P2P_PARAM_FILTER;
    return count;
}

/* Filters that are read in another type only: a mirror of each network's filters, written by the updates.
 * Gradients that are written once in a narrow type; those of the discriminator, which are written twice, in
 * the type of the parameters, through temporaries. */
static void test_narrow_filters(void **state) {
    (void)state;
    const p2p_session_options narrow = {.precision = P2P_PRECISION_bf16, .check = true};
    training t = train("picky", PICKY_TENSOR, &narrow);
    compare("loss", &t.losses[0][0], &everything_on.losses[0][0], STEPS * LOSSES, 2e-6);
    compare("parameter", t.parameters, everything_on.parameters, t.count, 2e-4);
    assert_true(t.fused[PLAN_FUSED_derived] > 0);
    assert_int_equal(t.kinds[P2P_KIND_adam], 4); /* filters and vectors of each network */

    plan_rig rig;
    OK(plan_rig_open(&rig, "picky", PICKY_TENSOR, 1, BATCH, &shape, &full_step, &narrow));
    const plan_part *part = &rig.plan->parts[0];
    int mirrored = 0, widened = 0, renewals = 0;
    for (int s = 0; s < part->step_count; s++) {
        const p2p_op *op = &part->steps[s].op;
        mirrored += op->kind == P2P_KIND_adam && p2p_tensor_present(&op->t[P2P_AT_adam_copy]);
        widened += op->kind == P2P_KIND_copy && op->t[P2P_AT_copy_y].layout == P2P_LAYOUT_krsc;
        renewals += op->kind == P2P_KIND_copy && !part->steps[s].value[P2P_AT_copy_x];
    }
    assert_int_equal(mirrored, 2);
    assert_int_equal(renewals, 0);
    /* the discriminator's filters, on real and on generated images */
    assert_int_equal(widened, 2 * count_filters(rig.net.d));
    assert_int_equal(find_network(rig.session, rig.net.d)->gradient, P2P_TYPE_f64);
    assert_int_equal(find_network(rig.session, rig.net.g)->gradient, P2P_TYPE_f32);
    plan_rig_close(&rig);
    free(t.parameters);
}

/* Blocked layouts, derived filters, arenas in several pieces. */
static void test_blocked(void **state) {
    (void)state;
    training blocked = train("picky", PICKY_BLOCKED, &(p2p_session_options){.check = true});
    expect_equal(&blocked, &everything_on, rounding);
    assert_true(blocked.fused[PLAN_FUSED_derived] > 0);
    /* 3 + 3 channels can't share a block of 4, so none of those copies is elided. */
    assert_int_equal(blocked.fused[PLAN_FUSED_elide], 4);
    assert_int_equal(blocked.kinds[P2P_KIND_adam], 3); /* the generator's parameters are in two pieces */
    training stored = train("picky", PICKY_BLOCKED, &(p2p_session_options){.no_derived = true});
    expect_equal(&stored, &blocked, 0);
    assert_int_equal(stored.fused[PLAN_FUSED_derived], 0);
    assert_true(stored.kinds[P2P_KIND_copy] < blocked.kinds[P2P_KIND_copy]);
    free(blocked.parameters);
    free(stored.parameters);
}

/* Only activations and their gradients are stored in bf16, in a quarter of float64's memory. The training is
 * near to that in float64, within the precision of 8 bits, but not equal. */
static void test_bf16(void **state) {
    (void)state;
    const p2p_session_options in_bf16 = {.precision = P2P_PRECISION_bf16, .check = true};
    training rounded = train("picky", PICKY_BLOCKED, &in_bf16);
    compare("loss", &rounded.losses[0][0], &everything_on.losses[0][0], STEPS * LOSSES, 0.02);
    compare("y", rounded.y, everything_on.y, sizeof rounded.y / sizeof rounded.y[0], 0.15);
    compare("parameter", rounded.parameters, everything_on.parameters, rounded.count, 0.01);
    assert_true(fabs(rounded.losses[0][3] - everything_on.losses[0][3]) > 1e-6);
    free(rounded.parameters);
    plan_rig wide, narrow;
    OK(plan_rig_open(&wide, "picky", PICKY_BLOCKED, 1, BATCH, &shape, &full_step, NULL));
    OK(plan_rig_open(&narrow, "picky", PICKY_BLOCKED, 1, BATCH, &shape, &full_step, &in_bf16));
    const plan_part *part = &narrow.plan->parts[0];
    for (int v = 1; v < part->value_count; v++) {
        const plan_value *value = &part->values[v];
        if (!p2p_tensor_present(&value->tensor)) continue; /* an alias of a value, or a whole arena */
        assert_int_equal(value->tensor.type == P2P_TYPE_bf16, value->role == IR_ACTIVATION);
    }
    p2p_session_memory a, b;
    p2p_session_memory_use(wide.session, &a);
    p2p_session_memory_use(narrow.session, &b);
    assert_true((double)b.activations < 0.3 * (double)a.activations); /* losses are vectors */
    assert_int_equal(a.parameters + a.moments + a.gradients, b.parameters + b.moments + b.gradients);
    plan_rig_close(&wide);
    plan_rig_close(&narrow);
}

static void test_strict(void **state) {
    (void)state;
    training strict = train("picky", PICKY_STRICT, &(p2p_session_options){.check = true});
    expect_equal(&strict, &everything_on, rounding);
    for (int i = 0; i < PLAN_FUSION_COUNT; i++) assert_int_equal(strict.fused[i], 0);
    /* 8 biases, and the gradients of the two encoder results that two activations read. Copies accumulate
     * without an axpby. */
    assert_int_equal(strict.kinds[P2P_KIND_axpby], 8 + 2);
    free(strict.parameters);
}

/* ---- Memory ------------------------------------------------------------------------------------------- */

static void expect_no_overlap(const plan_part *part) {
    size_t chunk = part->session->cut.chunk_bytes;
    int placed = 0;
    for (int a = 1; a < part->value_count; a++) {
        const plan_value *x = &part->values[a];
        if (x->origin != IR_LOCAL || x->last < x->first) continue;
        placed++;
        size_t x_end = x->at.offset + p2p_tensor_bytes(&x->tensor);
        assert_int_equal(x->at.offset % part->session->cut.alignment, 0);
        assert_int_equal(x->at.offset / chunk, (x_end - 1) / chunk);
        assert_true(x_end <= part->arena_bytes);
        for (int b = a + 1; b < part->value_count; b++) {
            const plan_value *y = &part->values[b];
            if (y->origin != IR_LOCAL || y->last < y->first) continue;
            bool together = x->first <= y->last && y->first <= x->last;
            bool apart = x_end <= y->at.offset || y->at.offset + p2p_tensor_bytes(&y->tensor) <= x->at.offset;
            assert_true(apart || !together);
        }
    }
    assert_true(placed > 20);
}

/* The scratch memory of an operation overlaps no other memory in use at that step. */
static void expect_scratch_apart(const plan_part *part) {
    for (int s = 0; s < part->step_count; s++) {
        const plan_step *step = &part->steps[s];
        const size_t bytes = step->query.scratch_bytes, first = step->scratch.offset, end = first + bytes;
        if (bytes == 0) continue;
        assert_int_equal(step->scratch.space, PLAN_SPACE_arena);
        assert_true(end <= part->arena_bytes && first % part->session->cut.alignment == 0);
        assert_int_equal(first / part->session->cut.chunk_bytes, (end - 1) / part->session->cut.chunk_bytes);
        for (int v = 1; v < part->value_count; v++) {
            const plan_value *value = &part->values[v];
            if (value->origin != IR_LOCAL || s < value->first || value->last < s) continue;
            const size_t value_end = value->at.offset + p2p_tensor_bytes(&value->tensor);
            assert_true(end <= value->at.offset || value_end <= first);
        }
    }
}

/* The largest total that is live at one step, a lower bound of every placement. */
static size_t live_bytes(const plan_part *part) {
    size_t most = 0;
    for (int s = 0; s < part->step_count; s++) {
        size_t live = part->steps[s].query.scratch_bytes;
        for (int v = 1; v < part->value_count; v++) {
            const plan_value *value = &part->values[v];
            if (value->origin == IR_LOCAL && value->first <= s && s <= value->last)
                live += p2p_tensor_bytes(&value->tensor);
        }
        if (live > most) most = live;
    }
    return most;
}

/* Filter gradients need scratch memory on the reference; on the other devices they do not. */
static void test_scratch_memory(void **state) {
    (void)state;
    plan_rig rig;
    OK(plan_rig_open(&rig, "reference", 0, 1, BATCH, &shape, &full_step, NULL));
    const plan_part *part = &rig.plan->parts[0];
    assert_true(part->scratch_bytes > 0);
    expect_no_overlap(part);
    expect_scratch_apart(part);
    assert_int_equal(part->live_bytes, live_bytes(part));
    assert_true((double)part->arena_bytes < 1.1 * (double)part->live_bytes);
    plan_rig_close(&rig);
}

static void test_memory(void **state) {
    (void)state;
    for (int device = 0; device < PICKY_DEVICES; device++) {
        plan_rig rig;
        OK(plan_rig_open(&rig, "picky", device, 1, BATCH, &shape, &full_step, NULL));
        const plan_part *part = &rig.plan->parts[0];
        expect_no_overlap(part);
        assert_true(part->arena_bytes < part->unshared_bytes);
        assert_int_equal(part->live_bytes, live_bytes(part));
        if (device != PICKY_BLOCKED) assert_true((double)part->arena_bytes < 1.1 * (double)part->live_bytes);
        p2p_session_memory use;
        p2p_session_memory_use(rig.session, &use);
        assert_int_equal(use.activations, part->arena_bytes);
        assert_true(use.moments == 2 * use.gradients && use.gradients > 0 && use.parameters > use.gradients);
        assert_int_equal(use.derived > 0, device == PICKY_BLOCKED);
        assert_int_equal(use.total, use.parameters + use.gradients + use.moments + use.derived +
                                        use.activations + use.inputs_outputs);
        plan_rig_close(&rig);
    }
}

static void test_memory_without_sharing(void **state) {
    (void)state;
    plan_rig rig;
    OK(plan_rig_open(&rig, "reference", 0, 1, BATCH, &shape, &full_step,
                     &(p2p_session_options){.no_sharing = true}));
    const plan_part *part = &rig.plan->parts[0];
    assert_int_equal(plan_round_up(part->arena_bytes, rig.session->cut.alignment), part->unshared_bytes);
    plan_rig_close(&rig);
}

static void test_out_of_memory(void **state) {
    (void)state;
    plan_rig rig;
    REFUSED(plan_rig_open(&rig, "null", NULL_NCHW16C, 1, BATCH, &shape, &full_step, NULL), P2P_OUT_OF_MEMORY,
            "MB of activations");
    MESSAGE_HAS("not even");
    MESSAGE_HAS("Adam's moments");
    assert_true(p2p_message_hint()[0] != '\0');
    plan_rig_close(&rig);
    /* A picture that no single allocation of 32 KB holds. */
    REFUSED(plan_rig_open(&rig, "picky", PICKY_BLOCKED, 1, 4 * BATCH, &shape, &full_step, NULL),
            P2P_OUT_OF_MEMORY, "in one piece");
    plan_rig_close(&rig);
}

/* ---- Runs --------------------------------------------------------------------------------------------- */

static void fill(plan_rig *rig, int seed) {
    unsigned char *x = test_plan_input(rig->plan, 0, "x");
    float *t = test_plan_input(rig->plan, 0, "t");
    for (int i = 0; i < BATCH * 3 * PLAN_NET_SIDE * PLAN_NET_SIDE; i++) {
        x[i] = (unsigned char)(i * 7 + seed * 31);
        t[i] = (float)((i * 5 + seed * 17) % 256) / 128 - 1;
    }
}

/* Computes the losses of `count` runs, with two in flight if `ahead`. */
static void run_losses(bool ahead, int count, double *losses) {
    plan_rig rig;
    OK(plan_rig_open(&rig, "reference", 0, 1, BATCH, &shape, &full_step, NULL));
    int waited = 0;
    for (int i = 0; i < count; i++) {
        fill(&rig, i);
        OK(p2p_plan_run(rig.plan, &(p2p_step){.step = (uint32_t)i, .learning_rate = 1e-3}));
        if (ahead && i == 0) continue;
        OK(p2p_plan_wait(rig.plan));
        OK(p2p_plan_loss(rig.plan, "d_fake", &losses[waited++]));
    }
    if (ahead) {
        OK(p2p_plan_wait(rig.plan));
        OK(p2p_plan_loss(rig.plan, "d_fake", &losses[waited++]));
    }
    assert_int_equal(waited, count);
    REFUSED(p2p_plan_wait(rig.plan), P2P_INVALID, "no run");
    plan_rig_close(&rig);
}

static void test_two_in_flight(void **state) {
    (void)state;
    enum { RUNS = 5 };
    double one[RUNS], two[RUNS];
    run_losses(false, RUNS, one);
    run_losses(true, RUNS, two);
    compare("loss of a run ahead", two, one, RUNS, 0);
    assert_true(one[0] != one[1]);
}

static void test_check_finds_nan(void **state) {
    (void)state;
    plan_rig rig;
    OK(plan_rig_open(&rig, "reference", 0, 1, BATCH, &shape, &full_step,
                     &(p2p_session_options){.check = true}));
    fill(&rig, 0);
    float *t = test_plan_input(rig.plan, 0, "t");
    t[1 * PLAN_NET_SIDE * PLAN_NET_SIDE + 2 * PLAN_NET_SIDE + 5] = NAN;
    REFUSED(p2p_plan_run(rig.plan, &(p2p_step){.learning_rate = 1e-3}), P2P_FAILED, "copy x=");
    MESSAGE_HAS("y[0,1,2,5] is");
    /* The run has failed; the plan remains usable. */
    fill(&rig, 0);
    OK(p2p_plan_run(rig.plan, &(p2p_step){.learning_rate = 1e-3}));
    plan_rig_close(&rig);
}

/* Training and validation in one session: one arena, one state; updates reach derived filters. */
static void test_two_plans(void **state) {
    (void)state;
    double losses[2] = {0, 0};
    const int devices[2] = {PICKY_EASY, PICKY_BLOCKED};
    for (int i = 0; i < 2; i++) {
        plan_rig rig = {.net = plan_net_create(3, 3, 4)};
        char address[32];
        snprintf(address, sizeof address, "picky:%d", devices[i]);
        OK(p2p_device_open(address, &rig.devices[0]));
        OK(p2p_session_create(rig.devices, 1, NULL, &rig.session));
        plan_net_step step = {.local_batch = BATCH, .global_batch = BATCH, .world = 1};
        rig.graphs[0] = plan_net_graph(&rig.net, &step);
        step.losses_only = true;
        rig.graphs[1] = plan_net_graph(&rig.net, &step);
        p2p_plan *training_plan = NULL, *validation = NULL;
        OK(p2p_session_plan(rig.session, "training", &rig.graphs[0], &training_plan));
        OK(p2p_session_plan(rig.session, "validation", &rig.graphs[1], &validation));
        OK(p2p_session_allocate(rig.session, NULL, NULL));
        OK(p2p_session_initialise(rig.session, rig.net.g, 1));
        OK(p2p_session_initialise(rig.session, rig.net.d, 1));
        double before = 0;
        for (int run = 0; run < 3; run++) {
            rig.plan = run == 1 ? training_plan : validation;
            fill(&rig, 0);
            OK(p2p_plan_run(rig.plan, &(p2p_step){.learning_rate = 1e-2}));
            OK(p2p_plan_wait(rig.plan));
            OK(p2p_plan_loss(rig.plan, "g_l1", run == 0 ? &before : &losses[i]));
        }
        assert_true(losses[i] != before);
        plan_rig_close(&rig);
    }
    assert_true(fabs(losses[0] - losses[1]) < 1e-10);
}

/* A third run uses the input memory of the first, so its input waits for the first run. The wait can fail. */
static void test_input_waits(void **state) {
    (void)state;
    plan_rig rig;
    void *place = &rig;
    OK(plan_rig_open(&rig, "reference", 0, 1, BATCH, &shape, &full_step, NULL));
    for (int i = 0; i < 2; i++) {
        fill(&rig, i);
        OK(p2p_plan_run(rig.plan, &(p2p_step){.learning_rate = 1e-3}));
    }
    p2p_fault_inject(1);
    REFUSED(p2p_plan_input(rig.plan, 0, "x", &place), P2P_FAILED, "injected fault: backend call 1, wait");
    assert_null(place);
    p2p_fault_inject(0);
    OK(p2p_plan_input(rig.plan, 0, "x", &place));
    assert_non_null(place);
    plan_rig_close(&rig);
}

/* ---- Misuse ------------------------------------------------------------------------------------------- */

static void test_misuse(void **state) {
    (void)state;
    plan_rig rig;
    OK(plan_rig_open(&rig, "reference", 0, 1, BATCH, &shape, &full_step, NULL));
    p2p_plan *plan = NULL;
    double value = 0;
    REFUSED(p2p_session_plan(rig.session, "late", rig.graphs, &plan), P2P_INVALID, "late");
    REFUSED(p2p_session_allocate(rig.session, NULL, NULL), P2P_INVALID, "already");
    void *place = &rig;
    REFUSED(p2p_plan_input(rig.plan, 0, "nothing", &place), P2P_INVALID, "has no input nothing");
    assert_null(place);
    REFUSED(p2p_plan_input(rig.plan, 1, "x", &place), P2P_INVALID, "no replica 1");
    REFUSED(p2p_plan_loss(rig.plan, "d_fake", &value), P2P_INVALID, "waited");
    OK(plan_rig_step(&rig, 0));
    REFUSED(p2p_plan_loss(rig.plan, "nothing", &value), P2P_INVALID, "nothing");
    REFUSED(p2p_plan_loss(rig.plan, "y", &value), P2P_INVALID, "not a loss");
    REFUSED(p2p_plan_output(rig.plan, 3, "y", &value), P2P_INVALID, "replica");
    REFUSED(p2p_session_read(rig.session, rig.net.g, (p2p_param){99}, P2P_STATE_VALUE, P2P_TYPE_f32, &value),
            P2P_INVALID, "99");
    REFUSED(p2p_session_read(rig.session, rig.net.g, (p2p_param){0}, P2P_STATE_VALUE, P2P_TYPE_bf16, &value),
            P2P_INVALID, "bf16");
    p2p_network *stranger = p2p_network_create("stranger");
    REFUSED(p2p_session_initialise(rig.session, stranger, 0), P2P_INVALID, "stranger");
    p2p_network_destroy(stranger);
    plan_rig_close(&rig);
}

/* A session that only evaluates has no gradients and no moments, and reports that. */
static void test_evaluation_only(void **state) {
    (void)state;
    plan_rig rig;
    plan_net_step step = {.losses_only = true};
    OK(plan_rig_open(&rig, "reference", 0, 1, BATCH, &shape, &step, NULL));
    p2p_session_memory use;
    p2p_session_memory_use(rig.session, &use);
    assert_int_equal(use.gradients + use.moments, 0);
    double value = 0;
    REFUSED(p2p_session_read(rig.session, rig.net.g, (p2p_param){0}, P2P_STATE_MOMENT1, P2P_TYPE_f32, &value),
            P2P_INVALID, "first moments");
    OK(plan_rig_step(&rig, 0));
    plan_rig_close(&rig);
}

static void test_replicas_must_match(void **state) {
    (void)state;
    plan_net net = plan_net_create(3, 3, 4);
    p2p_device *devices[2] = {NULL, NULL};
    p2p_session *session = NULL;
    p2p_plan *plan = NULL;
    OK(p2p_device_open("reference:0", &devices[0]));
    OK(p2p_device_open("picky:0", &devices[1]));
    REFUSED(p2p_session_create(devices, 2, NULL, &session), P2P_UNSUPPORTED, "differently");
    OK(p2p_session_create(devices, 1, NULL, &session));
    p2p_graph *graph = plan_net_graph(
        &net, &(plan_net_step){.local_batch = 2, .global_batch = 4, .world = 2, .losses_only = true});
    REFUSED(p2p_session_plan(session, "two", &graph, &plan), P2P_INVALID, "2 replicas");
    p2p_graph_destroy(graph);
    graph = plan_net_graph(
        &net, &(plan_net_step){.local_batch = 2, .global_batch = 4, .world = 1, .losses_only = true});
    REFUSED(p2p_session_plan(session, "part", &graph, &plan), P2P_INVALID, "global batch");
    p2p_graph_destroy(graph);
    p2p_session_destroy(session);
    p2p_device_close(devices[0]);
    p2p_device_close(devices[1]);
    plan_net_destroy(&net);
}

int main(void) {
    OK(p2p_module_register(null_module));
    OK(p2p_module_register(picky_module));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_on),
        cmocka_unit_test(test_no_fusion),
        cmocka_unit_test(test_no_fuse_bias),
        cmocka_unit_test(test_no_fuse_act),
        cmocka_unit_test(test_no_fuse_dropout),
        cmocka_unit_test(test_no_merge_norm),
        cmocka_unit_test(test_no_elide_copies),
        cmocka_unit_test(test_no_sharing),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_recording),
        cmocka_unit_test(test_slower_once),
        cmocka_unit_test(test_slower_paths),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_padding_left),
        cmocka_unit_test(test_narrow_filters),
        cmocka_unit_test(test_blocked),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_scratch_memory),
        cmocka_unit_test(test_memory_without_sharing),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_two_in_flight),
        cmocka_unit_test(test_check_finds_nan),
        cmocka_unit_test(test_two_plans),
        cmocka_unit_test(test_input_waits),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_evaluation_only),
        cmocka_unit_test(test_replicas_must_match),
    };
    return cmocka_run_group_tests(tests, prepare_baseline, release_baseline);
}
