/* The convolutions of both full networks (U-Net 256 and PatchGAN, 64 filters), as the core's planner makes
 * them, planned by the real cuDNN for absent cards: every descriptor and every plan is finalized,
 * each convolution has a deterministic algorithm within the limit of workspace, and its name makes the same
 * plan again. Nothing is computed.
 *
 *   test_cudnn_plans LIBRARY [print|others]
 *
 * LIBRARY is the path of libcudnn.so.9. With `print` the algorithms are written instead of tested; `others`
 * plans for further cards, and for pictures of 1024 pixels, where a batch of 64 has tensors of 2^31 elements.
 * Versions up to 9.10 also plan for cards that later ones have dropped.
 */
#include "planned_cards.h"

#include "plan/cuda_plan_conv.h"

#include "device/device.h"
#include "pix2pix.h"
#include "plan/session.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"

enum { MOST_CONVOLUTIONS = 256 };

static const int64_t batches[] = {1, 4, 16, 64};
static bool printing, others;

/* ---- The convolutions of a training and a translation ---------------------------------------------- */

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

static void plan_networks(const cuda_target *target, p2p_precision precision, int64_t side, int64_t batch,
                          convolutions *all) {
    pix2pix *model;
    p2p_device *device;
    p2p_session *session;
    p2p_graph *training, *translation;
    p2p_plan *plans[2];
    pix2pix_config config = pix2pix_config_default();
    config.height = config.width = side;
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

/* ---- Checks -------------------------------------------------------------------------------------------- */

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

/* Pointers that only have to be aligned. */
static void check_pack(const cuda_algorithm *a) {
    const CUdeviceptr operand[CUDA_DNN_OPERANDS] = {0x10000, 0x20000, 0x30010};
    cudnnBackendDescriptor_t pack;
    OK(cuda_dnn_pack_make(NULL, a->conv.kind, operand, a->workspace_bytes > 0 ? 0x40000 : 0, &pack));
    cuda_dnn_destroy(&pack);
}

/* The name makes the same plan again, in a table that is empty. */
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
    check_pack(a);
    check_round_trip(card, conv, a);
}

static void check_networks(const planned_card *card, p2p_precision precision, int64_t side, int64_t batch,
                           FILE *figures) {
    summary sum = {0};
    cuda_algorithms algorithms;
    OK(planned_open(card, &algorithms));
    const cuda_target target = planned_target(card, &algorithms);
    convolutions *all = calloc(1, sizeof *all);
    assert_non_null(all);
    plan_networks(&target, precision, side, batch, all);
    for (int i = 0; i < all->count; i++) check_convolution(card, &algorithms, &all->conv[i], &sum);
    free(all);
    planned_release(&algorithms);
    assert_int_equal(sum.without, 0);
    assert_true(sum.planned > 40);
    if (others) fprintf(figures, "%4d ", (int)side);
    fprintf(figures, "%-22s %s %4d %4d %4d %4d %4d %8.1f %3zu\n", card->name, p2p_precision_name(precision),
            (int)batch, sum.planned, sum.lists[0], sum.lists[1], sum.lists[2],
            (double)sum.workspace / 1048576, sum.name);
}

static bool is_planned(const planned_card *card) {
    const size_t version = cuda_dnn.cudnnGetVersion();
    return version >= card->first && version <= card->last;
}

/* Compares the figures with the committed ones of this version of cuDNN. With P2P_UPDATE_GOLDEN they are
 * written. */
static void compare_figures(const char *figures, size_t size) {
    char name[64];
    size_t committed_size;
    snprintf(name, sizeof name, "cudnn_%zu%s.txt", cuda_dnn.cudnnGetVersion(), others ? "_others" : "");
    printf("%s", figures);
    const char *update = getenv("P2P_UPDATE_GOLDEN");
    if (update && strcmp(update, "1") == 0) test_file_write(test_golden(name), figures, size);
    FILE *file = fopen(test_golden(name), "r");
    if (!file) {
        printf("no figures are committed for this version of cuDNN\n");
        return;
    }
    fclose(file);
    uint8_t *committed = test_file_read(test_golden(name), &committed_size);
    if (committed_size != size || memcmp(committed, figures, size) != 0)
        fail_msg("the figures differ from tests/golden/%s; P2P_UPDATE_GOLDEN=1 writes them", name);
    free(committed);
}

static void check_card(const planned_card *card, int64_t side, FILE *figures) {
    for (p2p_precision p = 0; p < P2P_PRECISION_COUNT; p++)
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
            if (is_planned(card) && planned_card_has(card, p))
                check_networks(card, p, side, batches[b], figures);
}

static void plans_both_networks(void **state) {
    char *figures = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&figures, &size);
    assert_non_null(stream);
    (void)state;
    if (others) fprintf(stream, "pixels of a side, ");
    fprintf(stream,
            "card, precision, batch; convolutions, of lists A, B, FALLBACK; MiB of workspace, characters of "
            "a name, at most\n\n");
    for (int c = others ? USUAL_CARDS : 0; c < (others ? PLANNED_CARDS : USUAL_CARDS); c++)
        check_card(&planned_cards[c], 256, stream);
    for (int c = 0; c < USUAL_CARDS && others; c++) check_card(&planned_cards[c], 1024, stream);
    fclose(stream);
    compare_figures(figures, size);
    free(figures);
}

/* ---- Refusals and choices -------------------------------------------------------------------------- */

/* A layer of stride 2 with asymmetric padding and channels that do not fill a block. */
#define SHAPE                                                                                                \
    "%s:nhwc8:4x20x17x16 w=%s:krsc8:33x20x4x4 y=%s:nhwc8:4x33x8x8 stride=2 pad_top=1 pad_left=1 pad_right=2"

static p2p_op shape_of(const char *type, p2p_math math) {
    char text[P2P_OP_TEXT];
    p2p_op op;
    snprintf(text, sizeof text, "conv_fwd x=" SHAPE, type, type, type);
    OK(p2p_op_parse(text, &op));
    OK(p2p_op_validate(&op));
    op.math = math;
    return op;
}

static const planned_card *const a100 = &planned_cards[0];

static void refuses_what_is_no_name(void **state) {
    static const char *const names[] = {"e",      "x1",     "e1:",    "e1:2",   "e1:2-",   "e1:2-3_",
                                        "e1 ",    "E1",     "e01",    "e-1",    "e1:2--0", "e1:2-3:4-5",
                                        "e1_2-3", "direct", "e1:a-1", "e1:1-b", "e1:1-1x"};
    const p2p_op op = shape_of("f32", P2P_MATH_tf32);
    char longer[2 * P2P_CHOICE_NAME] = "e1:1-";
    cuda_algorithms algorithms;
    cuda_algorithm *found;
    (void)state;
    OK(planned_open(a100, &algorithms));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        REFUSED(cuda_algorithm_find(&algorithms, &op, names[i], &found), P2P_UNSUPPORTED, "not the name");
    memset(longer + strlen(longer), '1', P2P_CHOICE_NAME);
    REFUSED(cuda_algorithm_find(&algorithms, &op, longer, &found), P2P_UNSUPPORTED, "not the name");
    REFUSED(cuda_algorithm_find(&algorithms, &op, "e999999", &found), P2P_UNSUPPORTED, "CUDNN_STATUS_");
    REFUSED(cuda_algorithm_find(&algorithms, &op, "e999999", &found), P2P_UNSUPPORTED, "CUDNN_STATUS_");
    REFUSED(cuda_algorithm_find(&algorithms, &op, "e0:43-999999", &found), P2P_UNSUPPORTED, "CUDNN_STATUS_");
    planned_release(&algorithms);
}

/* The engines of all lists that are not admitted for a reason that contains `why`. */
static int count_refused(cuda_algorithms *algorithms, const p2p_op *op, const char *why) {
    int count = 0;
    cuda_dnn_graph graph;
    OK(cuda_dnn_graph_make(&algorithms->card, op, &graph));
    for (int l = 0; l < CUDA_ENGINE_LISTS; l++) {
        cuda_engine_list list;
        OK(cuda_engine_list_make(&algorithms->card, &graph, cuda_engine_lists[l], &list));
        for (int i = 0; i < list.count; i++)
            count += cuda_engine_admit(&algorithms->card, op, &list.engine[i]) == P2P_UNSUPPORTED &&
                     strstr(p2p_message(), why) != NULL;
        cuda_engine_list_release(&list);
    }
    cuda_dnn_graph_release(&graph);
    return count;
}

static void admits_engines_by_their_notes(void **state) {
    const p2p_op strict = shape_of("f32", P2P_MATH_stored), tf32 = shape_of("f32", P2P_MATH_tf32);
    p2p_op filter = {.kind = P2P_KIND_conv_bwd_filter, .stride = 2};
    cuda_algorithms algorithms;
    cuda_algorithm *found;
    (void)state;
    OK(planned_open(a100, &algorithms));
    assert_true(count_refused(&algorithms, &strict, "tensor cores round") > 0);
    assert_int_equal(count_refused(&algorithms, &tf32, "tensor cores round"), 0);
    OK(p2p_op_parse(
        "conv_bwd_filter x=f32:nhwc8:4x64x32x32 dy=f32:nhwc8:4x128x16x16 dw=f32:krsc8:128x64x4x4 stride=2 "
        "pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
        &filter));
    assert_true(count_refused(&algorithms, &filter, "differ from run to run") > 0);
    /* An engine of tf32, by name. */
    OK(cuda_algorithm_find(&algorithms, &tf32, "", &found));
    REFUSED(cuda_algorithm_choose(&algorithms, &strict, found->engine.name), P2P_UNSUPPORTED,
            "tensor cores round");
    planned_release(&algorithms);
}

static void lists_engines_once(void **state) {
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
    const p2p_op op = shape_of("bf16", P2P_MATH_stored);
    cuda_algorithms algorithms;
    cuda_algorithm *found;
    int count;
    (void)state;
    OK(planned_open(a100, &algorithms));
    OK(cuda_algorithm_list(&algorithms, &op, names, &count));
    assert_in_range(count, 2, P2P_MOST_CHOICES);
    OK(cuda_algorithm_find(&algorithms, &op, "", &found));
    assert_string_equal(names[0], found->engine.name);
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) assert_string_not_equal(names[i], names[j]);
        OK(cuda_algorithm_find(&algorithms, &op, names[i], &found));
    }
    planned_release(&algorithms);
}

static void keeps_choices(void **state) {
    enum { Y = P2P_AT_conv_fwd_y };
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME], name[P2P_CHOICE_NAME];
    p2p_op op = shape_of("f32", P2P_MATH_tf32), other = op, adding = op;
    cuda_algorithms algorithms;
    cuda_algorithm *found;
    size_t workspace;
    int count;
    (void)state;
    other.t[P2P_AT_conv_fwd_x].n = other.t[Y].n = 2;
    adding.accumulate = 1u << Y;
    OK(planned_open(a100, &algorithms));
    OK(cuda_algorithm_list(&algorithms, &op, names, &count));
    OK(cuda_algorithm_choose(&algorithms, &op, names[count - 1]));
    OK(cuda_algorithm_plan(&algorithms, &op, &workspace, name));
    assert_string_equal(name, names[count - 1]);
    if (cuda_algorithm_plan(&algorithms, &adding, &workspace, name) == P2P_OK)
        assert_string_equal(name, names[count - 1]);
    OK(cuda_algorithm_plan(&algorithms, &other, &workspace, name));
    OK(cuda_algorithm_find(&algorithms, &other, "", &found));
    assert_string_equal(name, found->engine.name); /* another convolution has no choice */
    REFUSED(cuda_algorithm_choose(&algorithms, &op, "e999999"), P2P_UNSUPPORTED, "CUDNN_STATUS_");
    assert_string_equal(cuda_algorithm_chosen(&algorithms, &op), names[count - 1]);
    cuda_algorithms_forget(&algorithms);
    assert_string_equal(cuda_algorithm_chosen(&algorithms, &op), names[count - 1]);
    OK(cuda_algorithm_choose(&algorithms, &op, ""));
    OK(cuda_algorithm_plan(&algorithms, &op, &workspace, name));
    assert_string_equal(name, names[0]);
    planned_release(&algorithms);
}

static void keeps_refusals(void **state) {
    p2p_op op = shape_of("f32", P2P_MATH_stored);
    cuda_algorithms algorithms;
    cuda_algorithm *found;
    (void)state;
    op.t[P2P_AT_conv_fwd_y].h = 9; /* is not the extent that follows */
    OK(planned_open(a100, &algorithms));
    for (int i = 0; i < 2; i++)
        REFUSED(cuda_algorithm_find(&algorithms, &op, "", &found), P2P_UNSUPPORTED, "CUDNN_STATUS_BAD_PARAM");
    planned_release(&algorithms);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_name), cmocka_unit_test(admits_engines_by_their_notes),
        cmocka_unit_test(lists_engines_once),      cmocka_unit_test(keeps_choices),
        cmocka_unit_test(keeps_refusals),          cmocka_unit_test(plans_both_networks),
    };
    if (argc < 2) return 2;
    printing = argc > 2 && strcmp(argv[2], "print") == 0;
    others = argc > 2 && strcmp(argv[2], "others") == 0;
    cuda_host = p2p_host_services();
    if (!planned_library(argv[1]) || p2p_module_register(planned_module) != P2P_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
