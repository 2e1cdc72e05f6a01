/* Inputs that a run takes from the caller's memory: the same bits as through the plan's own memory, on
 * devices that store them as they are and on others; memory that is changed after the run has been waited for
 * changes nothing, and one run too early it does, which a device with late transfers shows. Host memory of a
 * session.
 */
#include "device/device.h"
#include "plan/session.h"
#include "support/picky_backend.h"
#include "support/plan_training.h"
#include "support/shuffled_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"

enum {
    STEPS = PLAN_TRAINING_STEPS,
    BATCH = 2,
    LOSSES = PLAN_TRAINING_LOSSES,
    PIXELS = BATCH * 3 * PLAN_NET_SIDE * PLAN_NET_SIDE,
    MOST_REPLICAS = 2
};

static const plan_net_step training_step = {.dropout = 0.5};

/* ---- Trainings ---------------------------------------------------------------------------------------- */

static void read_losses(plan_rig *rig, double losses[LOSSES]) {
    static const char *const names[LOSSES] = {"d_fake", "d_real", "g_gan", "g_l1"};
    for (int l = 0; l < LOSSES; l++) OK(p2p_plan_loss(rig->plan, names[l], &losses[l]));
}

static void open_rig(plan_rig *rig, const char *backend, int device, int replicas) {
    OK(plan_rig_open(rig, backend, device, replicas, BATCH, &plan_training_net, &training_step, NULL));
}

static plan_training train(const char *backend, int device, int replicas) {
    plan_training result;
    OK(plan_train_steps(backend, device, replicas, BATCH, STEPS, &training_step, NULL, &result));
    return result;
}

/* The memory of a run's inputs. */
typedef struct {
    unsigned char x[MOST_REPLICAS][PIXELS];
    float t[MOST_REPLICAS][PIXELS];
} batch;

static void spoil(batch *b) {
    memset(b->x, 0x55, sizeof b->x);
    memset(b->t, 0, sizeof b->t);
}

static void begin(plan_rig *rig, uint32_t number, batch *b) {
    for (int r = 0; r < rig->replicas; r++) {
        plan_rig_inputs(rig, r, number, b->x[r], b->t[r]);
        OK(p2p_plan_input_from(rig->plan, r, "x", b->x[r]));
        OK(p2p_plan_input_from(rig->plan, r, "t", b->t[r]));
    }
    OK(p2p_plan_run(rig->plan, &(p2p_step){.seed = 7, .step = number, .learning_rate = 2e-3}));
}

/* As the trainer: two steps in flight, and a batch is used again when its step has been waited for; `early`:
 * one run before that. */
static plan_training train_from(const char *backend, int device, int replicas, bool early) {
    plan_training result = {.steps = STEPS};
    plan_rig rig;
    batch *batches = calloc(2, sizeof *batches);
    open_rig(&rig, backend, device, replicas);
    begin(&rig, 0, &batches[0]);
    for (uint32_t s = 1; s <= STEPS; s++) {
        if (early) spoil(&batches[(s - 1) % 2]);
        if (s < STEPS) begin(&rig, s, &batches[s % 2]);
        OK(p2p_plan_wait(rig.plan));
        spoil(&batches[(s - 1) % 2]);
        read_losses(&rig, result.losses[s - 1]);
    }
    OK(plan_rig_parameters(&rig, &result.parameters, &result.count));
    plan_rig_close(&rig);
    free(batches);
    return result;
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

static void expect_same(const char *backend, int device, int replicas) {
    plan_training expected = train(backend, device, replicas),
                  t = train_from(backend, device, replicas, false);
    if (!plan_training_equal(&t, &expected))
        fail_msg("%s:%d, %d replicas: other bits", backend, device, replicas);
    free(expected.parameters);
    free(t.parameters);
}

static void test_same_bits(void **state) {
    (void)state;
    for (int replicas = 1; replicas <= MOST_REPLICAS; replicas++) expect_same("reference", 0, replicas);
    for (int device = 0; device < PICKY_DEVICES; device++) expect_same("picky", device, 1);
}

static void test_late_transfers(void **state) {
    (void)state;
    for (int replicas = 1; replicas <= MOST_REPLICAS; replicas++) {
        plan_training expected = train("reference", 0, replicas);
        plan_training kept = train_from("shuffled", 0, replicas, false);
        plan_training spoiled = train_from("shuffled", 0, replicas, true);
        assert_true(plan_training_equal(&kept, &expected));
        assert_false(plan_training_equal(&spoiled, &expected));
        free(expected.parameters);
        free(kept.parameters);
        free(spoiled.parameters);
    }
}

static double run_once(plan_rig *rig) {
    double loss;
    OK(p2p_plan_run(rig->plan, &(p2p_step){.learning_rate = 0}));
    OK(p2p_plan_wait(rig->plan));
    OK(p2p_plan_loss(rig->plan, "g_l1", &loss));
    return loss;
}

/* The memory counts for one run, and the last call for an input decides. Two kinds of target give two losses.
 */
static void test_one_run(void **state) {
    (void)state;
    plan_rig rig;
    void *x, *t;
    static float black[PIXELS];
    open_rig(&rig, "picky", PICKY_BLOCKED, 1);
    for (int slot = 0; slot < 2; slot++) {
        OK(p2p_plan_input(rig.plan, 0, "x", &x));
        OK(p2p_plan_input(rig.plan, 0, "t", &t));
        plan_rig_inputs(&rig, 0, 0, x, t);
        (void)run_once(&rig);
    }
    const double usual = run_once(&rig);
    assert_true(run_once(&rig) == usual);
    OK(p2p_plan_input_from(rig.plan, 0, "t", black));
    assert_true(run_once(&rig) != usual);
    assert_true(run_once(&rig) == usual);
    OK(p2p_plan_input_from(rig.plan, 0, "t", black));
    OK(p2p_plan_input(rig.plan, 0, "t", &t));
    assert_true(run_once(&rig) == usual);
    OK(p2p_plan_input_from(rig.plan, 0, "t", black));
    p2p_fault_inject(1);
    REFUSED(p2p_plan_run(rig.plan, &(p2p_step){.learning_rate = 0}), P2P_FAILED, "injected");
    p2p_fault_inject(0);
    assert_true(run_once(&rig) == usual);
    plan_rig_close(&rig);
}

static void test_misuse(void **state) {
    (void)state;
    plan_rig rig;
    unsigned char x[1] = {0};
    void *memory = x;
    open_rig(&rig, "reference", 0, 1);
    REFUSED(p2p_plan_input_from(rig.plan, 0, "nothing", x), P2P_INVALID, "has no input nothing");
    REFUSED(p2p_plan_input_from(rig.plan, 1, "x", x), P2P_INVALID, "no replica 1");
    REFUSED(p2p_plan_input_from(rig.plan, -1, "x", x), P2P_INVALID, "no replica -1");
    REFUSED(p2p_plan_input_from(rig.plan, 0, "x", NULL), P2P_INVALID, "no memory for input x");
    REFUSED(p2p_session_host_alloc(rig.session, 1, 1, &memory), P2P_INVALID, "no replica 1");
    assert_null(memory);
    p2p_session_host_free(rig.session, NULL);
    plan_rig_close(&rig);
}

/* ---- Host memory -------------------------------------------------------------------------------------- */

enum { PIECES = 9, BYTES = 1000 };

/* Memory of the device's kind, or of malloc's. What is not freed ends with the session. */
static void test_host_memory(void **state) {
    (void)state;
    static const unsigned char zeros[BYTES];
    for (int failing = 0; failing < 2; failing++) {
        plan_rig rig;
        unsigned char *pieces[PIECES];
        open_rig(&rig, "picky", PICKY_EASY, 1);
        const int before = picky_host_pieces();
        picky_fail(failing ? PICKY_FAILS_HOST_MEMORY : PICKY_FAILS_NOTHING);
        for (int i = 0; i < PIECES; i++) {
            void *memory;
            OK(p2p_session_host_alloc(rig.session, 0, BYTES, &memory));
            pieces[i] = memory;
            assert_memory_equal(pieces[i], zeros, BYTES);
            memset(pieces[i], i, BYTES);
        }
        assert_int_equal(picky_host_pieces(), failing ? before : before + PIECES);
        for (int i = 0; i < PIECES; i += 2) p2p_session_host_free(rig.session, pieces[i]);
        for (int i = 1; i < PIECES; i += 2) assert_int_equal(pieces[i][BYTES - 1], i);
        assert_int_equal(picky_host_pieces(), failing ? before : before + PIECES / 2);
        plan_rig_close(&rig);
        assert_int_equal(picky_host_pieces(), 0);
        picky_fail(PICKY_FAILS_NOTHING);
    }
}

/* Freeing waits for a run that has not read the memory yet. */
static void test_free_waits(void **state) {
    (void)state;
    double losses[2][LOSSES];
    for (int late = 0; late < 2; late++) {
        plan_rig rig;
        void *x, *t;
        open_rig(&rig, "shuffled", 0, 1);
        OK(p2p_session_host_alloc(rig.session, 0, PIXELS, &x));
        OK(p2p_session_host_alloc(rig.session, 0, PIXELS * sizeof(float), &t));
        plan_rig_inputs(&rig, 0, 3, x, t);
        OK(p2p_plan_input_from(rig.plan, 0, "x", x));
        OK(p2p_plan_input_from(rig.plan, 0, "t", t));
        OK(p2p_plan_run(rig.plan, &(p2p_step){.learning_rate = 0}));
        if (late) OK(p2p_plan_wait(rig.plan));
        p2p_session_host_free(rig.session, x);
        p2p_session_host_free(rig.session, t);
        if (!late) OK(p2p_plan_wait(rig.plan));
        read_losses(&rig, losses[late]);
        plan_rig_close(&rig);
    }
    assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
}

int main(void) {
    OK(p2p_module_register(picky_module));
    OK(p2p_module_register(shuffled_module));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),   cmocka_unit_test(test_late_transfers),
        cmocka_unit_test(test_one_run),     cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_host_memory), cmocka_unit_test(test_free_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
