/* State dictionaries without metadata: the network of every combination of depth, channels, norm and
 * bottleneck is inferred from its tensors; malicious and foreign files are refused. test_translate.sh
 * compares the pictures of such networks with PyTorch's.
 */
#include "model_file.h"
#include "state_dict.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Writing files ------------------------------------------------------------------------------------ */

/* A file of tensors of zeros, as a list. */
typedef struct {
    int count;
    struct {
        char name[SAFETENSORS_NAME_BYTES];
        int rank;
        int64_t shape[4];
    } tensors[128];
} tensor_list;

static void add(tensor_list *list, const char *name, int rank, const int64_t *shape) {
    assert_true(list->count < 128);
    snprintf(list->tensors[list->count].name, SAFETENSORS_NAME_BYTES, "%s", name);
    list->tensors[list->count].rank = rank;
    for (int i = 0; i < rank; i++) list->tensors[list->count].shape[i] = shape[i];
    list->count++;
}

static void add_network(tensor_list *list, const p2p_network *network) {
    for (int p = 0; p < p2p_network_param_count(network); p++) {
        const p2p_param_info *info = p2p_network_param(network, (p2p_param){p});
        char name[SAFETENSORS_NAME_BYTES];
        if (info->kind != P2P_PARAM_RUNNING) {
            add(list, info->name, info->kind == P2P_PARAM_FILTER ? 4 : 1, info->shape);
            continue;
        }
        snprintf(name, sizeof name, "%s_mean", info->name);
        add(list, name, 1, &info->shape[1]);
        snprintf(name, sizeof name, "%s_var", info->name);
        add(list, name, 1, &info->shape[1]);
    }
}

static int index_of(const tensor_list *list, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->tensors[i].name, name) == 0) return i;
    fail_msg("there is no tensor %s", name);
    return -1;
}

static void drop(tensor_list *list, const char *name) {
    const int index = index_of(list, name);
    list->count--;
    memmove(&list->tensors[index], &list->tensors[index + 1],
            (size_t)(list->count - index) * sizeof list->tensors[0]);
}

static void write(const tensor_list *list, const char *path) {
    safetensors_writer *writer;
    OK(safetensors_create(path, &writer));
    size_t largest = 1;
    for (int i = 0; i < list->count; i++) {
        OK(safetensors_declare(writer, list->tensors[i].name, SAFETENSORS_F32, list->tensors[i].rank,
                               list->tensors[i].shape));
        size_t elements = 1;
        for (int d = 0; d < list->tensors[i].rank; d++) elements *= (size_t)list->tensors[i].shape[d];
        if (elements > largest) largest = elements;
    }
    float *zeros = calloc(largest, sizeof *zeros);
    assert_non_null(zeros);
    for (int i = 0; i < list->count; i++) OK(safetensors_write(writer, zeros));
    free(zeros);
    OK(safetensors_commit(writer));
}

static tensor_list tensors_of(const pix2pix_config *config) {
    pix2pix *model;
    tensor_list list = {0};
    OK(pix2pix_create_translator(&model, config));
    add_network(&list, model->generator.network);
    pix2pix_destroy(model);
    return list;
}

static pix2pix_config small_config(void) {
    pix2pix_config config = pix2pix_config_default();
    config.depth = 3;
    config.ngf = 2;
    return config;
}

/* ---- What is found ------------------------------------------------------------------------------------ */

static void check_found(const tensor_list *list, const pix2pix_config *expected) {
    const char *path = test_own_path("x.safetensors");
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    write(list, path);
    OK(model_file_open(path, &file, &model, &info));
    const pix2pix_config *found = &model->config;
    assert_true(info.bare);
    assert_string_equal(info.direction, "AtoB");
    assert_int_equal(found->depth, expected->depth);
    assert_int_equal(found->ngf, expected->ngf);
    assert_int_equal(found->input_channels, expected->input_channels);
    assert_int_equal(found->output_channels, expected->output_channels);
    assert_int_equal(found->norm, expected->norm);
    assert_int_equal(found->bottleneck_norm, expected->bottleneck_norm);
    assert_int_equal(found->height, expected->depth < 7 ? 256 : (int64_t)1 << expected->depth);
    pix2pix_destroy(model);
    safetensors_close(file);
}

static void test_every_network_is_found(void **state) {
    (void)state;
    static const nn_norm_kind kinds[] = {NN_NORM_batch, NN_NORM_instance};
    for (int depth = GENERATOR_MIN_DEPTH; depth <= 9; depth++)
        for (int variant = 0; variant < 4; variant++) {
            pix2pix_config config = pix2pix_config_default();
            config.depth = depth;
            config.height = config.width = (int64_t)1 << depth;
            config.ngf = 1 + variant;
            config.input_channels = 1 + (depth + variant) % 4;
            config.output_channels = 1 + depth % 4;
            config.norm = kinds[variant % 2];
            config.bottleneck_norm = variant == 2; /* with batch norm: instance norm would erase one pixel */
            const tensor_list list = tensors_of(&config);
            check_found(&list, &config);
        }
}

/* Neither normalisation nor biases but the last. */
static void test_no_norm(void **state) {
    (void)state;
    pix2pix_config config = small_config();
    config.norm = NN_NORM_none;
    tensor_list list = tensors_of(&config);
    for (int i = list.count - 1; i >= 0; i--)
        if (strstr(list.tensors[i].name, ".bias") && strcmp(list.tensors[i].name, "model.model.3.bias") != 0)
            drop(&list, list.tensors[i].name);
    assert_int_equal(list.count, 2 * 3 + 1);
    check_found(&list, &config);
}

static void test_old_instance_norm(void **state) {
    (void)state;
    pix2pix_config config = small_config();
    config.norm = NN_NORM_instance;
    tensor_list list = tensors_of(&config);
    add(&list, "model.model.1.model.2.running_mean", 1, (const int64_t[]){4});
    add(&list, "model.model.1.model.2.running_var", 1, (const int64_t[]){4});
    add(&list, "model.model.1.model.2.num_batches_tracked", 0, NULL);
    check_found(&list, &config);
}

/* ---- What is refused ---------------------------------------------------------------------------------- */

static void check_refused(const tensor_list *list, const char *fragment) {
    const char *path = test_own_path("x.safetensors");
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    write(list, path);
    assert_int_equal(model_file_open(path, &file, &model, &info), P2P_INPUT);
    assert_null(file);
    assert_null(model);
    if (!strstr(p2p_message(), fragment)) fail_msg("\"%s\" does not contain \"%s\"", p2p_message(), fragment);
}

static void test_foreign_files(void **state) {
    (void)state;
    tensor_list list = {0};
    check_refused(&list, "not those of a U-Net");
    add(&list, "model.0.weight", 4, (const int64_t[]){2, 6, 4, 4});
    check_refused(&list, "discriminator");
    const pix2pix_config config = small_config();
    for (int which = 0; which < 3; which++) {
        static const char *const names[] = {"model.model.0.weight", "model.model.3.weight",
                                            "model.model.3.bias"};
        list = tensors_of(&config);
        drop(&list, names[which]);
        check_refused(&list, "not those of a U-Net");
    }
    list = tensors_of(&config);
    drop(&list, "model.model.1.model.3.model.3.weight");
    check_refused(&list, "level 3 of a U-Net");
    list = tensors_of(&config);
    drop(&list, "model.model.1.model.2.bias");
    check_refused(&list, "has no tensor model.model.1.model.2.bias");
    list = tensors_of(&config);
    add(&list, "model.model.7.weight", 1, (const int64_t[]){1});
    check_refused(&list, "has a tensor model.model.7.weight");
    list = tensors_of(&config);
    add(&list, "model.model.9.running_mean", 1, (const int64_t[]){1});
    check_refused(&list, "has a tensor model.model.9.running_mean");
}

/* Extents of no valid network: too large, zero, or such that others overflow. */
static void test_hostile_shapes(void **state) {
    (void)state;
    const pix2pix_config config = small_config();
    static const struct {
        const char *name;
        int64_t shape[4];
        const char *message;
    } cases[] = {
        {"model.model.0.weight", {0, 3, 4, 4}, "ngf is 0"},
        {"model.model.0.weight", {(int64_t)1 << 50, 0, 4, 4}, "input_channels is 0"},
        {"model.model.0.weight", {4000, 3, 1, 1}, "ngf is 4000"},
        {"model.model.0.weight", {2, 1000, 1, 1}, "input_channels is 1000"},
        {"model.model.3.weight", {4, 0, 4, 4}, "output_channels is 0"},
        {"model.model.0.weight", {2, 3, 3, 3}, "model.model.0.weight has shape [2, 3, 3, 3]"},
        {"model.model.3.weight", {9, 3, 4, 4}, "model.model.3.weight has shape [9, 3, 4, 4]"},
        {"model.model.1.model.1.weight", {4, 2, 4, 9}, "has shape [4, 2, 4, 9]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tensor_list list = tensors_of(&config);
        memcpy(list.tensors[index_of(&list, cases[i].name)].shape, cases[i].shape, sizeof cases[i].shape);
        check_refused(&list, cases[i].message);
    }
}

/* The inferred depth is at most the largest supported one; further tensors of a deeper U-Net are refused. */
static void test_too_deep(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    config.depth = GENERATOR_MAX_DEPTH;
    config.ngf = 1;
    config.height = config.width = (int64_t)1 << config.depth;
    tensor_list list = tensors_of(&config);
    char name[NN_NAME_BYTES + 16];
    generator_layer_name(name, GENERATOR_MAX_DEPTH - 1, 3);
    strcat(name, ".model.1.weight");
    add(&list, name, 4, (const int64_t[]){8, 8, 4, 4});
    check_refused(&list, "has a tensor");
}

static void test_pytorchs_own_format(void **state) {
    (void)state;
    const char *path = test_own_path("latest_net_G.pth");
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    test_file_write(path, "PK\3\4 a zip archive with a pickle in it", 38);
    assert_int_equal(model_file_open(path, &file, &model, &info), P2P_INPUT);
    HINT_HAS("save_file(torch.load(");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_every_network_is_found), TEST_IN_FOLDER(test_no_norm),
        TEST_IN_FOLDER(test_old_instance_norm),      TEST_IN_FOLDER(test_foreign_files),
        TEST_IN_FOLDER(test_hostile_shapes),         TEST_IN_FOLDER(test_too_deep),
        TEST_IN_FOLDER(test_pytorchs_own_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
