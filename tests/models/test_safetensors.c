/* The safetensors format, the weights of networks in it, and atomic writing: files are read back bit for bit,
 * and every error in a file is refused with its name. test_model_file tests model files and mutations,
 * test_golden files made by PyTorch.
 */
#include "model_file.h"
#include "p2p_file.h"
#include "support/test_files.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/test_plan.h"

/* ---- Atomic files ------------------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text) {
    p2p_atomic_file file;
    OK(p2p_atomic_open(&file, path));
    assert_int_equal(fwrite(text, 1, strlen(text), file.stream), strlen(text));
    OK(p2p_atomic_commit(&file));
}

static void assert_file_is(const char *path, const char *text) {
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    assert_string_equal((char *)bytes, text);
    free(bytes);
}

static void test_atomic_replaces(void **state) {
    (void)state;
    const char *path = test_own_path("file");
    write_text(path, "old");
    p2p_atomic_file file;
    OK(p2p_atomic_open(&file, path));
    fputs("new", file.stream);
    assert_file_is(path, "old"); /* until it is committed */
    OK(p2p_atomic_commit(&file));
    assert_file_is(path, "new");
    OK(p2p_atomic_open(&file, path));
    fputs("newer", file.stream);
    p2p_atomic_abandon(&file);
    assert_file_is(path, "new");
    p2p_atomic_abandon(&file);
    assert_int_equal(test_folder_entries(test_own_folder), 1);
}

/* A limit on file sizes simulates a full disk. */
static void test_atomic_full_disk(void **state) {
    (void)state;
    const char *path = test_own_path("file");
    write_text(path, "old");
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 4, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    p2p_atomic_file file;
    p2p_status opened = p2p_atomic_open(&file, path);
    if (opened == P2P_OK) fputs("much longer", file.stream);
    const p2p_status committed = opened == P2P_OK ? p2p_atomic_commit(&file) : opened;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    OK(opened);
    REFUSED(committed, P2P_IO, path);
    assert_file_is(path, "old");
    assert_int_equal(test_folder_entries(test_own_folder), 1);
}

static void test_atomic_refuses(void **state) {
    (void)state;
    p2p_atomic_file file;
    REFUSED(p2p_atomic_open(&file, test_own_folder), P2P_IO, "it is a folder");
    REFUSED(p2p_atomic_open(&file, test_own_path("missing/file")), P2P_IO, "missing/file: No such file");
    REFUSED(p2p_atomic_open(&file, ""), P2P_IO, "no file name");
    p2p_atomic_abandon(&file);
}

static void test_open_refuses(void **state) {
    (void)state;
    FILE *stream;
    uint64_t size;
    REFUSED(p2p_file_open(test_own_path("missing"), &stream, &size), P2P_INPUT, "missing");
    REFUSED(p2p_file_open(test_own_folder, &stream, &size), P2P_INPUT, "it is a folder");
    assert_int_equal(mkfifo(test_own_path("pipe"), 0600), 0);
    REFUSED(p2p_file_open(test_own_path("pipe"), &stream, &size), P2P_INPUT, "it is not a file");
}

/* ---- Files made by hand ------------------------------------------------------------------------------- */

/* The path of a file with this header text and `data_bytes` bytes of data that count up. */
static const char *file_of(const char *header, size_t data_bytes) {
    const size_t length = strlen(header), size = 8 + length + data_bytes;
    uint8_t *bytes = calloc(size, 1);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++) bytes[8 + length + i] = (uint8_t)i;
    const char *path = test_own_path("made.safetensors");
    test_file_write(path, bytes, size);
    free(bytes);
    return path;
}

static const struct {
    const char *header;
    size_t data_bytes;
    const char *fragment;
} bad_files[] = {
    {"", 0, "not valid JSON"},
    {"{", 0, "not valid JSON"},
    {"{} x", 0, "not valid JSON"},
    {"[]", 0, "not a JSON object"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
     1, "not valid JSON"},
    {"{\"__metadata__\":[]}", 0, "metadata are not a JSON object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "metadata is not a string"},
    {"{\"a\":1}", 0, "tensor a: its description"},
    {"{\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "name is empty"},
    {"{\"a\\u001b[2J\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "control characters"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a: dtype"},
    {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a: dtype"},
    {"{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a: dtype"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "tensor a: shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, "tensor a: shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "tensor a: shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "tensor a: shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "tensor a: data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "tensor a: data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, "tensor a: data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, "tensor a: data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1, "beyond the end of the file"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,9223372036854775807]}}", 1,
     "beyond the end"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "size of its shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}", 8,
     "size of its shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
     "size of its shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
     3, "tensor b: its data overlap"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}",
     5, "tensor b: bytes before"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 3, "bytes at its end"},
};

static void test_bad_files(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        safetensors_file *file;
        const char *path = file_of(bad_files[i].header, bad_files[i].data_bytes);
        REFUSED(safetensors_open(path, &file), P2P_INPUT, bad_files[i].fragment);
        MESSAGE_HAS(path);
        assert_null(file);
    }
}

static void test_bad_lengths(void **state) {
    (void)state;
    const char *path = test_own_path("made.safetensors");
    safetensors_file *file;
    test_file_write(path, "", 0);
    REFUSED(safetensors_open(path, &file), P2P_INPUT, "too short");
    test_file_write(path, "\2\0\0\0\0\0\0", 7);
    REFUSED(safetensors_open(path, &file), P2P_INPUT, "too short");
    test_file_write(path, "\3\0\0\0\0\0\0\0{}", 10);
    REFUSED(safetensors_open(path, &file), P2P_INPUT, "longer than the file");
    test_file_write(path, "\377\377\377\377\377\377\377\377{}", 10);
    REFUSED(safetensors_open(path, &file), P2P_INPUT, "longer than the file");
    const size_t size = (16 << 20) + 16; /* one byte more than 16 MB of header */
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, ' ', size);
    memcpy(bytes, "\1\0\0\1\0\0\0\0{}", 10);
    test_file_write(path, bytes, size);
    free(bytes);
    REFUSED(safetensors_open(path, &file), P2P_INPUT, "longer than 16 MB");
}

/* A file that shrinks after it was opened. */
static void test_vanishing_data(void **state) {
    (void)state;
    const char *path = file_of("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
    safetensors_file *file;
    OK(safetensors_open(path, &file));
    test_file_write(path, "", 0);
    float values[2];
    REFUSED(safetensors_read(file, safetensors_at(file, 0), P2P_TYPE_f32, values), P2P_INPUT, "tensor a");
    safetensors_close(file);
}

/* ---- Elements ----------------------------------------------------------------------------------------- */

/* Bits of one element of a dtype, and its value. */
static const struct {
    safetensors_dtype dtype;
    uint64_t bits;
    double value;
} elements[] = {
    {SAFETENSORS_F64, 0x3fb999999999999au, 0.1},
    {SAFETENSORS_F64, 0x8000000000000001u, -0x1p-1074},
    {SAFETENSORS_F32, 0x3dcccccdu, 0x1.99999ap-4},
    {SAFETENSORS_F32, 0x80000001u, -0x1p-149},
    {SAFETENSORS_F32, 0xff800000u, -INFINITY},
    {SAFETENSORS_F16, 0x0000u, 0},
    {SAFETENSORS_F16, 0x0001u, 0x1p-24},
    {SAFETENSORS_F16, 0x83ffu, -0x1.ff8p-15},
    {SAFETENSORS_F16, 0x0400u, 0x1p-14},
    {SAFETENSORS_F16, 0x3c00u, 1},
    {SAFETENSORS_F16, 0xc101u, -2.501953125},
    {SAFETENSORS_F16, 0x7bffu, 65504},
    {SAFETENSORS_F16, 0x7c00u, INFINITY},
    {SAFETENSORS_F16, 0xfc00u, -INFINITY},
    {SAFETENSORS_F16, 0x7e00u, NAN},
    {SAFETENSORS_BF16, 0x3f80u, 1},
    {SAFETENSORS_BF16, 0xc049u, -3.140625},
    {SAFETENSORS_BF16, 0x0001u, 0x1p-133},
    {SAFETENSORS_BF16, 0x7fc0u, NAN},
    {SAFETENSORS_I64, 0xffffffffffffffffu, -1},
    {SAFETENSORS_I64, 0x8000000000000000u, -0x1p63},
    {SAFETENSORS_I64, 0x0000000000000003u, 3},
    {SAFETENSORS_I32, 0x80000000u, -0x1p31},
    {SAFETENSORS_I16, 0xfffeu, -2},
    {SAFETENSORS_I8, 0x80u, -128},
    {SAFETENSORS_I8, 0x7fu, 127},
    {SAFETENSORS_U64, 0x8000000000000000u, 0x1p63},
    {SAFETENSORS_U32, 0xffffffffu, 0x1.fffffffep31},
    {SAFETENSORS_U16, 0xffffu, 65535},
    {SAFETENSORS_U8, 0xffu, 255},
    {SAFETENSORS_BOOL, 0x01u, 1},
};

static const int element_bytes[] = {
#define X(name, bytes) bytes,
    SAFETENSORS_DTYPE_LIST(X)
#undef X
};

static void assert_same_value(double actual, double expected) {
    if (isnan(expected))
        assert_true(isnan(actual));
    else
        assert_memory_equal(&actual, &expected, sizeof actual); /* -0 is not 0 */
}

static void test_elements(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
        const int bytes = element_bytes[elements[i].dtype];
        char header[128];
        snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[1],\"data_offsets\":[0,%d]}}",
                 safetensors_dtype_name(elements[i].dtype), bytes);
        const char *path = file_of(header, (size_t)bytes);
        FILE *stream = fopen(path, "r+b");
        assert_non_null(stream);
        assert_int_equal(fseek(stream, -bytes, SEEK_END), 0);
        for (int b = 0; b < bytes; b++) fputc((int)(elements[i].bits >> (8 * b) & 0xff), stream);
        assert_int_equal(fclose(stream), 0);
        safetensors_file *file;
        OK(safetensors_open(path, &file));
        double f64;
        float f32;
        OK(safetensors_read(file, safetensors_at(file, 0), P2P_TYPE_f64, &f64));
        OK(safetensors_read(file, safetensors_at(file, 0), P2P_TYPE_f32, &f32));
        assert_same_value(f64, elements[i].value);
        assert_same_value(f32, (float)elements[i].value);
        safetensors_close(file);
    }
}

/* More than one chunk, a scalar, an empty tensor, names and metadata that need escapes. */
static void test_round_trip(void **state) {
    (void)state;
    enum { COUNT = 40000 };
    double *wide = malloc(COUNT * sizeof *wide);
    float *narrow = malloc(COUNT * sizeof *narrow);
    assert_true(wide && narrow);
    for (int i = 0; i < COUNT; i++) {
        wide[i] = i / 3.0;
        narrow[i] = (float)i / 7;
    }
    const char *path = test_own_path("trip.safetensors");
    const int64_t integer = INT64_MIN + 1, shapes[] = {COUNT, 200, 200, 0};
    safetensors_writer *writer;
    OK(safetensors_create(path, &writer));
    OK(safetensors_add_metadata(writer, "quote \"", "line\nbreak, gr\xc3\xbc\xc3\x9f"));
    OK(safetensors_declare(writer, "count", SAFETENSORS_I64, 0, NULL));
    OK(safetensors_declare(writer, "wide", SAFETENSORS_F64, 1, shapes));
    OK(safetensors_declare(writer, "a \"b\"", SAFETENSORS_F32, 2, shapes + 1));
    OK(safetensors_declare(writer, "empty", SAFETENSORS_F32, 2, shapes + 2));
    OK(safetensors_write(writer, &integer));
    OK(safetensors_write_part(writer, wide, 7));
    REFUSED(safetensors_write(writer, wide), P2P_INVALID, "half written");
    OK(safetensors_write_part(writer, wide + 7, COUNT - 7));
    OK(safetensors_write(writer, narrow));
    OK(safetensors_write(writer, narrow));
    OK(safetensors_commit(writer));

    safetensors_file *file;
    OK(safetensors_open(path, &file));
    assert_int_equal(safetensors_count(file), 4);
    assert_string_equal(safetensors_metadata(file, "quote \""), "line\nbreak, gr\xc3\xbc\xc3\x9f");
    assert_null(safetensors_metadata(file, "other"));
    assert_null(safetensors_find(file, "other"));
    double count, *wide_back = malloc(COUNT * sizeof *wide_back);
    float *narrow_back = malloc(COUNT * sizeof *narrow_back);
    assert_true(wide_back && narrow_back);
    OK(safetensors_read(file, safetensors_find(file, "count"), P2P_TYPE_f64, &count));
    assert_true(count == (double)integer);
    OK(safetensors_read(file, safetensors_find(file, "wide"), P2P_TYPE_f64, wide_back));
    assert_memory_equal(wide_back, wide, COUNT * sizeof *wide);
    const safetensors_entry *entry = safetensors_find(file, "a \"b\"");
    char text[32];
    safetensors_shape_text(entry, text, sizeof text);
    assert_string_equal(text, "[200, 200]");
    OK(safetensors_read(file, entry, P2P_TYPE_f32, narrow_back));
    assert_memory_equal(narrow_back, narrow, COUNT * sizeof *narrow);
    assert_int_equal(safetensors_elements(safetensors_find(file, "empty")), 0);
    memset(wide_back, 0, COUNT * sizeof *wide_back);
    OK(safetensors_read_part(file, safetensors_find(file, "wide"), COUNT - 5, 5, P2P_TYPE_f64, wide_back));
    assert_memory_equal(wide_back, wide + COUNT - 5, 5 * sizeof *wide);
    assert_true(wide_back[5] == 0);
    OK(safetensors_read_part(file, safetensors_find(file, "wide"), COUNT, 0, P2P_TYPE_f64, wide_back));
    REFUSED(safetensors_read_part(file, entry, COUNT - 5, 6, P2P_TYPE_f32, narrow_back), P2P_INVALID,
            "39995");
    REFUSED(safetensors_read_part(file, entry, -1, 2, P2P_TYPE_f32, narrow_back), P2P_INVALID, "-1");
    safetensors_close(file);

    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    assert_int_equal((bytes[0] | bytes[1] << 8) % 8, 0); /* data are aligned to 8 bytes */
    free(bytes);
    free(wide);
    free(narrow);
    free(wide_back);
    free(narrow_back);
}

/* A part may end one tensor and continue in the next; a file with an incomplete last tensor is refused. */
static void test_parts(void **state) {
    (void)state;
    const char *path = test_own_path("parts.safetensors");
    const int64_t three = 3;
    const float values[6] = {1, 2, 3, 4, 5, 6};
    for (int count = 5; count <= 6; count++) {
        safetensors_writer *writer;
        OK(safetensors_create(path, &writer));
        OK(safetensors_declare(writer, "a", SAFETENSORS_F32, 1, &three));
        OK(safetensors_declare(writer, "b", SAFETENSORS_F32, 1, &three));
        OK(safetensors_write_part(writer, values, 2));
        OK(safetensors_write_part(writer, values + 2, count - 2));
        if (count == 6) REFUSED(safetensors_write_part(writer, values, 1), P2P_INVALID, "more tensors");
        if (count == 5)
            REFUSED(safetensors_commit(writer), P2P_INVALID, "b was declared but not written");
        else
            OK(safetensors_commit(writer));
    }
    safetensors_file *file;
    float back[6];
    OK(safetensors_open(path, &file));
    OK(safetensors_read(file, safetensors_find(file, "a"), P2P_TYPE_f32, back));
    OK(safetensors_read(file, safetensors_find(file, "b"), P2P_TYPE_f32, back + 3));
    assert_memory_equal(back, values, sizeof values);
    safetensors_close(file);
}

static void test_writer_misuse(void **state) {
    (void)state;
    const char *path = test_own_path("misuse.safetensors");
    const int64_t negative = -1, two = 2, huge[] = {INT64_MAX, 2};
    const float values[2] = {1, 2};
    safetensors_writer *writer;
    OK(safetensors_create(path, &writer));
    OK(safetensors_declare(writer, "a", SAFETENSORS_F32, 1, &two));
    REFUSED(safetensors_declare(writer, "a", SAFETENSORS_F32, 1, &two), P2P_INVALID, "declared twice");
    REFUSED(safetensors_declare(writer, "b", SAFETENSORS_F32, 1, &negative), P2P_INVALID, "valid shape");
    REFUSED(safetensors_declare(writer, "b", SAFETENSORS_F32, 2, huge), P2P_INVALID, "too large");
    REFUSED(safetensors_declare(writer, "b", SAFETENSORS_F16, 1, &two), P2P_INVALID, "only F64, F32 and I64");
    REFUSED(safetensors_declare(writer, "__metadata__", SAFETENSORS_F32, 1, &two), P2P_INVALID, "named");
    REFUSED(safetensors_declare(writer, "\xff", SAFETENSORS_F32, 1, &two), P2P_INVALID, "UTF-8");
    REFUSED(safetensors_add_metadata(writer, "a", "\xff"), P2P_INVALID, "UTF-8");
    OK(safetensors_write(writer, values));
    REFUSED(safetensors_write(writer, values), P2P_INVALID, "more tensors");
    REFUSED(safetensors_declare(writer, "b", SAFETENSORS_F32, 1, &two), P2P_INVALID, "after the first");
    REFUSED(safetensors_add_metadata(writer, "a", "b"), P2P_INVALID, "after the first");
    safetensors_abandon(writer);
    OK(safetensors_create(path, &writer));
    OK(safetensors_declare(writer, "a", SAFETENSORS_F32, 1, &two));
    REFUSED(safetensors_commit(writer), P2P_INVALID, "not written");
    assert_int_equal(test_folder_entries(test_own_folder), 0);
}

/* ---- Weights ------------------------------------------------------------------------------------------ */

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

static void small_groups(p2p_network *network, weights_group groups[SMALL_GROUPS]) {
    groups[0] = (weights_group){.network = network, .prefix = "", .passes = 7};
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
    OK(safetensors_open(file_of(header, data_bytes), &file));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_atomic_replaces),
        TEST_IN_FOLDER(test_atomic_full_disk),
        TEST_IN_FOLDER(test_atomic_refuses),
        TEST_IN_FOLDER(test_open_refuses),
        TEST_IN_FOLDER(test_bad_files),
        TEST_IN_FOLDER(test_bad_lengths),
        TEST_IN_FOLDER(test_vanishing_data),
        TEST_IN_FOLDER(test_elements),
        TEST_IN_FOLDER(test_round_trip),
        TEST_IN_FOLDER(test_writer_misuse),
        TEST_IN_FOLDER(test_weights_round_trip),
        TEST_IN_FOLDER(test_weights_names),
        TEST_IN_FOLDER(test_weights_accepted),
        TEST_IN_FOLDER(test_weights_refused),
        TEST_IN_FOLDER(test_parts),
        TEST_IN_FOLDER(test_pieces),
        TEST_IN_FOLDER(test_pieces_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
