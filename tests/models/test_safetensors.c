/* The safetensors format, and atomic writing: files are read back bit for bit, and every error in a file is
 * refused with its name. test_weights tests the weights of networks in such files, test_model_file model
 * files, mutations and damage, test_golden files made by PyTorch.
 */
#include "p2p_file.h"
#include "safetensors.h"
#include "safetensors_made.h"
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
#include "support/test_text.h"

/* ---- Atomic files ------------------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text) {
    p2p_atomic_file file;
    OK(p2p_atomic_open(&file, path));
    assert_int_equal(fwrite(text, 1, strlen(text), file.stream), strlen(text));
    OK(p2p_atomic_commit(&file));
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
    REFUSED(p2p_file_open(test_own_path("missing"), &stream, &size), P2P_UNREADABLE, "missing");
    REFUSED(p2p_file_open(test_own_folder, &stream, &size), P2P_UNREADABLE, "it is a folder");
    assert_int_equal(mkfifo(test_own_path("pipe"), 0600), 0);
    REFUSED(p2p_file_open(test_own_path("pipe"), &stream, &size), P2P_UNREADABLE, "it is not a file");
}

/* ---- Files made by hand ------------------------------------------------------------------------------- */

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
        const char *path = safetensors_made(bad_files[i].header, bad_files[i].data_bytes);
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
    const char *path = safetensors_made("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
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
        const char *path = safetensors_made(header, (size_t)bytes);
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

enum { TRIP_COUNT = 40000 };

static const int64_t trip_integer = INT64_MIN + 1;

/* The values that test_round_trip writes, and as many to read into. */
typedef struct {
    double wide[TRIP_COUNT], wide_back[TRIP_COUNT];
    float narrow[TRIP_COUNT], narrow_back[TRIP_COUNT];
} trip_values;

static void write_trip(const char *path, const trip_values *v) {
    const int64_t shapes[] = {TRIP_COUNT, 200, 200, 0};
    safetensors_writer *writer;
    OK(safetensors_create(path, &writer));
    OK(safetensors_add_metadata(writer, "quote \"", "line\nbreak, gr\xc3\xbc\xc3\x9f"));
    OK(safetensors_declare(writer, "count", SAFETENSORS_I64, 0, NULL));
    OK(safetensors_declare(writer, "wide", SAFETENSORS_F64, 1, shapes));
    OK(safetensors_declare(writer, "a \"b\"", SAFETENSORS_F32, 2, shapes + 1));
    OK(safetensors_declare(writer, "empty", SAFETENSORS_F32, 2, shapes + 2));
    OK(safetensors_write(writer, &trip_integer));
    OK(safetensors_write_part(writer, v->wide, 7));
    REFUSED(safetensors_write(writer, v->wide), P2P_INVALID, "half written");
    OK(safetensors_write_part(writer, v->wide + 7, TRIP_COUNT - 7));
    OK(safetensors_write(writer, v->narrow));
    OK(safetensors_write(writer, v->narrow));
    OK(safetensors_commit(writer));
}

static void check_whole_tensors(safetensors_file *file, trip_values *v) {
    assert_int_equal(safetensors_count(file), 4);
    assert_string_equal(safetensors_metadata(file, "quote \""), "line\nbreak, gr\xc3\xbc\xc3\x9f");
    assert_null(safetensors_metadata(file, "other"));
    assert_null(safetensors_find(file, "other"));
    double count;
    OK(safetensors_read(file, safetensors_find(file, "count"), P2P_TYPE_f64, &count));
    assert_true(count == (double)trip_integer);
    OK(safetensors_read(file, safetensors_find(file, "wide"), P2P_TYPE_f64, v->wide_back));
    assert_memory_equal(v->wide_back, v->wide, sizeof v->wide);
    const safetensors_entry *entry = safetensors_find(file, "a \"b\"");
    char text[32];
    safetensors_shape_text(entry, text, sizeof text);
    assert_string_equal(text, "[200, 200]");
    OK(safetensors_read(file, entry, P2P_TYPE_f32, v->narrow_back));
    assert_memory_equal(v->narrow_back, v->narrow, sizeof v->narrow);
    assert_int_equal(safetensors_elements(safetensors_find(file, "empty")), 0);
}

static void check_parts_of_tensors(safetensors_file *file, trip_values *v) {
    const safetensors_entry *wide = safetensors_find(file, "wide"),
                            *narrow = safetensors_find(file, "a \"b\"");
    memset(v->wide_back, 0, sizeof v->wide_back);
    OK(safetensors_read_part(file, wide, TRIP_COUNT - 5, 5, P2P_TYPE_f64, v->wide_back));
    assert_memory_equal(v->wide_back, v->wide + TRIP_COUNT - 5, 5 * sizeof v->wide[0]);
    assert_true(v->wide_back[5] == 0);
    OK(safetensors_read_part(file, wide, TRIP_COUNT, 0, P2P_TYPE_f64, v->wide_back));
    REFUSED(safetensors_read_part(file, narrow, TRIP_COUNT - 5, 6, P2P_TYPE_f32, v->narrow_back), P2P_INVALID,
            "39995");
    REFUSED(safetensors_read_part(file, narrow, -1, 2, P2P_TYPE_f32, v->narrow_back), P2P_INVALID, "-1");
}

/* More than one chunk, a scalar, an empty tensor, names and metadata that need escapes. */
static void test_round_trip(void **state) {
    (void)state;
    trip_values *v = calloc(1, sizeof *v);
    assert_non_null(v);
    for (int i = 0; i < TRIP_COUNT; i++) {
        v->wide[i] = i / 3.0;
        v->narrow[i] = (float)i / 7;
    }
    const char *path = test_own_path("trip.safetensors");
    write_trip(path, v);
    safetensors_file *file;
    OK(safetensors_open(path, &file));
    check_whole_tensors(file, v);
    check_parts_of_tensors(file, v);
    safetensors_close(file);
    free(v);

    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    assert_int_equal((bytes[0] | bytes[1] << 8) % 8, 0); /* data are aligned to 8 bytes */
    free(bytes);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_atomic_replaces), TEST_IN_FOLDER(test_atomic_full_disk),
        TEST_IN_FOLDER(test_atomic_refuses),  TEST_IN_FOLDER(test_open_refuses),
        TEST_IN_FOLDER(test_bad_files),       TEST_IN_FOLDER(test_bad_lengths),
        TEST_IN_FOLDER(test_vanishing_data),  TEST_IN_FOLDER(test_elements),
        TEST_IN_FOLDER(test_round_trip),      TEST_IN_FOLDER(test_writer_misuse),
        TEST_IN_FOLDER(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
