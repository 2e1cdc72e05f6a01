/* Tiny trainings against PyTorch's in double precision (golden/make_golden.py): every layer, gradient, loss,
 * weight, running statistic and moment, and translations after training.
 *
 *     test_golden reference|opencl|cuda [bf16]
 *
 * Differences are ||a - b|| / ||b|| per tensor, and exactly zero where PyTorch's is zero; bounds are in
 * error_budget.h. Parameters whose true gradient is zero are excluded by name (listed in the files); only
 * their gradients are checked. Dropout's masks differ between programs, so its position is checked in the
 * graph instead.
 */
#include "graph/ir.h"
#include "model_file.h"
#include "support/error_budget.h"
#include "support/test_files.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "safetensors_values.h"
#include "support/test_plan.h"

static const char *device_address;
static bool bf16; /* all sessions */

/* ---- One case: a tiny model, its session, and PyTorch's results -------------------------------------- */

enum { PLAN_LAYERS, PLAN_TRAIN, PLAN_IMAGE, PLAN_RUNNING, PLAN_COUNT };

typedef struct {
    const char *name;
    safetensors_file *expected;
    pix2pix *model;
    p2p_device *device;
    p2p_session *session;
    p2p_type type;      /* in which the device keeps state */
    p2p_type precision; /* of the computation: the same, or bf16 */
    p2p_graph *graphs[PLAN_COUNT];
    p2p_plan *plans[PLAN_COUNT];
    int64_t batch;
    int steps;
    double learning_rate;
    /* Per part: the number of tensors compared, the sums of their squared differences and of their squares,
     * and the largest share of the bound that was used, with its tensor. */
    struct {
        int compared;
        double difference, size;
        double share;
        char name[SAFETENSORS_NAME_BYTES];
    } parts[P2P_GOLDEN_COUNT];
} golden_case;

static const char *text(const golden_case *c, const char *key) {
    const char *value = safetensors_metadata(c->expected, key);
    if (!value) fail_msg("%s has no %s", c->name, key);
    return value;
}

static double number(const golden_case *c, const char *key) {
    return strtod(text(c, key), NULL);
}

static int choice(const golden_case *c, const char *key, const char *const *names) {
    const int index = pix2pix_name_index(names, text(c, key));
    if (index < 0) fail_msg("%s: there is no %s %s", c->name, key, text(c, key));
    return index;
}

static const char *case_file(const golden_case *c, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "%s_%s.safetensors", c->name, what);
    return test_golden(name);
}

static pix2pix_config read_config(const golden_case *c) {
    pix2pix_config config = pix2pix_config_default();
    config.height = (int64_t)number(c, "height");
    config.width = (int64_t)number(c, "width");
    config.input_channels = (int64_t)number(c, "input_channels");
    config.output_channels = (int64_t)number(c, "output_channels");
    config.depth = (int)number(c, "depth");
    config.ngf = (int64_t)number(c, "ngf");
    config.ndf = (int64_t)number(c, "ndf");
    config.norm = (nn_norm_kind)choice(c, "norm", nn_norm_names);
    config.bottleneck_norm = strcmp(text(c, "bottleneck_norm"), "True") == 0;
    config.norm_eps = number(c, "eps");
    config.norm_momentum = number(c, "momentum");
    config.leaky_slope = number(c, "slope");
    config.dropout = 0;
    config.discriminator_net = (discriminator_net)choice(c, "discriminator_net", discriminator_net_names);
    config.discriminator_layers = (int)number(c, "discriminator_layers");
    config.d_order = (pix2pix_d_order)choice(c, "d_order", pix2pix_d_order_names);
    config.gan_mode = (pix2pix_gan_mode)choice(c, "gan_mode", pix2pix_gan_mode_names);
    config.lambda_l1 = number(c, "lambda_l1");
    config.beta1 = number(c, "beta1");
    config.beta2 = number(c, "beta2");
    config.adam_eps = number(c, "adam_eps");
    return config;
}

static void open_model(golden_case *c) {
    OK(safetensors_open(case_file(c, "expected"), &c->expected));
    const pix2pix_config config = read_config(c);
    c->batch = (int64_t)number(c, "batch");
    c->steps = (int)number(c, "steps");
    c->learning_rate = number(c, "learning_rate");
    OK(pix2pix_create(&c->model, &config));
}
/* Images are u8, or the device's real numbers in the plan whose layers are compared. */
static void plan(golden_case *c, int which) {
    static const char *const names[] = {"layers", "train", "image statistics", "running statistics"};
    pix2pix_graph_options options = pix2pix_graph_options_for(c->model, c->batch);
    options.output_type = c->type;
    if (which == PLAN_LAYERS) {
        options.layer_outputs = true;
        options.input_type = options.target_type = c->type;
    }
    if (which == PLAN_RUNNING) options.statistics = P2P_STATS_RUNNING;
    if (which == PLAN_LAYERS || which == PLAN_TRAIN)
        OK(pix2pix_graph_train(c->model, &options, &c->graphs[which]));
    else
        OK(pix2pix_graph_evaluate(c->model, &options, true, &c->graphs[which]));
    OK(p2p_session_plan(c->session, names[which], &c->graphs[which], &c->plans[which]));
}

static void open_session(golden_case *c, const p2p_session_options *options) {
    OK(p2p_device_open(device_address, &c->device));
    OK(p2p_session_create(&c->device, 1, options, &c->session));
    c->type = p2p_session_state_type(c->session);
    c->precision = options->precision == P2P_PRECISION_bf16 ? P2P_TYPE_bf16 : c->type;
    for (int which = 0; which < PLAN_COUNT; which++) plan(c, which);
    OK(p2p_session_allocate(c->session, NULL, NULL));
}

static void close_case(golden_case *c) {
    p2p_session_destroy(c->session);
    for (int which = 0; which < PLAN_COUNT; which++) p2p_graph_destroy(c->graphs[which]);
    p2p_device_close(c->device);
    pix2pix_destroy(c->model);
    safetensors_close(c->expected);
}

/* Initial weights from PyTorch's files; moments become zero. */
static void load_initial(golden_case *c) {
    p2p_network *networks[] = {c->model->generator.network, c->model->discriminator.network};
    for (int i = 0; i < 2; i++) {
        OK(p2p_session_initialise(c->session, networks[i], 1));
        OK(model_file_load(c->session, networks[i], case_file(c, p2p_network_name(networks[i]))));
    }
}

/* ---- Comparing ---------------------------------------------------------------------------------------- */

static const safetensors_entry *expected_entry(golden_case *c, const char *name) {
    const safetensors_entry *entry = safetensors_find(c->expected, name);
    if (!entry) fail_msg("%s: PyTorch gave no %s", c->name, name);
    return entry;
}

/* `count` values at `actual` against those from `first` on of the expected tensor. NaN
 * fails. */
static void compare(golden_case *c, p2p_golden_part part, const char *name, const double *actual,
                    int64_t first, int64_t count) {
    const safetensors_entry *entry = expected_entry(c, name);
    assert_true(first + count <= safetensors_elements(entry));
    double *expected = safetensors_values(c->expected, entry);
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        const double e = expected[first + i], d = actual[i] - e;
        difference += d * d;
        size += e * e;
    }
    free(expected);
    const double bound = p2p_golden_budget(part, c->precision);
    const double share = size == 0 && difference == 0 ? 0 : sqrt(difference / size) / bound;
    c->parts[part].compared++;
    c->parts[part].difference += difference;
    c->parts[part].size += size;
    if (c->precision == P2P_TYPE_bf16 && isfinite(share)) return; /* all together, in report */
    if (!(share <= 1))
        fail_msg("%s on %s: %s differs by %.3g of its size, allowed is %.3g", c->name, device_address, name,
                 share * bound, bound);
    if (share < c->parts[part].share) return;
    c->parts[part].share = share;
    snprintf(c->parts[part].name, sizeof c->parts[part].name, "%s", name);
}

static void report(const golden_case *c) {
    static const char *const names[] = {
#define X(what, f64, f32, bf16) #what,
        P2P_GOLDEN_BUDGET_LIST(X)
#undef X
    };
    for (int part = 0; part < P2P_GOLDEN_COUNT; part++) {
        assert_true(c->parts[part].compared > 0);
        if (c->precision == P2P_TYPE_bf16) {
            const double all = sqrt(c->parts[part].difference / c->parts[part].size);
            const double bound = p2p_golden_budget((p2p_golden_part)part, P2P_TYPE_bf16);
            print_message("%s on %s in bf16: %d %s differ by %.1e, allowed is %.0e\n", c->name,
                          device_address, c->parts[part].compared, names[part], all, bound);
            assert_true(all <= bound);
            continue;
        }
        print_message("%s on %s: %d %s within %.0e, the worst, %s, at %.0f%% of it\n", c->name,
                      device_address, c->parts[part].compared, names[part],
                      p2p_golden_budget((p2p_golden_part)part, c->precision), c->parts[part].name,
                      100 * c->parts[part].share);
    }
}

/* Whether PyTorch's files exclude a parameter because its true gradient is zero. */
static bool is_left_out(const golden_case *c, const char *network, const char *key) {
    char name[SAFETENSORS_NAME_BYTES];
    snprintf(name, sizeof name, "%s.%s", network, key);
    const char *names = text(c, "left_out");
    const size_t length = strlen(name);
    for (const char *at = names; (at = strstr(at, name)) != NULL; at += length) {
        const bool begins = at == names || at[-1] == ' ', ends = at[length] == '\0' || at[length] == ' ';
        if (begins && ends) return true;
    }
    return false;
}

/* One part of every parameter of a network against "<prefix>.<network>.<key>". */
static void compare_state(golden_case *c, p2p_golden_part budget, p2p_network *network, p2p_state_part part,
                          const char *prefix) {
    for (int p = 0; p < p2p_network_param_count(network); p++) {
        const p2p_param_info *info = p2p_network_param(network, (p2p_param){p});
        const bool running = info->kind == P2P_PARAM_RUNNING;
        if (running && part != P2P_STATE_VALUE) continue;
        if (is_left_out(c, p2p_network_name(network), info->name)) continue;
        const int64_t elements = p2p_param_elements(info), pieces = running ? 2 : 1;
        double *values = malloc((size_t)elements * sizeof *values);
        assert_non_null(values);
        OK(p2p_session_read(c->session, network, (p2p_param){p}, part, P2P_TYPE_f64, values));
        static const char *const suffixes[] = {"_mean", "_var"};
        for (int64_t i = 0; i < pieces; i++) {
            char name[SAFETENSORS_NAME_BYTES];
            snprintf(name, sizeof name, "%s.%s.%s%s", prefix, p2p_network_name(network), info->name,
                     running ? suffixes[i] : "");
            const int64_t count = elements / pieces;
            compare(c, budget, name, values + i * count, 0, count);
        }
        free(values);
    }
}

/* ---- Running ------------------------------------------------------------------------------------------ */

/* Image `name` of one step into a plan's input: interleaved bytes, or planes scaled to [-1, 1]. */
static void fill_input(golden_case *c, p2p_plan *to, const char *name, int step, bool as_image) {
    const safetensors_entry *entry = expected_entry(c, name);
    double *all = safetensors_values(c->expected, entry);
    const int64_t batch = entry->shape[1], channels = entry->shape[2];
    const int64_t pixels = entry->shape[3] * entry->shape[4];
    const double *images = all + step * batch * channels * pixels;
    void *host = test_plan_input(to, 0, name);
    for (int64_t i = 0; i < batch * channels * pixels; i++) {
        const int64_t n = i / (channels * pixels), channel = i / pixels % channels, pixel = i % pixels;
        if (as_image)
            ((uint8_t *)host)[(n * pixels + pixel) * channels + channel] = (uint8_t)images[i];
        else if (c->type == P2P_TYPE_f64)
            ((double *)host)[i] = images[i] / 127.5 - 1;
        else
            ((float *)host)[i] = (float)(images[i] / 127.5 - 1);
    }
    free(all);
}

static void run(golden_case *c, int which, int step) {
    p2p_plan *to_run = c->plans[which];
    fill_input(c, to_run, "input", step, which != PLAN_LAYERS);
    fill_input(c, to_run, "target", step, which != PLAN_LAYERS);
    const p2p_step numbers = {.seed = 1, .step = (uint32_t)step, .learning_rate = c->learning_rate};
    OK(p2p_plan_run(to_run, &numbers));
    OK(p2p_plan_wait(to_run));
}

static void compare_loss(golden_case *c, int which, const char *loss, const char *name, int index) {
    double value;
    OK(p2p_plan_loss(c->plans[which], loss, &value));
    compare(c, P2P_GOLDEN_losses, name, &value, index, 1);
}

static void compare_losses(golden_case *c, int which, int step) {
    static const char *const losses[] = {"d_fake", "d_real", "g_gan", "g_l1"};
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "loss.%s", losses[i]);
        compare_loss(c, which, losses[i], name, step);
    }
}

/* A plan's output against an expected tensor of as many elements. */
static void compare_output(golden_case *c, p2p_golden_part budget, int which, const char *output,
                           const char *name) {
    const int64_t count = safetensors_elements(expected_entry(c, name));
    double *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    OK(p2p_plan_output(c->plans[which], 0, output, values));
    if (c->type == P2P_TYPE_f32) /* widened in place, from the last on */
        for (int64_t i = count - 1; i >= 0; i--) {
            float narrow;
            memcpy(&narrow, (char *)values + (size_t)i * sizeof narrow, sizeof narrow);
            values[i] = narrow;
        }
    compare(c, budget, name, values, 0, count);
    free(values);
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

static double gradient_size(golden_case *c, p2p_network *network, int p) {
    const int64_t elements = p2p_param_elements(p2p_network_param(network, (p2p_param){p}));
    double *values = malloc((size_t)elements * sizeof *values), sum = 0;
    assert_non_null(values);
    OK(p2p_session_read(c->session, network, (p2p_param){p}, P2P_STATE_GRADIENT, P2P_TYPE_f64, values));
    for (int64_t i = 0; i < elements; i++) sum += values[i] * values[i];
    free(values);
    return sqrt(sum);
}

/* Check that the gradient of an excluded bias is rounding noise compared with that of its layer's filter,
 * which precedes it. Returns the number of such biases. */
static int check_left_out(golden_case *c, p2p_network *network) {
    int count = 0;
    for (int p = 0; p < p2p_network_param_count(network); p++) {
        const char *name = p2p_network_param(network, (p2p_param){p})->name;
        if (!is_left_out(c, p2p_network_name(network), name)) continue;
        const double share = gradient_size(c, network, p) / gradient_size(c, network, p - 1);
        if (!(share <= p2p_golden_budget(P2P_GOLDEN_gradients, c->precision)))
            fail_msg("%s on %s: the gradient of %s isn't zero: %.3g of the filter's", c->name, device_address,
                     name, share);
        count++;
    }
    return count;
}

/* The first step, comparing every layer's result. */
static void check_first_step(golden_case *c) {
    static const char prefix[] = "layer.";
    int layers = 0;
    load_initial(c);
    run(c, PLAN_LAYERS, 0);
    for (int i = 0; i < safetensors_count(c->expected); i++) {
        const char *name = safetensors_at(c->expected, i)->name;
        if (strncmp(name, prefix, strlen(prefix)) != 0) continue;
        compare_output(c, P2P_GOLDEN_layers, PLAN_LAYERS, name + strlen(prefix), name);
        layers++;
    }
    assert_true(layers > 5);
    compare_losses(c, PLAN_LAYERS, 0);
    compare_state(c, P2P_GOLDEN_gradients, c->model->generator.network, P2P_STATE_GRADIENT, "gradient");
    compare_state(c, P2P_GOLDEN_gradients, c->model->discriminator.network, P2P_STATE_GRADIENT, "gradient");
    const int left_out =
        check_left_out(c, c->model->generator.network) + check_left_out(c, c->model->discriminator.network);
    assert_true((left_out > 0) == (c->model->config.norm == NN_NORM_instance));
}

/* All steps as a training runs them. */
static void check_training(golden_case *c) {
    load_initial(c);
    for (int step = 0; step < c->steps; step++) {
        run(c, PLAN_TRAIN, step);
        compare_losses(c, PLAN_TRAIN, step);
    }
    p2p_network *networks[] = {c->model->generator.network, c->model->discriminator.network};
    for (int i = 0; i < 2; i++) {
        compare_state(c, P2P_GOLDEN_weights, networks[i], P2P_STATE_VALUE, "trained");
        compare_state(c, P2P_GOLDEN_moments, networks[i], P2P_STATE_MOMENT1, "moment1");
        compare_state(c, P2P_GOLDEN_moments, networks[i], P2P_STATE_MOMENT2, "moment2");
    }
}

static void check_translation(golden_case *c) {
    run(c, PLAN_IMAGE, 0);
    compare_output(c, P2P_GOLDEN_translations, PLAN_IMAGE, "generated", "evaluation.image.generated");
    compare_loss(c, PLAN_IMAGE, "l1", "evaluation.image.l1", 0);
    run(c, PLAN_RUNNING, 0);
    compare_output(c, P2P_GOLDEN_translations, PLAN_RUNNING, "generated", "evaluation.running.generated");
    compare_loss(c, PLAN_RUNNING, "l1", "evaluation.running.l1", 0);
}

/* The networks' files contain exactly PyTorch's tensors, and its count of batches. */
static void check_files(golden_case *c) {
    char *folder = test_folder_make();
    const char *path = test_path(folder, "model.safetensors");
    p2p_network *networks[] = {c->model->generator.network, c->model->discriminator.network};
    for (int i = 0; i < 2; i++) {
        const model_file_info info = {.direction = "AtoB",
                                      .step = c->steps,
                                      .epoch = 1,
                                      .input_bits = 8,
                                      .output_bits = 8,
                                      .resize = "bicubic"};
        OK(model_file_save(c->session, c->model, networks[i], &info, path));
        safetensors_file *saved, *initial;
        OK(safetensors_open(path, &saved));
        OK(safetensors_open(case_file(c, p2p_network_name(networks[i])), &initial));
        assert_int_equal(safetensors_count(saved), safetensors_count(initial));
        for (int t = 0; t < safetensors_count(saved); t++) {
            const safetensors_entry *entry = safetensors_at(saved, t);
            const safetensors_entry *theirs = safetensors_find(initial, entry->name);
            assert_non_null(theirs);
            assert_int_equal(entry->dtype, theirs->dtype);
            assert_int_equal(entry->rank, theirs->rank);
            for (int d = 0; d < entry->rank; d++) assert_int_equal(entry->shape[d], theirs->shape[d]);
            if (entry->dtype != SAFETENSORS_I64) continue;
            double count, expected;
            char name[SAFETENSORS_NAME_BYTES];
            snprintf(name, sizeof name, "trained.%s.%.200s", p2p_network_name(networks[i]), entry->name);
            OK(safetensors_read(saved, entry, P2P_TYPE_f64, &count));
            OK(safetensors_read(c->expected, expected_entry(c, name), P2P_TYPE_f64, &expected));
            assert_true(count == expected);
        }
        safetensors_close(initial);
        safetensors_close(saved);
    }
    test_folder_remove(folder);
}

static void check_case(const char *name, p2p_session_options options) {
    golden_case c = {.name = name};
    options.precision = bf16 ? P2P_PRECISION_bf16 : P2P_PRECISION_fp32;
    open_model(&c);
    open_session(&c, &options);
    check_first_step(&c);
    check_training(&c);
    check_translation(&c);
    check_files(&c);
    report(&c);
    close_case(&c);
}

static void test_batch1(void **state) {
    (void)state;
    check_case("batch1", (p2p_session_options){0});
}

static void test_batch2(void **state) {
    (void)state;
    check_case("batch2", (p2p_session_options){0});
}

static void test_batch3(void **state) {
    (void)state;
    check_case("batch3", (p2p_session_options){0});
}

static void test_tensorflow(void **state) {
    (void)state;
    check_case("tensorflow", (p2p_session_options){0});
}

static void test_one_pixel(void **state) {
    (void)state;
    check_case("one_pixel", (p2p_session_options){0});
}

static void test_instance(void **state) {
    (void)state;
    check_case("instance", (p2p_session_options){0});
}

static void test_pixel(void **state) {
    (void)state;
    check_case("pixel", (p2p_session_options){0});
}

static void test_none(void **state) {
    (void)state;
    check_case("none", (p2p_session_options){0});
}

static void test_without_fusion(void **state) {
    (void)state;
    const p2p_session_options plain = {.no_fusion = true, .no_sharing = true, .check = true};
    check_case("batch3", plain);
    check_case("tensorflow", plain);
    check_case("instance", plain);
}

/* Which decoders have dropout in a training graph of this depth: a dropout node directly after the
 * normalisation of block b, before its ReLU, once forward (and its mask again backward). */
static void check_dropout(generator_dropout blocks_that_drop, int depth, const char *expected) {
    pix2pix_config config = pix2pix_config_default();
    config.depth = depth;
    config.dropout_blocks = blocks_that_drop;
    config.ngf = config.ndf = 1;
    pix2pix *model;
    OK(pix2pix_create(&model, &config));
    const pix2pix_graph_options options = pix2pix_graph_options_for(model, 1);
    p2p_graph *graph;
    OK(pix2pix_graph_train(model, &options, &graph));
    char blocks[64] = "";
    for (int i = 0; i < graph->node_count; i++) {
        const ir_node *node = &graph->nodes[i];
        if (node->op.kind != P2P_KIND_dropout || node->backward) continue;
        assert_true(node->op.dropout == config.dropout);
        const ir_node *norm = &graph->nodes[i - 1], *relu = &graph->nodes[i + 1];
        assert_int_equal(norm->op.kind, P2P_KIND_norm_apply);
        assert_int_equal(norm->value[P2P_AT_norm_apply_y], node->value[P2P_AT_dropout_x]);
        assert_int_equal(relu->op.kind, P2P_KIND_act_fwd);
        assert_int_equal(relu->op.act, P2P_ACT_relu);
        assert_int_equal(relu->value[P2P_AT_act_fwd_x], node->value[P2P_AT_dropout_y]);
        /* The name of the normalisation identifies the block: it has ".3.model" once per level inside the
         * second. */
        const ir_value *scale = &graph->values[norm->value[P2P_AT_norm_apply_scale]];
        const char *name = p2p_network_param(scale->network, (p2p_param){scale->param})->name;
        int block = 1;
        for (const char *at = name; (at = strstr(at, ".3.model")) != NULL; at++) block++;
        snprintf(blocks + strlen(blocks), sizeof blocks - strlen(blocks), "%d ", block);
    }
    assert_string_equal(blocks, expected);
    p2p_graph_destroy(graph);
    pix2pix_destroy(model);
}

static void test_dropout_places(void **state) {
    (void)state;
    check_dropout(GENERATOR_DROPOUT_middle, 8, "6 5 4 ");
    check_dropout(GENERATOR_DROPOUT_middle, 7, "5 4 ");
    check_dropout(GENERATOR_DROPOUT_middle, 6, "4 ");
    check_dropout(GENERATOR_DROPOUT_middle, 5, "");
    check_dropout(GENERATOR_DROPOUT_middle, 2, "");
    check_dropout(GENERATOR_DROPOUT_innermost, 8, "7 6 5 ");
    check_dropout(GENERATOR_DROPOUT_innermost, 4, "3 2 1 ");
    check_dropout(GENERATOR_DROPOUT_innermost, 2, "1 ");
}

int main(int argc, char **argv) {
    const bool known_device = argc > 1 && (strcmp(argv[1], "reference") == 0 ||
                                           strcmp(argv[1], "opencl") == 0 || strcmp(argv[1], "cuda") == 0);
    bf16 = argc > 2 && strcmp(argv[2], "bf16") == 0;
    if (!known_device || argc > 4 || (argc > 2 && !bf16 && strcmp(argv[2], "fp32") != 0)) {
        fprintf(stderr, "usage: test_golden reference|opencl|cuda [fp32|bf16 [TESTS]]\n"
                        "TESTS: names with * and ?, such as 'test_batch*'\n");
        return 2;
    }
    if (argc == 4) cmocka_set_test_filter(argv[3]);
    device_address = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch1),         cmocka_unit_test(test_batch2),
        cmocka_unit_test(test_batch3),         cmocka_unit_test(test_tensorflow),
        cmocka_unit_test(test_one_pixel),      cmocka_unit_test(test_instance),
        cmocka_unit_test(test_pixel),          cmocka_unit_test(test_none),
        cmocka_unit_test(test_without_fusion), cmocka_unit_test(test_dropout_places),
    };
    return cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
}
