/* Model files: a configuration and its weights are read back unchanged, every error in a file is refused with
 * its name, no mutation causes harm, and every damaged bit is found. test_safetensors tests the format below,
 * test_state_dict files without metadata.
 *
 *     test_model_file [few]     few: a quarter of the mutations, and of the data every fifth bit is damaged
 */
#include "model_file.h"
#include "safetensors_damage.h"
#include "safetensors_exercise.h"
#include "safetensors_made.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/model_session.h"
#include "support/test_expect.h"

#define RUN "0123456789abcdef0123456789abcdef"

/* ---- Written and read --------------------------------------------------------------------------------- */

static pix2pix_config tiny_config(void) {
    pix2pix_config config = pix2pix_config_default();
    config.height = 24;
    config.width = 32;
    config.depth = 2;
    config.ngf = config.ndf = 1;
    config.dropout = 0.1; /* no binary fraction */
    config.bottleneck_norm = true;
    config.leaky_slope = 0.3;
    config.init_scale_stddev = 0;
    config.dropout_blocks = GENERATOR_DROPOUT_innermost;
    config.discriminator_net = DISCRIMINATOR_pixel;
    config.d_order = PIX2PIX_D_simultaneous;
    return config;
}

static const model_file_info tiny_info = {.direction = "BtoA",
                                          .step = 5,
                                          .epoch = 2,
                                          .input_bits = 8,
                                          .output_bits = 16,
                                          .resize = "nearest",
                                          .source = MODEL_SOURCE_ONE,
                                          .source_width = 640,
                                          .source_height = 480,
                                          .load_size = 36,
                                          .run = RUN};

/* Save one of a tiny model's networks. */
static void save_with(const char *path, bool of_generator, const model_file_info *info) {
    const pix2pix_config config = tiny_config();
    model_session made;
    model_session_open(&made, &config);
    p2p_network *network = of_generator ? made.model->generator.network : made.model->discriminator.network;
    OK(p2p_session_initialise(made.session, network, 1));
    OK(model_file_save(made.session, made.model, network, info, path));
    model_session_close(&made);
}

static void save_tiny(const char *path, bool of_generator) {
    save_with(path, of_generator, &tiny_info);
}

static void check_same_config(const pix2pix_config *got, const pix2pix_config *expected) {
#define SAME(field) assert_true(got->field == expected->field)
    SAME(height), SAME(width), SAME(input_channels), SAME(output_channels), SAME(depth), SAME(ngf);
    SAME(ndf), SAME(discriminator_layers), SAME(dropout), SAME(lambda_l1), SAME(beta1), SAME(beta2);
    SAME(adam_eps), SAME(norm_eps), SAME(norm_momentum), SAME(sync_norm), SAME(init_stddev);
    SAME(norm), SAME(bottleneck_norm), SAME(leaky_slope), SAME(dropout_blocks), SAME(discriminator_net);
    SAME(d_order), SAME(gan_mode), SAME(init_scale_stddev);
#undef SAME
}

static void test_model_file(void **state) {
    (void)state;
    const char *path = test_own_path("generator.safetensors");
    save_tiny(path, true);
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    OK(model_file_open(path, &file, &model, &info));
    const pix2pix_config expected = tiny_config();
    check_same_config(&model->config, &expected);
    assert_string_equal(info.direction, "BtoA");
    assert_int_equal(info.step, 5);
    assert_int_equal(info.epoch, 2);
    assert_int_equal(info.input_bits, 8);
    assert_int_equal(info.output_bits, 16);
    assert_string_equal(info.resize, "nearest");
    assert_int_equal(info.source, MODEL_SOURCE_ONE);
    assert_int_equal(info.source_width, 640);
    assert_int_equal(info.source_height, 480);
    assert_int_equal(info.load_size, 36);
    assert_string_equal(info.run, RUN);
    assert_string_equal(safetensors_metadata(file, "p2p_version"), P2P_VERSION);
    pix2pix_destroy(model);
    safetensors_close(file);
}

/* The other kinds of sources: several sizes, and none recorded, as in files of earlier versions. */
static void test_model_file_source(void **state) {
    (void)state;
    static const model_source kinds[] = {MODEL_SOURCE_MIXED, MODEL_SOURCE_UNKNOWN};
    for (int i = 0; i < 2; i++) {
        const char *path = test_own_path("generator.safetensors");
        model_file_info saved = tiny_info, info;
        saved.source = kinds[i];
        save_with(path, true, &saved);
        safetensors_file *file;
        pix2pix *model;
        OK(model_file_open(path, &file, &model, &info));
        assert_int_equal(info.source, kinds[i]);
        assert_int_equal(info.source_width, 0);
        assert_int_equal(info.source_height, 0);
        assert_int_equal(info.load_size, kinds[i] == MODEL_SOURCE_MIXED ? 36 : 0);
        pix2pix_destroy(model);
        safetensors_close(file);
    }
}

static void test_identity(void **state) {
    (void)state;
    model_file_identity found;
    for (int first = 0; first < 2; first++) {
        const char *path = test_own_path("model.safetensors");
        save_tiny(path, first);
        OK(model_file_identify(path, &found));
        assert_true(!found.foreign && found.is_generator == first && found.step == 5 && found.epoch == 2);
        assert_string_equal(found.run, RUN);
    }
    size_t size; /* a bit of the last tensor: the whole file is read for it */
    uint8_t *bytes = test_file_read(test_own_path("model.safetensors"), &size);
    OK(model_file_verify(test_own_path("model.safetensors"), &found));
    bytes[size - 1] ^= 1;
    test_file_write(test_own_path("model.safetensors"), bytes, size);
    free(bytes);
    OK(model_file_identify(test_own_path("model.safetensors"), &found));
    assert_int_equal(model_file_verify(test_own_path("model.safetensors"), &found), P2P_INPUT);
    OK(model_file_identify(test_golden("format1_generator.safetensors"), &found));
    assert_true(!found.foreign && found.is_generator);
    assert_string_equal(found.run, ""); /* older than the field */
    OK(model_file_identify(test_golden("state_dict_instance.safetensors"), &found));
    assert_true(found.foreign);
    test_file_write(test_own_path("damaged"), "none", 4);
    assert_int_equal(model_file_identify(test_own_path("damaged"), &found), P2P_INPUT);
}

/* Replaces a text in a file by another of the same length. */
static void edit_file(const char *path, const char *from, const char *to) {
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    assert_int_equal(strlen(from), strlen(to));
    size_t at = 0;
    while (at + strlen(from) <= size && memcmp(bytes + at, from, strlen(from)) != 0) at++;
    if (at + strlen(from) > size) fail_msg("the file holds no %s", from);
    memcpy(bytes + at, to, strlen(to));
    test_file_write(path, bytes, size);
    free(bytes);
}

/* The generator's file without a checksum, as older versions wrote it: edits of it are not taken for damage.
 */
static const char *save_unsealed(void) {
    const char *path = test_own_path("generator.safetensors");
    save_tiny(path, true);
    edit_file(path, "\"p2p_checksum\":\"xxh128:", "\"p2p_unsealed\":\"xxx128:");
    return path;
}

/* Such a file, edited, is refused. */
static void check_edited(const char *from, const char *to, const char *fragment) {
    const char *path = save_unsealed();
    edit_file(path, from, to);
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    REFUSED(model_file_open(path, &file, &model, &info), P2P_INPUT, fragment);
    MESSAGE_HAS(path);
    assert_true(!file && !model);
}

/* A file of format 1, written by p2p 0.1.0, which had one kind of training only. Fields that it lacks have
 * the values of that training; fields that it has are used. */
static void test_model_file_of_format_1(void **state) {
    (void)state;
    const char *path = test_golden("format1_generator.safetensors");
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    OK(model_file_open(path, &file, &model, &info));
    assert_string_equal(safetensors_metadata(file, "p2p_format"), "1");
    assert_int_equal(info.step, 2);
    assert_int_equal(info.input_bits, 8);
    assert_int_equal(info.output_bits, 8);
    assert_string_equal(info.resize, "bicubic");
    assert_int_equal(info.source, MODEL_SOURCE_UNKNOWN);
    pix2pix_config expected = pix2pix_config_default(), *got = &model->config;
    expected.height = expected.width = 24;
    expected.depth = 2;
    expected.ngf = expected.ndf = 1;
    check_same_config(got, &expected);
    pix2pix_destroy(model);
    safetensors_close(file);
}

static void test_model_file_refused(void **state) {
    (void)state;
    check_edited("\"p2p_format\":\"2\"", "\"p2p_format\":\"3\"", "another version of p2p");
    check_edited("\"p2p_format\":\"2\"", "\"p2p_format\":\"0\"", "another version of p2p");
    check_edited("\"p2p_format\":\"2\"", "\"p2p_format\":\"x\"", "another version of p2p");
    check_edited("U-Net generator", "X-Net generator", "does not support");
    check_edited("\"norm\":\"batch\"", "\"norm\":\"butch\"", "norm is not supported by this version");
    check_edited("\"d_order\":", "\"e_order\":", "metadata's d_order is missing");
    check_edited("\"leaky_slope\":\"0.3\"", "\"leaky_slope\":\"1.3\"", "leaky_slope is 1.3");
    check_edited("\"leaky_slope\":", "\"leaky-slope\":", "metadata's leaky_slope is missing");
    check_edited("\"direction\":\"BtoA\"", "\"direction\":\"BtoB\"", "neither AtoB nor BtoA");
    check_edited("\"resize\":\"nearest\"", "\"resize\":\"nearesd\"", "neither bicubic nor nearest");
    check_edited("\"source_width\":\"640\"", "\"source_width\":\"000\"", "metadata's source_width");
    check_edited("\"source_height\":\"480\"", "\"source_height\":\"000\"", "metadata's source_height");
    check_edited("\"source_height\":", "\"source_weight\":", "metadata's source_height");
    check_edited("\"source_width\":\"640\"", "\"source_width\":\"-64\"", "metadata's source_width");
    check_edited("\"load_size\":\"36\"", "\"load_size\":\"00\"", "metadata's load_size");
    check_edited("\"load_size\":", "\"load-size\":", "metadata's load_size");
    check_edited("\"depth\":\"2\"", "\"depth\":\"9\"", "depth 9");
    check_edited("\"depth\":\"2\"", "\"depth\":\"x\"", "metadata's depth");
    check_edited("\"depth\":\"2\"", "\"depht\":\"2\"", "metadata's depth");
    check_edited("\"height\":\"24\"", "\"height\":\"-4\"", "metadata's height");
    check_edited("\"height\":\"24\"", "\"height\":\"26\"", "multiples of 4");
    check_edited("\"dropout\":\"0.1\"", "\"dropout\":\"nan\"", "dropout");
    check_edited("\"dropout\":\"0.1\"", "\"dropout\":\"1.0\"", "dropout");
    check_edited("\"ngf\":\"1\"", "\"ngf\":\"2\"", "the network needs");
    check_edited("\"ngf\":\"1\"", "\"ngf\":\"0\"", "ngf is 0");
    check_edited("\"output_bits\":\"16\"", "\"output_bits\":\"12\"", "output_bits is neither 8 nor 16");
    check_edited("\"step\":\"5\"", "\"step\":\" \"", "metadata's step");
    save_tiny(test_own_path("discriminator.safetensors"), false);
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    REFUSED(model_file_open(test_own_path("discriminator.safetensors"), &file, &model, &info), P2P_INPUT,
            "only a generator");
}

/* ---- Mutations ---------------------------------------------------------------------------------------- */

/* xorshift64*; any fixed generator would do. */
static uint64_t random_state;

static uint64_t draw(uint64_t below) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * UINT64_C(0x2545f4914f6cdd1d) >> 16) % below;
}

/* One change, mostly in the header. The buffer has room for one more byte than `size`. */
static size_t mutate(uint8_t *bytes, size_t size, size_t header) {
    static const char alphabet[] = "0123456789-[]{},:\"\\u.eE FUBI";
    if (size == 0) return 0;
    const size_t reach = draw(8) != 0 && header < size ? header : size, at = (size_t)draw(reach);
    switch (draw(6)) {
    case 0:
        bytes[at] ^= (uint8_t)(1 << draw(8));
        return size;
    case 1:
        bytes[at] = (uint8_t)alphabet[draw(sizeof alphabet - 1)];
        return size;
    case 2:
        bytes[at] = (uint8_t)draw(256);
        return size;
    case 3:
        memmove(bytes + at, bytes + at + 1, size - at - 1);
        return size - 1;
    case 4:
        memmove(bytes + at + 1, bytes + at, size - at);
        bytes[at] = (uint8_t)alphabet[draw(sizeof alphabet - 1)];
        return size + 1;
    default:
        return draw(4) == 0 ? at : size; /* cut */
    }
}

/* Insertions and deletions move the data. The length in front is often corrected, because otherwise nearly
 * every mutant would fail there. */
static void mend_length(uint8_t *bytes, size_t size, size_t old_size, size_t header) {
    if (size < 8 || draw(4) == 0) return;
    const uint64_t length = header - 8 + size - old_size;
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(length >> (8 * i));
}

static bool few; /* the argument */

static void exercise_mutants(const char *path, int mutants) {
    enum { MOST_CHANGES = 4 };
    random_state = 20240101;
    size_t size;
    uint8_t *original = test_file_read(path, &size);
    const size_t header = 8 + ((size_t)original[0] | (size_t)original[1] << 8);
    assert_true(header < size);
    assert_true(safetensors_exercise(original, size));
    int opened = 0;
    for (int i = 0; i < mutants; i++) {
        uint8_t *mutant = malloc(size + MOST_CHANGES + 1);
        assert_non_null(mutant);
        memcpy(mutant, original, size);
        size_t length = size;
        for (uint64_t change = 0, changes = 1 + draw(MOST_CHANGES); change < changes; change++)
            length = mutate(mutant, length, header);
        mend_length(mutant, length, size, header);
        opened += safetensors_exercise(mutant, length);
        free(mutant);
    }
    print_message("%d of %d mutants opened\n", opened, mutants);
    assert_true(opened > mutants / 100 && opened < mutants); /* some are valid, some are refused */
    free(original);
}

static void test_mutations(void **state) {
    (void)state;
    exercise_mutants(save_unsealed(), few ? 5000 : 20000);
}

/* ---- Damage ------------------------------------------------------------------------------------------- */

static void test_damage(void **state) {
    (void)state;
    const char *path = test_own_path("generator.safetensors");
    save_tiny(path, true);
    safetensors_damage(path, 1, few ? 5 : 1, 1);
}

static p2p_status open_and_close(const char *path) {
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    p2p_status status = model_file_open(path, &file, &model, &info);
    if (status != P2P_OK) return status;
    pix2pix_destroy(model);
    safetensors_close(file);
    return P2P_OK;
}

/* An edit of one letter is damage; without a checksum the file would be accepted. */
static void test_edit_is_damage(void **state) {
    (void)state;
    const char *path = test_own_path("generator.safetensors");
    save_tiny(path, true);
    edit_file(path, "\"step\":\"5\"", "\"step\":\"7\"");
    REFUSED(open_and_close(path), P2P_INPUT, "is damaged: its checksum is not that of its header");
    save_tiny(path, true);
    edit_file(path, "\"p2p_checksum\":", "\"p2p_checksun\":");
    REFUSED(open_and_close(path), P2P_INPUT, "is damaged");
    save_unsealed();
    edit_file(path, "\"step\":\"5\"", "\"step\":\"7\"");
    OK(open_and_close(path));
}

/* Opens and verifies a file. *warned: whether that prints a warning with the words. */
static p2p_status verify(const char *path, const char *words, bool *warned) {
    char text[1024] = "";
    FILE *warnings = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(warnings);
    p2p_warnings_to(warnings);
    safetensors_file *file;
    p2p_status status = safetensors_open(path, &file);
    if (status == P2P_OK) status = safetensors_verify(file);
    if (status == P2P_OK) status = safetensors_verify(file); /* a second time without a second warning */
    safetensors_close(file);
    p2p_warnings_to(NULL);
    fclose(warnings);
    *warned = strlen(text) > 0;
    if (*warned && !strstr(text, words)) fail_msg("the warning is '%s'", text);
    if (*warned && strchr(text, '\n') != text + strlen(text) - 1) fail_msg("not one line: %s", text);
    return status;
}

/* Files that Python's safetensors read and saved again with p2p's metadata (make_resaved.py): with equal
 * contents the checksum is right; with others it belongs to p2p's file, and a warning is printed. */
static void test_resaved(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool changed;
    } files[] = {{"resaved_original.safetensors", false},
                 {"resaved_same.safetensors", false},
                 {"resaved_values.safetensors", true},
                 {"resaved_metadata.safetensors", true}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        bool warned;
        OK(verify(test_golden(files[i].name), "saved by another program", &warned));
        if (warned != files[i].changed) fail_msg("%s: warned: %d", files[i].name, warned);
        OK(open_and_close(test_golden(files[i].name)));
    }
}

/* The layout decides whether a wrong checksum means damage: p2p writes it first and at least eight spaces at
 * the end of the header; other programs write seven spaces at most. */
static void test_layouts(void **state) {
    (void)state;
#define SEAL "\"p2p_checksum\":\"xxh128:0123456789abcdef0123456789abcdef:0123456789abcdef0123456789abcdef\""
#define REST "},\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"
    static const struct {
        const char *header;
        bool damaged;
    } layouts[] = {{"{\"__metadata__\":{" SEAL REST "        ", true},
                   {"{\"__metadata__\":{" SEAL REST "       ", false},
                   {"{\"__metadata__\":{" SEAL REST, false},
                   {"{\"__metadata__\":{\"b\":\"c\"," SEAL REST "        ", false},
                   {"{ \"__metadata__\":{" SEAL REST "        ", false}};
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        bool warned;
        const char *path = safetensors_made(layouts[i].header, 1);
        if (layouts[i].damaged)
            REFUSED(verify(path, "", &warned), P2P_INPUT, "is damaged");
        else
            OK(verify(path, "saved by another program", &warned));
        assert_true(warned == !layouts[i].damaged);
    }
#undef SEAL
#undef REST
}

/* A model that is not a generator is named as what it is. */
static void test_other_kinds(void **state) {
    (void)state;
    const pix2pix_config config = tiny_config();
    pix2pix *model;
    OK(pix2pix_create(&model, &config));
    const char *g_path = test_own_path("generator.safetensors"),
               *d_path = test_own_path("discriminator.safetensors"),
               *checkpoint = test_own_path("checkpoint.safetensors");
    save_tiny(g_path, true);
    save_tiny(d_path, false);
    safetensors_writer *writer;
    OK(safetensors_create(checkpoint, &writer));
    OK(safetensors_add_metadata(writer, "format", "p2p-checkpoint-1"));
    OK(safetensors_commit(writer));
    REFUSED(open_and_close(checkpoint), P2P_INPUT, "is a checkpoint, from which a training is resumed");
    OK(model_file_check(model->generator.network, g_path));
    OK(model_file_check(model->discriminator.network, d_path));
    REFUSED(model_file_check(model->generator.network, d_path), P2P_INPUT,
            "is a discriminator, and a generator is needed");
    REFUSED(model_file_check(model->discriminator.network, g_path), P2P_INPUT,
            "is a generator, and a discriminator is needed");
    REFUSED(model_file_check(model->generator.network, checkpoint), P2P_INPUT, "is a checkpoint");
    pix2pix_destroy(model);
}

/* Without metadata the network is inferred from mutated names and shapes. */
static void test_mutations_of_a_state_dictionary(void **state) {
    (void)state;
    exercise_mutants(test_golden("state_dict_instance.safetensors"), few ? 2500 : 10000);
}

int main(int argc, char **argv) {
    few = argc > 1 && strcmp(argv[1], "few") == 0;
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_model_file),
        TEST_IN_FOLDER(test_model_file_source),
        TEST_IN_FOLDER(test_identity),
        TEST_IN_FOLDER(test_model_file_of_format_1),
        TEST_IN_FOLDER(test_model_file_refused),
        TEST_IN_FOLDER(test_mutations),
        TEST_IN_FOLDER(test_mutations_of_a_state_dictionary),
        TEST_IN_FOLDER(test_damage),
        TEST_IN_FOLDER(test_edit_is_damage),
        TEST_IN_FOLDER(test_resaved),
        TEST_IN_FOLDER(test_layouts),
        TEST_IN_FOLDER(test_other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
