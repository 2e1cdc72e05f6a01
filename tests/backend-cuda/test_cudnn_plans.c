/* The convolutions of both full networks (U-Net 256 and PatchGAN, 64 filters), as the core's planner makes
 * them, planned by the real cuDNN for cards that are not there: every descriptor and every plan is finalized,
 * each convolution has a deterministic algorithm within the limit of workspace, and its name makes the same
 * plan again. Nothing is computed.
 *
 *   test_cudnn_plans LIBRARY [print]
 *
 * LIBRARY is the path of libcudnn.so.9. With `print` the algorithms are written instead of tested. Versions
 * up to 9.10 also plan for cards that later ones have dropped.
 */
#include "planned_cards.h"

#include "plan/cuda_plan_conv.h"

#include "device/device.h"
#include "pix2pix.h"
#include "plan/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"

enum { LAST_WITH_OLD_CARDS = 91100, MOST_CONVOLUTIONS = 256 };

static const int64_t batches[] = {1, 4, 16, 64};
static bool printing;

/* ---- The convolutions of a training and a translation
 * ------------------------------------------------------ */

typedef struct {
    p2p_op conv[MOST_CONVOLUTIONS]; /* as cuDNN gets them, each once */
    int count;
} convolutions;

/* Adds the convolutions of the operation's plan. */
static void add_steps(const cuda_target *target, const p2p_op *op, convolutions *all) {
    cuda_plan plan = {0};
    OK(cuda_plan_conv(target, op, &plan));
    assert_int_equal(plan.answer.filter_need, P2P_FILTER_AS_QUERIED);
    for (int s = 0; s < plan.step_count; s++) {
        if (plan.step[s].kind != CUDA_STEP_CONV) continue;
        int i = 0;
        while (i < all->count && !p2p_op_equal(&all->conv[i], &plan.step[s].conv.conv)) i++;
        if (i < all->count) continue;
        assert_true(all->count < MOST_CONVOLUTIONS);
        all->conv[all->count++] = plan.step[s].conv.conv;
    }
}

static void add_part(const cuda_target *target, const plan_part *part, convolutions *all) {
    for (int s = 0; s < part->step_count; s++)
        if (p2p_op_is_convolution(&part->steps[s].op)) add_steps(target, &part->steps[s].op, all);
}

static void plan_networks(const cuda_target *target, p2p_precision precision, int64_t batch,
                          convolutions *all) {
    pix2pix *model;
    p2p_device *device;
    p2p_session *session;
    p2p_graph *training, *translation;
    p2p_plan *plans[2];
    const pix2pix_config config = pix2pix_config_default();
    planned_module_set(target);
    OK(p2p_device_open("planned:0", &device));
    OK(pix2pix_create(&model, &config));
    const pix2pix_graph_options options = pix2pix_graph_options_for(model, batch);
    OK(pix2pix_graph_train(model, &options, &training));
    OK(pix2pix_graph_evaluate(model, &options, false, &translation));
    OK(p2p_session_create(&device, 1, &(p2p_session_options){.precision = precision}, &session));
    OK(p2p_session_plan(session, "training", &training, &plans[0]));
    OK(p2p_session_plan(session, "translation", &translation, &plans[1]));
    for (int i = 0; i < 2; i++) add_part(target, &plans[i]->parts[0], all);
    p2p_session_destroy(session);
    p2p_graph_destroy(training);
    p2p_graph_destroy(translation);
    pix2pix_destroy(model);
    p2p_device_close(device);
}

/* ---- Checks
 * ------------------------------------------------------------------------------------------------ */

typedef struct {
    int planned, without;         /* convolutions with and without an algorithm */
    int lists[CUDA_ENGINE_LISTS]; /* which list has the algorithm */
    size_t workspace, name;       /* the largest and the longest */
} summary;

/* The list that has an algorithm of this name. */
static int list_of(cuda_algorithms *algorithms, const cuda_algorithm *a) {
    for (int l = 0; l < CUDA_ENGINE_LISTS; l++) {
        cuda_engine_list list;
        OK(cuda_engine_list_make(&algorithms->card, &a->graph, cuda_engine_lists[l], &list));
        bool found = false;
        for (int i = 0; i < list.count; i++) found |= strcmp(list.engine[i].name, a->engine.name) == 0;
        cuda_engine_list_release(&list);
        if (found) return l;
    }
    fail_msg("%s is in no list", a->engine.name);
    return 0;
}

/* The name makes the same plan again, in a table that knows nothing. */
static void check_round_trip(const planned_card *card, const p2p_op *conv, const cuda_algorithm *first) {
    cuda_algorithms again;
    cuda_algorithm *found;
    OK(planned_open(card, &again));
    OK(cuda_algorithm_find(&again, conv, first->engine.name, &found));
    assert_string_equal(found->engine.name, first->engine.name);
    assert_int_equal(found->workspace_bytes, first->workspace_bytes);
    planned_release(&again);
}

static void check_convolution(const planned_card *card, cuda_algorithms *algorithms, const p2p_op *conv,
                              summary *sum) {
    char text[P2P_OP_TEXT];
    cuda_algorithm *a;
    p2p_op_print(conv, text, sizeof text);
    const p2p_status status = cuda_algorithm_find(algorithms, conv, "", &a);
    if (status != P2P_OK) {
        printf("%s: %s: %s\n", card->name, text, p2p_message());
        sum->without++;
        return;
    }
    sum->planned++;
    if (a->workspace_bytes > sum->workspace) sum->workspace = a->workspace_bytes;
    if (strlen(a->engine.name) > sum->name) sum->name = strlen(a->engine.name);
    if (printing) printf("%s\t%zu\t%s\n", a->engine.name, a->workspace_bytes, text);
    sum->lists[list_of(algorithms, a)]++;
    OK(cuda_engine_admit(&algorithms->card, conv, &a->engine));
    assert_true(a->workspace_bytes <= CUDA_WORKSPACE);
    check_round_trip(card, conv, a);
}

static summary check_networks(const planned_card *card, p2p_precision precision, int64_t batch) {
    summary sum = {0};
    cuda_algorithms algorithms;
    OK(planned_open(card, &algorithms));
    const cuda_target target = planned_target(card, &algorithms);
    convolutions *all = calloc(1, sizeof *all);
    assert_non_null(all);
    plan_networks(&target, precision, batch, all);
    for (int i = 0; i < all->count; i++) check_convolution(card, &algorithms, &all->conv[i], &sum);
    free(all);
    planned_release(&algorithms);
    printf("%s %s batch %d: %d convolutions, %d without; lists A %d, B %d, FALLBACK %d; workspace %.1f MiB; "
           "name %zu\n",
           card->name, p2p_precision_name(precision), (int)batch, sum.planned, sum.without, sum.lists[0],
           sum.lists[1], sum.lists[2], (double)sum.workspace / 1048576, sum.name);
    return sum;
}

static bool is_planned(const planned_card *card) {
    return !card->old || cuda_dnn.cudnnGetVersion() < LAST_WITH_OLD_CARDS;
}

static void test_networks(void **state) {
    (void)state;
    for (int c = 0; c < PLANNED_CARDS; c++)
        for (p2p_precision p = 0; p < P2P_PRECISION_COUNT; p++)
            for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
                if (!is_planned(&planned_cards[c]) || !planned_card_has(&planned_cards[c], p)) continue;
                const summary sum = check_networks(&planned_cards[c], p, batches[b]);
                assert_int_equal(sum.without, 0);
                assert_true(sum.planned > 40);
            }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks)};
    if (argc < 2) return 2;
    printing = argc > 2 && strcmp(argv[2], "print") == 0;
    cuda_host = p2p_host_services();
    if (!planned_library(argv[1]) || p2p_module_register(planned_module) != P2P_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
