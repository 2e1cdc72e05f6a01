/* The plans of the full networks (256x256, 64 filters) at batch 1, 4 and 16 on four kinds of hardware,
 * compared with committed text: a lost fusion, a new copy or more memory shows as a difference. With
 * P2P_UPDATE_GOLDEN=1 in the environment the text is written instead. Nothing is computed.
 */
#include "pix2pix.h"
#include "plan/session.h"
#include "support/null_backend.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"
#include "support/test_text.h"

/* ---- The text ----------------------------------------------------------------------------------------- */

/* Prints the training and the translation plan of a session: all operations at batch 1, figures at every
 * batch. */
static void print_batch(const pix2pix *model, p2p_device *device, bool bf16, int64_t batch, FILE *stream) {
    p2p_session *session = NULL;
    p2p_graph *training = NULL, *translation = NULL;
    p2p_plan *training_plan = NULL, *translation_plan = NULL;
    pix2pix_graph_options options = pix2pix_graph_options_for(model, batch);
    OK(pix2pix_graph_train(model, &options, &training));
    OK(pix2pix_graph_evaluate(model, &options, false, &translation));
    OK(p2p_session_create(&device, 1,
                          &(p2p_session_options){.precision = bf16 ? P2P_PRECISION_bf16 : P2P_PRECISION_fp32},
                          &session));
    OK(p2p_session_plan(session, "training", &training, &training_plan));
    OK(p2p_session_plan(session, "translation", &translation, &translation_plan));
    if (batch == 1) {
        OK(p2p_plan_print(training_plan, stream));
        fprintf(stream, "\n");
        OK(p2p_plan_print(translation_plan, stream));
    } else {
        OK(plan_print_summary(training_plan, stream));
        fprintf(stream, "\n");
        OK(plan_print_summary(translation_plan, stream));
    }
    p2p_session_destroy(session);
    p2p_graph_destroy(training);
    p2p_graph_destroy(translation);
}

static char *plan_text(int profile, bool bf16) {
    static const int64_t batches[] = {1, 4, 16};
    char *text = NULL, address[32];
    size_t size = 0;
    pix2pix *model = NULL;
    p2p_device *device = NULL;
    pix2pix_config config = pix2pix_config_default();
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    snprintf(address, sizeof address, "null:%d", profile);
    OK(p2p_device_open(address, &device));
    OK(pix2pix_create(&model, &config));
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        fprintf(stream, "%s==== batch %d ====\n\n", i == 0 ? "" : "\n", (int)batches[i]);
        print_batch(model, device, bf16, batches[i], stream);
    }
    pix2pix_destroy(model);
    p2p_device_close(device);
    fclose(stream);
    return text;
}

/* ---- Comparison --------------------------------------------------------------------------------------- */

/* Fails with the first line that differs. */
static void expect_same_text(const char *path, const char *text, const char *expected) {
    int line = 1;
    while (*text && *text == *expected) {
        line += *text == '\n';
        text++, expected++;
    }
    if (*text == *expected) return;
    fail_msg("%s:%d: the plan changed: '%.*s' instead of '%.*s' (from the first difference on); "
             "P2P_UPDATE_GOLDEN=1 accepts it",
             path, line, (int)strcspn(text, "\n"), text, (int)strcspn(expected, "\n"), expected);
}

static void compare_text(const char *name, char *text) {
    char file[64];
    snprintf(file, sizeof file, "plan_%s.txt", name);
    const char *path = test_golden(file);
    const char *update = getenv("P2P_UPDATE_GOLDEN");
    if (update && strcmp(update, "1") == 0) {
        test_file_write(path, text, strlen(text));
    } else {
        size_t size;
        char *expected = (char *)test_file_read(path, &size);
        expect_same_text(path, text, expected);
        free(expected);
    }
    free(text);
}

static void compare_profile(int profile, bool bf16, const char *name) {
    compare_text(name, plan_text(profile, bf16));
}

static void test_plain(void **state) {
    (void)state;
    compare_profile(NULL_PLAIN, false, "plain");
}

static void test_nchw16c(void **state) {
    (void)state;
    compare_profile(NULL_NCHW16C, false, "nchw16c");
}

static void test_nhwc8_bf16(void **state) {
    (void)state;
    compare_profile(NULL_NHWC8_BF16, true, "nhwc8_bf16");
}

/* All activations and their gradients, and nothing else, are stored in bf16 and take half the memory. */
static void test_nchw16c_gpu(void **state) {
    (void)state;
    compare_profile(NULL_NCHW16C_GPU, true, "nchw16c_gpu_bf16");
}

enum { MOST_REPLICAS = 4 };

/* The training plan in bf16 of replicas of 8 images each. The caller frees it. */
static char *replicas_text(int replicas) {
    char *text = NULL;
    size_t size = 0;
    pix2pix *model = NULL;
    p2p_device *devices[MOST_REPLICAS];
    p2p_session *session = NULL;
    p2p_graph *graphs[MOST_REPLICAS];
    p2p_plan *plan = NULL;
    pix2pix_config config = pix2pix_config_default();
    const p2p_session_options bf16 = {.precision = P2P_PRECISION_bf16};
    OK(pix2pix_create(&model, &config));
    pix2pix_graph_options options = pix2pix_graph_options_for(model, 8);
    options.global_batch = 8 * replicas;
    options.world = replicas;
    for (int r = 0; r < replicas; r++) {
        OK(p2p_device_open("null:2", &devices[r]));
        OK(pix2pix_graph_train(model, &options, &graphs[r]));
    }
    OK(p2p_session_create(devices, replicas, &bf16, &session));
    OK(p2p_session_plan(session, "training", graphs, &plan));
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    OK(p2p_plan_print(plan, stream));
    fclose(stream);
    p2p_session_destroy(session);
    for (int r = 0; r < replicas; r++) {
        p2p_graph_destroy(graphs[r]);
        p2p_device_close(devices[r]);
    }
    pix2pix_destroy(model);
    return text;
}

/* Gradients in buckets during the backward pass, updates bucket by bucket. */
static void test_replicas(void **state) {
    (void)state;
    compare_text("nhwc8_bf16_replicas", replicas_text(2));
}

/* The communicator sums bf16 of two replicas, but not of four: the gradients of four are stored in f32, and
 * none passes through host memory. */
static void test_gradients_are_stored_as_they_are_summed(void **state) {
    (void)state;
    char *two = replicas_text(2), *four = replicas_text(4);
    assert_true(count_text(two, " all_reduce y=bf16:") > 0);
    assert_int_equal(count_text(four, " all_reduce y=bf16:"), 0);
    assert_true(count_text(four, " all_reduce y=f32:") >= count_text(two, " all_reduce y="));
    free(two);
    free(four);
}

/* ---- Precision ---------------------------------------------------------------------------------------- */

/* The number of lines of convolutions with `what` in a training plan in bf16, on a pretend device. */
static int count_in_bf16(p2p_session *session, const pix2pix *model, const char *what, int *convolutions) {
    char *text = NULL;
    size_t size = 0;
    p2p_graph *graph = NULL;
    p2p_plan *plan = NULL;
    int count = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    pix2pix_graph_options options = pix2pix_graph_options_for(model, 1);
    OK(pix2pix_graph_train(model, &options, &graph));
    OK(p2p_session_plan(session, "training", &graph, &plan));
    OK(p2p_plan_print(plan, stream));
    fclose(stream);
    *convolutions = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (!strstr(line, " conv_") || !strchr(line, '=')) continue;
        (*convolutions)++;
        count += strstr(line, what) != NULL;
    }
    p2p_graph_destroy(graph);
    free(text);
    return count;
}

/* Every convolution whose first operand fills a block of channels is in bf16; the others do not change. */
static void test_refused_in_bf16_stays_in_f32(void **state) {
    (void)state;
    pix2pix *model = NULL;
    p2p_device *device = NULL;
    p2p_session *session = NULL;
    pix2pix_config config = pix2pix_config_default();
    const p2p_session_options options = {.precision = P2P_PRECISION_bf16};
    int convolutions = 0;
    OK(pix2pix_create(&model, &config));
    OK(p2p_device_open("null:1", &device));
    OK(p2p_session_create(&device, 1, &options, &session));
    const int in_bf16 = count_in_bf16(session, model, "math=bf16", &convolutions);
    /* Forward 16 of the generator and 3 times 5 of the discriminator; backward 16 filters and 15 inputs of
     * the generator, twice 5 and 4 of the discriminator, and its 5 inputs once more. Of these read less than
     * 16 channels first: the first layers forward (1 + 3) and their filter gradients (1 + 2), both gradients
     * of the generator's last layer, and the gradients into the discriminator's last layer (3). */
    assert_int_equal(convolutions, 16 + 3 * 5 + 16 + 15 + 2 * 9 + 5);
    assert_int_equal(convolutions - in_bf16, 1 + 3 + 1 + 2 + 2 + 3);
    p2p_session_destroy(session);
    p2p_device_close(device);
    pix2pix_destroy(model);
}

static void test_a_device_without_bf16_is_refused(void **state) {
    (void)state;
    p2p_device *device = NULL;
    p2p_session *session = NULL;
    const p2p_session_options options = {.precision = P2P_PRECISION_bf16};
    OK(p2p_device_open("null:0", &device));
    assert_int_equal(p2p_session_create(&device, 1, &options, &session), P2P_UNSUPPORTED);
    MESSAGE_HAS("null:0 has no bf16: it is too plain");
    p2p_device_close(device);
}

/* Two devices with equal storage in float32 and different storage in bf16. */
static void test_replicas_store_alike(void **state) {
    (void)state;
    p2p_device *devices[2];
    p2p_session *session = NULL;
    OK(p2p_device_open("null:1", &devices[0]));
    OK(p2p_device_open("null:3", &devices[1]));
    OK(p2p_session_create(devices, 2, NULL, &session));
    p2p_session_destroy(session);
    const p2p_session_options options = {.precision = P2P_PRECISION_bf16};
    assert_int_equal(p2p_session_create(devices, 2, &options, &session), P2P_UNSUPPORTED);
    MESSAGE_HAS("null:1 and null:3 store tensors differently");
    assert_string_equal(p2p_message_hint(), "choose devices of one backend");
    for (int i = 0; i < 2; i++) p2p_device_close(devices[i]);
}

int main(void) {
    OK(p2p_module_register(null_module));
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain),
                                       cmocka_unit_test(test_nchw16c),
                                       cmocka_unit_test(test_nhwc8_bf16),
                                       cmocka_unit_test(test_replicas),
                                       cmocka_unit_test(test_gradients_are_stored_as_they_are_summed),
                                       cmocka_unit_test(test_nchw16c_gpu),
                                       cmocka_unit_test(test_refused_in_bf16_stays_in_f32),
                                       cmocka_unit_test(test_a_device_without_bf16_is_refused),
                                       cmocka_unit_test(test_replicas_store_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
