/* Generated pictures, as in validation, `p2p test` and `p2p translate`: the result of a picture has
 * the same bits in a batch of any size and at any place in it, with dropout, with its own statistics and with
 * running ones.
 *
 *     test_evaluate reference|opencl
 *
 * Algorithms of a convolution round differently, and the fastest depends on the batch. So OpenCL also runs
 * sizes and widths for which it would choose different ones for different batches.
 */
#include "pix2pix.h"
#include "use/evaluate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

static const char *device_address;
static bool bf16; /* of all sessions */

/* A generator with random weights, run in batches of one size. */
typedef struct {
    pix2pix *model;
    p2p_device *device;
    p2p_graph *graph;
    p2p_session *session;
    evaluator evaluator;
} setup;

static void open_setup(setup *s, const pix2pix_config *config, p2p_norm_stats_over statistics, int batch) {
    OK(pix2pix_create_translator(&s->model, config));
    OK(p2p_device_open(device_address, &s->device));
    pix2pix_graph_options options = pix2pix_graph_options_for(s->model, batch);
    options.statistics = statistics;
    OK(pix2pix_graph_evaluate(s->model, &options, false, &s->graph));
    OK(p2p_session_create(&s->device, 1,
                          &(p2p_session_options){.precision = bf16 ? P2P_PRECISION_bf16 : P2P_PRECISION_fp32},
                          &s->session));
    /* 16 bits show differences that 8 would round away. */
    s->evaluator = (evaluator){.batch = batch,
                               .width = (int)config->width,
                               .height = (int)config->height,
                               .format = {.input = IMAGE_RGB8, .target = {.channels = 3, .bits = 16}}};
    OK(p2p_session_plan(s->session, "evaluation", &s->graph, &s->evaluator.plan));
    OK(p2p_session_allocate(s->session, NULL, NULL));
    OK(p2p_session_initialise(s->session, s->model->generator.network, 3));
}

static void close_setup(setup *s) {
    p2p_session_destroy(s->session);
    p2p_graph_destroy(s->graph);
    p2p_device_close(s->device);
    pix2pix_destroy(s->model);
}

enum { PICTURES = 16 };

static const char *const names[PICTURES] = {"0", "1", "2",  "3",  "4",  "5",  "6",  "7",
                                            "8", "9", "10", "11", "12", "13", "14", "15"};

static void draw_pictures(image *pictures, int width, int height) {
    uint32_t noise = 1;
    for (int i = 0; i < PICTURES; i++) {
        OK(image_create(&pictures[i], width, height, IMAGE_RGB8));
        uint8_t *samples = pictures[i].pixels;
        for (int j = 0; j < width * height * 3; j++) {
            noise = noise * 1664525u + 1013904223u;
            samples[j] = (uint8_t)((j / 7 * (i + 1) + (int)(noise >> 28)) & 255);
        }
    }
}

/* All pictures, `batch` at a time; the last run is smaller if PICTURES is not a multiple. */
static void run_all(const pix2pix_config *config, p2p_norm_stats_over statistics, int batch,
                    const image *pictures, image *results) {
    setup s;
    open_setup(&s, config, statistics, batch);
    for (int first = 0; first < PICTURES; first += batch)
        OK(evaluate_pictures(&s.evaluator, PICTURES - first < batch ? PICTURES - first : batch,
                             pictures + first, names + first, results + first));
    close_setup(&s);
}

static int difference(const image *a, const image *b) {
    const uint16_t *left = a->pixels, *right = b->pixels;
    int most = 0;
    for (int i = 0; i < a->width * a->height * 3; i++) {
        const int d = abs(left[i] - right[i]);
        if (d > most) most = d;
    }
    return most;
}

static void check_batches(int64_t side, int depth, int64_t ngf, p2p_norm_stats_over statistics) {
    pix2pix_config config = pix2pix_config_default();
    config.height = side;
    config.width = 2 * side;
    config.depth = depth;
    config.ngf = ngf;
    image pictures[PICTURES], alone[PICTURES], together[PICTURES];
    draw_pictures(pictures, (int)config.width, (int)config.height);
    run_all(&config, statistics, 1, pictures, alone);
    assert_int_not_equal(difference(&alone[0], &alone[1]), 0);
    static const int batches[] = {3, 16};
    for (int b = 0; b < 2; b++) {
        run_all(&config, statistics, batches[b], pictures, together);
        for (int i = 0; i < PICTURES; i++) {
            const int d = difference(&alone[i], &together[i]);
            if (d != 0)
                fail_msg("side %d, ngf %d: picture %d differs by %d in a batch of %d", (int)side, (int)ngf, i,
                         d, batches[b]);
            image_free(&together[i]);
        }
    }
    for (int i = 0; i < PICTURES; i++) {
        image_free(&pictures[i]);
        image_free(&alone[i]);
    }
}

static void test_image_statistics(void **state) {
    (void)state;
    check_batches(64, 6, 2, P2P_STATS_IMAGE);
}

static void test_running_statistics(void **state) {
    (void)state;
    check_batches(64, 6, 2, P2P_STATS_RUNNING);
}

/* Widths and sides for which Winograd is faster from some batch on, and small maps. */
static void test_choices_of_algorithm(void **state) {
    (void)state;
    check_batches(64, 6, 16, P2P_STATS_IMAGE);
}

/* Make all elements of a parameter NaN, as they would not be in a file. */
static void spoil(const setup *s, p2p_param param) {
    p2p_network *network = s->model->generator.network;
    const size_t elements = (size_t)p2p_param_elements(p2p_network_param(network, param));
    double *values = calloc(elements, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < elements; i++) values[i] = NAN;
    OK(p2p_session_write(s->session, network, param, P2P_STATE_VALUE, P2P_TYPE_f64, values));
    free(values);
}

/* What is not a number in any layer is never drawn as black: the model and the picture are named. */
static void test_not_finite(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    image pictures[PICTURES], result;
    setup s;
    config.height = config.width = 16;
    config.depth = 3;
    config.ngf = 2;
    draw_pictures(pictures, 16, 16);
    open_setup(&s, &config, P2P_STATS_IMAGE, 1);
    s.evaluator.model = "some/model";
    p2p_network *network = s.model->generator.network;
    for (int p = 0; p < p2p_network_param_count(network); p++) {
        if (p2p_network_param(network, (p2p_param){p})->kind == P2P_PARAM_RUNNING) continue; /* not used */
        OK(p2p_session_initialise(s.session, network, 3));
        OK(evaluate_pictures(&s.evaluator, 1, pictures + 7, names + 7, &result));
        image_free(&result);
        spoil(&s, (p2p_param){p});
        REFUSED(evaluate_pictures(&s.evaluator, 1, pictures + 7, names + 7, &result), P2P_DIVERGED,
                "some/model can't draw 7: of the 768 samples of the result 768 are not finite numbers");
        assert_null(result.pixels);
    }
    close_setup(&s);
    for (int i = 0; i < PICTURES; i++) image_free(&pictures[i]);
}

static bool has_bf16(void) {
    p2p_device *device;
    p2p_session *session = NULL;
    OK(p2p_device_open(device_address, &device));
    const p2p_session_options options = {.precision = P2P_PRECISION_bf16};
    const bool has = p2p_session_create(&device, 1, &options, &session) == P2P_OK;
    p2p_session_destroy(session);
    p2p_device_close(device);
    return has;
}

/* On a CPU without the instructions in the portable form. */
static void test_bf16(void **state) {
    (void)state;
    if (!has_bf16()) setenv("P2P_OPENCL_BF16", "portable", 1);
    if (!has_bf16()) fail_msg("%s", p2p_message());
    bf16 = true;
    check_batches(64, 6, 16, P2P_STATS_IMAGE);
    bf16 = false;
    unsetenv("P2P_OPENCL_BF16");
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    device_address = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image_statistics),     cmocka_unit_test(test_running_statistics),
        cmocka_unit_test(test_not_finite),           cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_choices_of_algorithm), /* the reference has one */
    };
    const size_t count = sizeof tests / sizeof tests[0] - (strcmp(device_address, "reference") == 0);
    return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}
