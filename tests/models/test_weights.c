/* The weights of networks in safetensors files: read back bit for bit, in pieces of limited size; names and
 * shapes that do not match and values that can't be weights are refused. test_safetensors tests the format.
 */
#include "nn.h"
#include "safetensors_made.h"
#include "support/test_files.h"
#include "weights.h"
#include "weights_values.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_plan.h"

/* A session on the reference with one small network in a graph that trains it. */
typedef struct {
    p2p_network *network;
    p2p_graph *graph;
    p2p_device *device;
    p2p_session *session;
    p2p_plan *plan;
} small_training;

static p2p_network *small_network(void) {
    p2p_network *network = p2p_network_create("small");
    assert_non_null(network);
    return network;
}

/* With a filter of `filters` x 2 x 4 x 4. */
static small_training open_with_filters(int64_t filters) {
    small_training t = {.network = small_network()};
    const nn_style style = {.norm = NN_NORM_batch, .init_stddev = 0.1, .init_scale_stddev = 0.1};
    const nn_conv conv = nn_conv_declare(t.network, &style, "conv", NN_HALVE, 2, filters, true);
    const nn_norm norm = nn_norm_declare(t.network, &style, "norm", filters);
    const nn_pass pass = {.norm = {.update_running = true, .eps = 1e-5, .momentum = 0.1}};
    t.graph = p2p_graph_create(1, 1, 1);
    assert_non_null(t.graph);
    p2p_value x = p2p_input(t.graph, "x", P2P_TYPE_f64, 2, 4, 4);
    p2p_value y =
        nn_norm_apply(t.graph, &pass, t.network, &norm, nn_conv_apply(t.graph, &pass, t.network, &conv, x));
    p2p_value loss = p2p_loss_bce(t.graph, y, 1, 1, "loss");
    p2p_backward(t.graph, &loss, 1, t.network, NULL, 0, NULL);
    p2p_adam(t.graph, t.network, 0.5, 0.999, 1e-8);
    OK(p2p_graph_status(t.graph));
    OK(p2p_device_open("reference", &t.device));
    OK(p2p_session_create(&t.device, 1, NULL, &t.session));
    OK(p2p_session_plan(t.session, "small", &t.graph, &t.plan));
    OK(p2p_session_allocate(t.session, NULL, NULL));
    return t;
}

static small_training open_small(void) {
    return open_with_filters(3);
}

static void close_small(small_training *t) {
    p2p_session_destroy(t->session);
    p2p_device_close(t->device);
    p2p_graph_destroy(t->graph);
    p2p_network_destroy(t->network);
}

static void train_small(small_training *t) {
    OK(p2p_session_initialise(t->session, t->network, 3));
    double *x = test_plan_input(t->plan, 0, "x");
    for (int i = 0; i < 32; i++) x[i] = sin(i);
    OK(p2p_plan_run(t->plan, &(p2p_step){.seed = 1, .learning_rate = 0.1}));
    OK(p2p_plan_wait(t->plan));
}

/* The elements of all pieces, and the size of the largest piece. */
typedef struct {
    double *values;
    int64_t count, largest;
    int pieces;
} taken_pieces;

static p2p_status take_piece(void *context, const void *values, int64_t count) {
    taken_pieces *taken = context;
    memcpy(taken->values + taken->count, values, (size_t)count * sizeof(double));
    taken->count += count;
    taken->pieces++;
    if (count > taken->largest) taken->largest = count;
    return taken->pieces == 3 ? P2P_STOPPED : P2P_OK;
}

/* A filter of 4 MB is read in pieces of at most 1 MB, until the callback fails. */
static void test_pieces(void **state) {
    (void)state;
    enum { FILTERS = 16384, ELEMENTS = FILTERS * 2 * 16 };
    small_training t = open_with_filters(FILTERS);
    OK(p2p_session_initialise(t.session, t.network, 3));
    double *whole = malloc(ELEMENTS * sizeof *whole), *pieces = malloc(ELEMENTS * sizeof *pieces);
    assert_true(whole && pieces);
    OK(p2p_session_read(t.session, t.network, (p2p_param){0}, P2P_STATE_VALUE, P2P_TYPE_f64, whole));
    taken_pieces taken = {.values = pieces};
    assert_int_equal(p2p_session_read_pieces(t.session, t.network, (p2p_param){0}, P2P_STATE_VALUE,
                                             P2P_TYPE_f64, take_piece, &taken),
                     P2P_STOPPED);
    assert_int_equal(taken.pieces, 3);
    assert_true(taken.largest * (int64_t)sizeof(double) <= 1 << 20);
    assert_true(taken.count < ELEMENTS);
    assert_memory_equal(pieces, whole, (size_t)taken.count * sizeof(double));
    free(whole);
    free(pieces);
    close_small(&t);
}

static p2p_status give_piece(void *context, void *values, int64_t count) {
    taken_pieces *given = context;
    memcpy(values, given->values + given->count, (size_t)count * sizeof(double));
    given->count += count;
    given->pieces++;
    if (count > given->largest) given->largest = count;
    return given->pieces == 3 ? P2P_STOPPED : P2P_OK;
}

/* It is written in such pieces as well, until the callback fails; earlier pieces remain. */
static void test_pieces_given(void **state) {
    (void)state;
    enum { FILTERS = 16384, ELEMENTS = FILTERS * 2 * 16 };
    small_training t = open_with_filters(FILTERS);
    OK(p2p_session_initialise(t.session, t.network, 3));
    double *before = malloc(ELEMENTS * sizeof *before), *values = malloc(ELEMENTS * sizeof *values);
    assert_true(before && values);
    OK(p2p_session_read(t.session, t.network, (p2p_param){0}, P2P_STATE_VALUE, P2P_TYPE_f64, before));
    for (int i = 0; i < ELEMENTS; i++) values[i] = i;
    taken_pieces given = {.values = values};
    assert_int_equal(p2p_session_write_pieces(t.session, t.network, (p2p_param){0}, P2P_STATE_VALUE,
                                              P2P_TYPE_f64, give_piece, &given),
                     P2P_STOPPED);
    assert_true(given.largest * (int64_t)sizeof(double) <= 1 << 20);
    const int64_t written = 2 * given.largest;
    memcpy(before, values, (size_t)written * sizeof *before);
    OK(p2p_session_read(t.session, t.network, (p2p_param){0}, P2P_STATE_VALUE, P2P_TYPE_f64, values));
    assert_memory_equal(values, before, ELEMENTS * sizeof *values);
    free(before);
    free(values);
    close_small(&t);
}

enum { SMALL_GROUPS = 3 };

static bool any_device; /* of the first group */

static void small_groups(p2p_network *network, weights_group groups[SMALL_GROUPS]) {
    groups[0] = (weights_group){.network = network, .prefix = "", .passes = 7, .any_device = any_device};
    groups[1] = (weights_group){.network = network, .part = P2P_STATE_MOMENT1, .prefix = "moment1."};
    groups[2] = (weights_group){.network = network, .part = P2P_STATE_MOMENT2, .prefix = "moment2."};
}

static void save_small(small_training *t, const char *path, p2p_type type) {
    weights_group groups[SMALL_GROUPS];
    small_groups(t->network, groups);
    safetensors_writer *writer;
    OK(safetensors_create(path, &writer));
    OK(weights_write(t->session, writer, groups, SMALL_GROUPS, type));
    OK(safetensors_commit(writer));
}

static p2p_status load_small(small_training *t, const char *path) {
    weights_group groups[SMALL_GROUPS];
    small_groups(t->network, groups);
    safetensors_file *file;
    OK(safetensors_open(path, &file));
    p2p_status status = weights_read(t->session, file, groups, SMALL_GROUPS);
    safetensors_close(file);
    return status;
}

/* The state of a trained network is the same bit for bit after writing and reading in double precision. */
static void test_weights_round_trip(void **state) {
    (void)state;
    small_training trained = open_small(), fresh = open_small();
    const char *first = test_own_path("first.safetensors"), *second = test_own_path("second.safetensors");
    train_small(&trained);
    save_small(&trained, first, P2P_TYPE_f64);
    OK(load_small(&fresh, first));
    save_small(&fresh, second, P2P_TYPE_f64);
    size_t first_size, second_size;
    uint8_t *a = test_file_read(first, &first_size), *b = test_file_read(second, &second_size);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(a, b, first_size);
    free(a);
    free(b);
    close_small(&trained);
    close_small(&fresh);
}

/* The tensors of a weights file by name; training has changed them. */
static void test_weights_names(void **state) {
    (void)state;
    static const char *const names[] = {
        "norm.num_batches_tracked",
        "conv.weight",
        "conv.bias",
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
        "moment1.conv.weight",
        "moment1.conv.bias",
        "moment1.norm.weight",
        "moment1.norm.bias",
        "moment2.conv.weight",
        "moment2.conv.bias",
        "moment2.norm.weight",
        "moment2.norm.bias",
    };
    enum { NAMES = sizeof names / sizeof names[0] };
    small_training t = open_small();
    train_small(&t);
    const char *path = test_own_path("names.safetensors");
    save_small(&t, path, P2P_TYPE_f32);
    safetensors_file *file;
    OK(safetensors_open(path, &file));
    assert_int_equal(safetensors_count(file), NAMES);
    for (int i = 0; i < NAMES; i++) {
        const safetensors_entry *entry = safetensors_at(file, i);
        assert_string_equal(entry->name, names[i]);
        double values[3 * 2 * 4 * 4], size = 0;
        OK(safetensors_read(file, entry, P2P_TYPE_f64, values));
        for (int64_t v = 0; v < safetensors_elements(entry); v++) size += fabs(values[v]);
        /* The norm removes the convolution's bias: its gradient is zero except for rounding. */
        if (!strstr(entry->name, "conv.bias")) assert_true(size > 0);
    }
    double passes;
    OK(safetensors_read(file, safetensors_find(file, "norm.num_batches_tracked"), P2P_TYPE_f64, &passes));
    assert_true(passes == 7);
    safetensors_close(file);
    close_small(&t);
}

/* Descriptions of tensors of the small network, for files made by hand. */
#define CONV_WEIGHT        "{\"dtype\":\"F32\",\"shape\":[3,2,4,4],\"data_offsets\":[0,384]}"
#define VECTOR(begin, end) "{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[" begin "," end "]}"
#define NORM_TENSORS(prefix)                                                                                 \
    "\"" prefix "norm.weight\":" VECTOR("396", "408") ",\"" prefix "norm.bias\":" VECTOR(                    \
        "408", "420") ",\"" prefix                                                                           \
                      "norm.running_mean\":" VECTOR("420", "432") ",\"" prefix                               \
                                                                  "norm.running_var\":" VECTOR("432", "444")

static void check_made(const char *header, size_t data_bytes, const char *fragment) {
    small_training t = open_small();
    const weights_group group = {.network = t.network, .prefix = ""};
    safetensors_file *file;
    OK(safetensors_open(safetensors_made(header, data_bytes), &file));
    if (fragment)
        REFUSED(weights_check(file, &group, 1), P2P_INPUT, fragment);
    else
        OK(weights_read(t.session, file, &group, 1));
    safetensors_close(file);
    close_small(&t);
}

static void test_weights_accepted(void **state) {
    (void)state;
    /* Without num_batches_tracked, as old files are. */
    check_made("{\"conv.weight\":" CONV_WEIGHT
               ",\"conv.bias\":" VECTOR("384", "396") "," NORM_TENSORS("") "}",
               444, NULL);
    /* With the names of PyTorch's wrappers for several devices. */
    check_made("{\"module.conv.weight\":" CONV_WEIGHT
               ",\"module.conv.bias\":" VECTOR("384", "396") "," NORM_TENSORS(
                   "module.") ",\"module.norm.num_batches_tracked\":"
                              "{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[444,452]}}",
               452, NULL);
}

static void test_weights_refused(void **state) {
    (void)state;
    check_made("{}", 0, "has no tensor conv.weight");
    check_made("{\"conv.weight\":" CONV_WEIGHT ",\"conv.bias\":" VECTOR("384", "396") "}", 396,
               "has no tensor norm.weight");
    check_made("{\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[2,3,4,4],\"data_offsets\":[0,384]}}", 384,
               "conv.weight has shape [2, 3, 4, 4], the network needs [3, 2, 4, 4]");
    check_made("{\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[96],\"data_offsets\":[0,384]}}", 384,
               "conv.weight has shape [96], the network needs [3, 2, 4, 4]");
    check_made("{\"conv.weight\":{\"dtype\":\"I32\",\"shape\":[3,2,4,4],\"data_offsets\":[0,384]}}", 384,
               "conv.weight holds I32");
    check_made("{\"conv.weight\":" CONV_WEIGHT ",\"conv.bias\":" VECTOR("384", "396") "," NORM_TENSORS(
                   "") ",\"extra\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[444,445]}}",
               445, "has a tensor extra that the network doesn't have");
    check_made("{\"conv.weight\":" CONV_WEIGHT ",\"conv.bias\":" VECTOR("384", "396") "," NORM_TENSORS(
                   "") ",\"module.conv.bias\":" VECTOR("444", "456") "}",
               456, "has a tensor module.conv.bias");
}

/* ---- Values ------------------------------------------------------------------------------------------- */

/* Sets an element of a tensor of doubles in a file, and removes the file's checksum if wanted. */
static void set_element(const char *path, const char *name, int64_t index, double value, bool unseal) {
    static const char seal[] = "\"p2p_checksum\":\"xxh128:";
    safetensors_file *file;
    OK(safetensors_open(path, &file));
    const uint64_t begin = safetensors_find(file, name)->begin;
    safetensors_close(file);
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    const size_t data = 8 + ((size_t)bytes[0] | (size_t)bytes[1] << 8);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (size_t i = 0; i < 8; i++) bytes[data + begin + 8 * (size_t)index + i] = (uint8_t)(bits >> 8 * i);
    char *found = strstr((char *)bytes + 8, seal);
    if (unseal) {
        assert_non_null(found);
        memcpy(found, "\"p2p_unsealed\":\"xxx128:", sizeof seal - 1);
    }
    test_file_write(path, bytes, size);
    free(bytes);
}

/* The state of the small network, with one element of another value, is refused, or accepted without a
 * fragment of the message. */
static void check_element(const char *name, int64_t index, double value, const char *fragment) {
    small_training t = open_small();
    const char *path = test_own_path("values.safetensors");
    train_small(&t);
    save_small(&t, path, P2P_TYPE_f64);
    set_element(path, name, index, value, true);
    if (fragment) {
        REFUSED(load_small(&t, path), P2P_INPUT, fragment);
        MESSAGE_HAS(path);
        MESSAGE_HAS(name);
    } else {
        OK(load_small(&t, path));
    }
    close_small(&t);
}

static void test_values(void **state) {
    (void)state;
    check_element("conv.weight", 95, NAN, "of its 96 elements 1 is NaN or infinite");
    check_element("conv.bias", 0, INFINITY, "of its 3 elements 1 is NaN or infinite");
    check_element("norm.running_mean", 2, -INFINITY, "of its 3 elements 1 is NaN or infinite");
    check_element("norm.running_mean", 2, -1, NULL);
    check_element("norm.running_var", 1, -1e-30, "of its 3 elements 1 is negative");
    check_element("norm.running_var", 1, NAN, "NaN or infinite");
    check_element("norm.running_var", 1, 0, NULL);
    check_element("moment1.conv.weight", 7, -1e300, NULL); /* the reference computes in double precision */
    check_element("moment1.norm.weight", 1, NAN, "NaN or infinite");
    check_element("moment2.norm.bias", 1, -1e-30, "of its 3 elements 1 is negative");
    check_element("conv.weight", 7, -1e300, NULL);
    any_device = true; /* a model's file is refused on each device alike */
    check_element("conv.weight", 7, -1e300, "of its 96 elements 1 is too large for float32");
    check_element("conv.weight", 7, -1e38, NULL);
    check_element("moment1.conv.weight", 7, -1e300, NULL);
    any_device = false;
}

/* Two of three elements; and a number that a device of float32 can't hold. */
static void test_bounds(void **state) {
    (void)state;
    const char *path =
        safetensors_made("{\"a\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[0,24]}}", 24);
    const weights_bounds f32 = {.least = -INFINITY, .beyond = WEIGHTS_BEYOND_F32},
                         f64 = {.least = -INFINITY, .beyond = INFINITY};
    static const double values[] = {0x1.ffffffp+127, -1e300, 0x1.fffffefffp+127};
    for (int i = 0; i < 3; i++) set_element(path, "a", i, values[i], false);
    safetensors_file *file;
    OK(safetensors_open(path, &file));
    const safetensors_entry *entry = safetensors_at(file, 0);
    OK(weights_check_values(file, entry, values, 3, &f64));
    OK(weights_check_values(file, entry, values + 2, 1, &f32));
    assert_true(isinf((float)values[0]) && isfinite((float)values[2]));
    REFUSED(weights_check_values(file, entry, values, 3, &f32), P2P_INPUT,
            "of its 3 elements 2 are too large for float32");
    safetensors_close(file);
}

/* A number that is not finite is not attributed to the writer if the file is damaged. */
static void test_values_of_damaged_file(void **state) {
    (void)state;
    small_training t = open_small();
    const char *path = test_own_path("values.safetensors");
    train_small(&t);
    save_small(&t, path, P2P_TYPE_f64);
    set_element(path, "conv.weight", 3, NAN, false);
    REFUSED(load_small(&t, path), P2P_INPUT, "is damaged: its checksum is not that of its tensors");
    save_small(&t, path, P2P_TYPE_f64);
    set_element(path, "conv.weight", 3, 0.5, false);
    REFUSED(load_small(&t, path), P2P_INPUT, "is damaged: its checksum is not that of its tensors");
    /* Data that the network does not use are compared too. */
    save_small(&t, path, P2P_TYPE_f64);
    set_element(path, "norm.num_batches_tracked", 0, 0.5, false);
    REFUSED(load_small(&t, path), P2P_INPUT, "is damaged: its checksum is not that of its tensors");
    close_small(&t);
}

/* Parts that are read out of order, twice or not at all leave the comparison right. */
static void test_verify_after_parts(void **state) {
    (void)state;
    small_training t = open_small();
    const char *path = test_own_path("parts.safetensors");
    save_small(&t, path, P2P_TYPE_f64);
    close_small(&t);
    safetensors_file *file;
    double values[96];
    OK(safetensors_open(path, &file));
    const safetensors_entry *entry = safetensors_find(file, "conv.weight");
    OK(safetensors_read_part(file, entry, 50, 40, P2P_TYPE_f64, values));
    OK(safetensors_read_part(file, entry, 0, 50, P2P_TYPE_f64, values));
    OK(safetensors_read_part(file, safetensors_find(file, "conv.bias"), 0, 3, P2P_TYPE_f64, values));
    OK(safetensors_read_part(file, entry, 50, 46, P2P_TYPE_f64, values));
    OK(safetensors_verify(file));
    OK(safetensors_read(file, entry, P2P_TYPE_f64, values));
    OK(safetensors_verify(file));
    safetensors_close(file);
    safetensors_writer *writer;
    OK(safetensors_create(path, &writer));
    REFUSED(safetensors_add_metadata(writer, "p2p_checksum", "x"), P2P_INVALID,
            "written by safetensors_commit");
    safetensors_abandon(writer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_weights_round_trip),
        TEST_IN_FOLDER(test_weights_names),
        TEST_IN_FOLDER(test_weights_accepted),
        TEST_IN_FOLDER(test_weights_refused),
        TEST_IN_FOLDER(test_pieces),
        TEST_IN_FOLDER(test_pieces_given),
        TEST_IN_FOLDER(test_values),
        TEST_IN_FOLDER(test_bounds),
        TEST_IN_FOLDER(test_values_of_damaged_file),
        TEST_IN_FOLDER(test_verify_after_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
