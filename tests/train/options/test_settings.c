/* Options and presets: each sets its field of the model's configuration, options override the preset, and a
 * resumed training combines kept settings with new ones. test_models and test_golden test the configurations,
 * test_command.sh the messages of refusals.
 */
#include "options/options.h"
#include "setup/setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

enum { MOST_WORDS = 16 };

/* A command with the words of a line, which must outlive the settings. */
static p2p_status parse_as(settings *all, unsigned command, const char *name, char *line) {
    const char *argv[MOST_WORDS + 1] = {name};
    int argc = 1;
    for (char *word = strtok(line, " "); word && argc < MOST_WORDS; word = strtok(NULL, " "))
        argv[argc++] = word;
    return settings_parse(all, command, argc, argv);
}

static p2p_status parse_line(settings *all, char *line) {
    return parse_as(all, COMMAND_TRAIN, "train", line);
}

/* The model that `p2p train LINE` describes. */
static pix2pix_config config_of(const char *line) {
    char words[256];
    settings all;
    pix2pix_config config;
    snprintf(words, sizeof words, "%s", line);
    OK(parse_line(&all, words));
    OK(setup_model_config(&all, &config));
    settings_free(&all);
    return config;
}

static void assert_same_config(const pix2pix_config *a, const pix2pix_config *b) {
#define SAME(field) assert_true(a->field == b->field)
    SAME(height), SAME(width), SAME(input_channels), SAME(output_channels), SAME(depth), SAME(ngf);
    SAME(ndf), SAME(discriminator_net), SAME(discriminator_layers), SAME(norm), SAME(bottleneck_norm);
    SAME(norm_eps), SAME(norm_momentum), SAME(sync_norm), SAME(leaky_slope), SAME(dropout);
    SAME(dropout_blocks), SAME(d_order), SAME(gan_mode), SAME(lambda_l1), SAME(beta1), SAME(beta2);
    SAME(adam_eps), SAME(init_stddev), SAME(init_scale_stddev), SAME(init_resizing);
#undef SAME
}

/* `option` sets `field` to `value`, and changes nothing else. */
#define CHECK(option, field, value)                                                                          \
    do {                                                                                                     \
        pix2pix_config config = config_of(option);                                                           \
        const pix2pix_config default_config = pix2pix_config_default();                                      \
        assert_true(config.field == (value));                                                                \
        assert_false(default_config.field == (value));                                                       \
        config.field = default_config.field;                                                                 \
        assert_same_config(&config, &default_config);                                                        \
    } while (0)

static void test_options_reach_the_model(void **state) {
    (void)state;
    CHECK("--channels-in 1", input_channels, 1);
    CHECK("--channels-out 4", output_channels, 4);
    CHECK("--generator 7", depth, 7);
    CHECK("--ngf 32", ngf, 32);
    CHECK("--ndf 16", ndf, 16);
    CHECK("--d-net pixel", discriminator_net, DISCRIMINATOR_pixel);
    CHECK("--d-layers 2", discriminator_layers, 2);
    CHECK("--norm instance", norm, NN_NORM_instance);
    CHECK("--norm none", norm, NN_NORM_none);
    CHECK("--bottleneck-norm on", bottleneck_norm, true);
    CHECK("--norm-eps 0.25", norm_eps, 0.25);
    CHECK("--norm-momentum 0.25", norm_momentum, 0.25);
    CHECK("--slope 0.25", leaky_slope, 0.25);
    CHECK("--dropout 0.25", dropout, 0.25);
    CHECK("--dropout-blocks innermost", dropout_blocks, GENERATOR_DROPOUT_innermost);
    CHECK("--init-stddev 0.25", init_stddev, 0.25);
    CHECK("--init-upsampling resize", init_resizing, true);
    CHECK("--init-scale 0.25", init_scale_stddev, 0.25);
    CHECK("--d-order simultaneous", d_order, PIX2PIX_D_simultaneous);
    CHECK("--gan-mode lsgan", gan_mode, PIX2PIX_GAN_lsgan);
    CHECK("--lambda-l1 25", lambda_l1, 25);
    CHECK("--beta1 0.25", beta1, 0.25);
    CHECK("--beta2 0.25", beta2, 0.25);
    CHECK("--adam-eps 0.25", adam_eps, 0.25);
}

static void test_sizes_in_bytes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes; /* 0: refused */
    } cases[] = {{"1048576", 1 << 20},
                 {"1M", 1 << 20},
                 {"1.5g", 3 << 29},
                 {"2T", INT64_C(2) << 40},
                 {"4096K", 4 << 20},
                 {"1", 0},
                 {"1MB", 0},
                 {"-4G", 0},
                 {"G", 0},
                 {"nan", 0},
                 {"1e30", 0},
                 {"9999T", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char words[64];
        settings all;
        snprintf(words, sizeof words, "--memory %s", cases[i].text);
        const p2p_status status = parse_line(&all, words);
        if (status != (cases[i].bytes > 0 ? P2P_OK : P2P_USAGE)) fail_msg("--memory %s", cases[i].text);
        if (status != P2P_OK) MESSAGE_HAS("--memory");
        assert_true(all.memory == cases[i].bytes);
        settings_free(&all);
    }
}

/* --json is a flag of bench and a file of pairs. */
/* A leading zero changes no number, and 0x begins a hexadecimal one. */
static void test_seeds(void **state) {
    (void)state;
    static const struct {
        const char *line;
        uint64_t seed;
    } cases[] = {{"--seed 010", 10}, {"--seed 08", 8}, {"--seed 0", 0}, {"--seed 0x10", 16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char words[64];
        settings all;
        snprintf(words, sizeof words, "%s", cases[i].line);
        OK(parse_line(&all, words));
        assert_true(all.seed == cases[i].seed);
        settings_free(&all);
    }
    settings all;
    char empty[] = "--seed 0x";
    REFUSED(parse_line(&all, empty), P2P_USAGE, "'0x' is not a number");
    settings_free(&all);
}

static void test_one_name_of_two_options(void **state) {
    (void)state;
    settings all;
    const char *flag[] = {"bench", "--json"}, *file[] = {"pairs", "--json", "x.json"};
    const char *twice[] = {"pairs", "--json", "x.json", "--json", "y.json"};
    OK(settings_parse(&all, COMMAND_BENCH, 2, flag));
    assert_true(all.json && !all.json_file && settings_given(&all, "json"));
    settings_free(&all);
    OK(settings_parse(&all, COMMAND_PAIRS, 3, file));
    assert_true(!all.json && settings_given(&all, "json"));
    assert_string_equal(all.json_file, "x.json");
    settings_free(&all);
    REFUSED(settings_parse(&all, COMMAND_PAIRS, 5, twice), P2P_USAGE, "--json is given twice");
    settings_free(&all);
}

/* The names of a command's options: all, in the order of the table, and no other command's. */
static void test_names_of_options(void **state) {
    (void)state;
    int count = 0;
    bool fps = false;
    for (const char *name; (name = settings_option_name(COMMAND_PAIRS, count)) != NULL; count++) {
        assert_string_not_equal(name, "ngf");
        fps = fps || strcmp(name, "fps") == 0;
    }
    assert_true(fps);
    assert_string_equal(settings_option_name(COMMAND_PAIRS, count - 1), "help");
    assert_null(settings_option_name(COMMAND_PAIRS, count + 1));
}

static settings counts_of(const char *line) {
    char words[64];
    settings all;
    snprintf(words, sizeof words, "%s", line);
    OK(parse_as(&all, COMMAND_BENCH, "bench", words));
    return all;
}

/* A list is in order, without gaps, and for bench only; --gpus alone is the last number. */
static void test_lists(void **state) {
    (void)state;
    settings none = counts_of(""), one = counts_of("--gpus 3"), three = counts_of("--gpus 1,2,64");
    assert_int_equal(none.gpu_counts.count, 0);
    assert_int_equal(none.gpus, 0);
    assert_int_equal(one.gpu_counts.count, 1);
    assert_int_equal(one.gpus, 3);
    assert_int_equal(three.gpu_counts.count, 3);
    assert_int_equal(three.gpu_counts.of[1], 2);
    assert_int_equal(three.gpus, 64);
    settings_free(&none), settings_free(&one), settings_free(&three);
    static const struct {
        const char *line, *message;
    } refused[] = {
        {"--gpus 1,1", "--gpus: 1 does not follow a smaller number"},
        {"--gpus 1,,2", "--gpus: '' is not a whole number"},
        {"--gpus 1,65", "--gpus: 65 is outside 1 to 64"},
        {"--gpus 1,1234567890123456789012345678901234567890", "is outside 1 to 64"},
        {"--gpus 2.000000000000000000000000000000000000000000000000000000000000000abc", "no list of numbers"},
        {"--gpus 1,2,3,4,5,6,7,8,9", "--gpus: more than 8 numbers"},
        {"--gpus 1;2", "'1;2' is not a whole number"}};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char words[80];
        settings all;
        snprintf(words, sizeof words, "%s", refused[i].line);
        REFUSED(parse_as(&all, COMMAND_BENCH, "bench", words), P2P_USAGE, refused[i].message);
        settings_free(&all);
    }
    char words[] = "--gpus 1,2";
    settings all;
    REFUSED(parse_line(&all, words), P2P_USAGE, "p2p train takes one number");
    settings_free(&all);
}

static void test_presets(void **state) {
    (void)state;
    pix2pix_config expected = pix2pix_config_default(), config = config_of("");
    assert_same_config(&config, &expected);
    config = config_of("--preset pytorch");
    assert_same_config(&config, &expected);
    expected.bottleneck_norm = true;
    expected.norm_eps = 1e-3;
    expected.norm_momentum = 0.01;
    expected.dropout_blocks = GENERATOR_DROPOUT_innermost;
    expected.init_scale_stddev = 0;
    expected.d_order = PIX2PIX_D_simultaneous;
    expected.adam_eps = 1e-7;
    config = config_of("--preset tensorflow");
    assert_same_config(&config, &expected);
    /* A given option overrides, before or after the preset, even with the default of the other one. */
    expected.norm_eps = 1e-5;
    expected.d_order = PIX2PIX_D_first;
    expected.ngf = 8;
    config = config_of("--norm-eps 1e-5 --ngf 8 --preset tensorflow --d-order first");
    assert_same_config(&config, &expected);
}

static void test_preset_of_the_loop(void **state) {
    (void)state;
    settings all;
    char words[] = "--preset tensorflow";
    OK(parse_line(&all, words));
    assert_int_equal(all.batch, 64);
    assert_string_equal(all.lr_scale, "linear");
    settings_free(&all);
}

/* The settings of a training resumed with `line`, whose own were those of `kept_line` less `without`. */
static p2p_status resume(settings *all, const char *line, const char *kept_line, const char *without) {
    char words[256], kept_words[256];
    settings before;
    snprintf(words, sizeof words, "%s", line);
    snprintf(kept_words, sizeof kept_words, "%s", kept_line);
    OK(parse_line(&before, kept_words));
    json_t *kept = settings_to_json(&before);
    settings_free(&before);
    assert_non_null(kept);
    if (without) assert_int_equal(json_object_del(kept, without), 0);
    OK(parse_line(all, words));
    p2p_status status = settings_resume(all, kept, "kept.json");
    json_decref(kept);
    return status;
}

static void test_resuming(void **state) {
    (void)state;
    const char *const kept = "--preset tensorflow --batch 4 --slope 0.1";
    settings all;
    OK(resume(&all, "--resume", kept, NULL));
    assert_string_equal(all.preset, "tensorflow");
    assert_string_equal(all.d_order, "simultaneous");
    assert_int_equal(all.batch, 4);
    assert_true(all.norm_eps == 1e-3 && all.slope == 0.1);
    settings_free(&all);
    OK(resume(&all, "--resume --preset tensorflow --slope 0.1", kept, NULL));
    assert_int_equal(all.batch, 4);
    settings_free(&all);
    REFUSED(resume(&all, "--resume --preset pytorch", kept, NULL), P2P_USAGE,
            "--preset pytorch contradicts kept.json, which was trained with tensorflow");
    settings_free(&all);
    REFUSED(resume(&all, "--resume --norm-eps 1e-5", kept, NULL), P2P_USAGE, "--norm-eps 1e-05 contradicts");
    settings_free(&all);
}

/* Settings from before an option existed imply its default. */
static void test_resuming_older_settings(void **state) {
    (void)state;
    settings all;
    OK(resume(&all, "--resume", "--slope 0.1", "slope"));
    assert_true(all.slope == 0.2);
    settings_free(&all);
    OK(resume(&all, "--resume --slope 0.2", "", "slope"));
    settings_free(&all);
    OK(resume(&all, "--resume", "--no-flip", "no_flip"));
    assert_false(all.no_flip);
    settings_free(&all);
    REFUSED(resume(&all, "--resume --slope 0.1", "--slope 0.1", "slope"), P2P_USAGE,
            "--slope 0.1 contradicts kept.json, which was trained with 0.2");
    settings_free(&all);
    REFUSED(resume(&all, "--resume --preset tensorflow", "", "preset"), P2P_USAGE,
            "--preset tensorflow contradicts kept.json, which was trained with pytorch");
    settings_free(&all);
}

/* A precision is kept unless another device is allowed. Versions without the option computed in fp32. */
static void test_resuming_precision(void **state) {
    (void)state;
    settings all;
    OK(resume(&all, "--resume", "--precision tf32", NULL));
    assert_string_equal(all.precision, "tf32");
    settings_free(&all);
    OK(resume(&all, "--resume --allow-other-device", "--precision tf32", NULL));
    assert_string_equal(all.precision, "tf32");
    settings_free(&all);
    REFUSED(resume(&all, "--resume --precision fp32", "--precision tf32", NULL), P2P_USAGE,
            "--precision fp32 contradicts kept.json, which was trained with tf32");
    settings_free(&all);
    OK(resume(&all, "--resume --allow-other-device --precision fp32", "--precision tf32", NULL));
    assert_string_equal(all.precision, "fp32");
    settings_free(&all);
    REFUSED(resume(&all, "--resume --allow-other-device --slope 0.1", "--slope 0.2", NULL), P2P_USAGE,
            "--slope 0.1 contradicts");
    settings_free(&all);
    OK(resume(&all, "--resume", "", "precision"));
    assert_string_equal(all.precision, "fp32");
    settings_free(&all);
}

/* Weights of devices are compared without being asked for. */
static void test_replicas_are_checked(void **state) {
    (void)state;
    settings all;
    OK(parse_line(&all, (char[]){""}));
    assert_int_equal(all.check_replicas, 1000);
    settings_free(&all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_reach_the_model),
        cmocka_unit_test(test_sizes_in_bytes),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_replicas_are_checked),
        cmocka_unit_test(test_one_name_of_two_options),
        cmocka_unit_test(test_names_of_options),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_preset_of_the_loop),
        cmocka_unit_test(test_resuming),
        cmocka_unit_test(test_resuming_older_settings),
        cmocka_unit_test(test_resuming_precision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
