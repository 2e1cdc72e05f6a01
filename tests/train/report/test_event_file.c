/* Event files: the checksum against its published check value, records, and fields of messages, which are
 * read here by hand. That TensorBoard reads them is shown by program/test_events.sh. */
#include "report/event_file.h"
#include "support/test_bytes.h"
#include "support/test_files.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

static void test_checksum(void **state) {
    (void)state;
    static const uint8_t digits[] = "123456789", zeros[32] = {0};
    assert_int_equal(event_file_crc(digits, 9), 0xe3069283); /* the check value of CRC-32C */
    assert_int_equal(event_file_crc(zeros, 32), 0x8a9136aa); /* RFC 3720, B.4 */
    assert_int_equal(event_file_crc(digits, 0), 0);
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

static uint32_t masked(const uint8_t *bytes, size_t size) {
    const uint32_t crc = event_file_crc(bytes, size);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* A part of memory. */
typedef struct {
    const uint8_t *at;
    size_t size;
} part;

/* Takes the next record from the front of a file. */
static part next_record(part *file) {
    assert_true(file->size >= 16);
    const uint64_t size = get_low_first(file->at, 8);
    assert_int_equal(get_low_first(file->at + 8, 4), masked(file->at, 8));
    assert_true(size + 16 <= file->size);
    const part record = {file->at + 12, size};
    assert_int_equal(get_low_first(record.at + size, 4), masked(record.at, size));
    *file = (part){file->at + size + 16, file->size - size - 16};
    return record;
}

static uint64_t take_varint(part *from) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(from->size > 0 && shift < 64);
        const uint8_t byte = *from->at++;
        from->size--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
}

/* The `nth` field of a number in a message, as its bytes or, of a varint, its value; fails if there is none.
 */
static part field(part message, int number, int nth, uint64_t *value) {
    while (message.size > 0) {
        const uint64_t key = take_varint(&message);
        const int wire = (int)(key & 7);
        if (wire == 0) {
            const uint64_t found = take_varint(&message);
            if ((int)(key >> 3) == number && nth-- == 0) {
                *value = found;
                return (part){0};
            }
            continue;
        }
        const uint64_t size = wire == 2 ? take_varint(&message) : wire == 1 ? 8 : 4;
        assert_true(size <= message.size);
        const part found = {message.at, size};
        message = (part){message.at + size, message.size - size};
        if ((int)(key >> 3) == number && nth-- == 0) return found;
    }
    fail_msg("field %d is missing", number);
    return (part){0};
}

static uint64_t number_of(part message, int number) {
    uint64_t value = 0;
    (void)field(message, number, 0, &value);
    return value;
}

static void expect_text(part found, const char *expected) {
    assert_int_equal(found.size, strlen(expected));
    assert_memory_equal(found.at, expected, found.size);
}

/* ---- Writing ------------------------------------------------------------------------------------------- */

static void write_file(const char *folder) {
    static const event_scalar scalars[] = {{"loss/a", 0.25}, {"loss/none", NAN}, {"loss/b", -3}};
    static const uint8_t png[] = "not looked at";
    event_file *file;
    json_t *settings =
        json_pack("{s:i, s:s, s:b, s:n, s:{}}", "size", 64, "norm", "batch", "flip", 1, "none", "origin");
    OK(event_file_create(&file, folder, "0123456789abcdef0123456789abcdef", 300));
    OK(event_file_settings(file, settings, "name"));
    OK(event_file_scalars(file, 1234567, scalars, 3));
    OK(event_file_picture(file, 7, "samples", 300, 20, png, sizeof png));
    OK(event_file_flush(file));
    event_file_close(file);
    json_decref(settings);
}

/* The bytes of the only file of a folder. */
static uint8_t *read_only_file(const char *folder, size_t *size) {
    DIR *opened = opendir(folder);
    uint8_t *bytes = NULL;
    assert_non_null(opened);
    for (const struct dirent *entry; (entry = readdir(opened)) != NULL;)
        if (strstr(entry->d_name, "tfevents")) bytes = test_file_read(test_path(folder, entry->d_name), size);
    closedir(opened);
    assert_non_null(bytes);
    return bytes;
}

static part summary_value(part event, int nth) {
    uint64_t unused;
    return field(field(event, 5, 0, &unused), 1, nth, &unused);
}

static void test_records(void **state) {
    (void)state;
    char *folder = test_folder_make();
    uint64_t unused;
    part file = {0};
    write_file(folder);
    uint8_t *bytes = read_only_file(folder, &file.size);
    file.at = bytes;
    const part version = next_record(&file), session = next_record(&file), settings = next_record(&file),
               scalars = next_record(&file), picture = next_record(&file);
    assert_int_equal(file.size, 0);
    expect_text(field(version, 3, 0, &unused), "brain.Event:2");
    assert_int_equal(field(version, 1, 0, &unused).size, 8); /* the time */
    assert_int_equal(number_of(session, 2), 300);
    assert_int_equal(number_of(field(session, 7, 0, &unused), 1), 1);
    expect_text(field(summary_value(settings, 0), 1, 0, &unused), "_hparams_/session_start_info");
    assert_int_equal(number_of(scalars, 2), 1234567);
    expect_text(field(summary_value(scalars, 0), 1, 0, &unused), "loss/a");
    assert_int_equal(get_low_first(field(summary_value(scalars, 0), 2, 0, &unused).at, 4),
                     0x3e800000);                                           /* 0.25 */
    expect_text(field(summary_value(scalars, 1), 1, 0, &unused), "loss/b"); /* NAN is left out */
    const part shown = field(summary_value(picture, 0), 4, 0, &unused);
    assert_int_equal(number_of(shown, 1), 20);
    assert_int_equal(number_of(shown, 2), 300);
    expect_text((part){field(shown, 4, 0, &unused).at, 13}, "not looked at");
    free(bytes);
    test_folder_remove(folder);
}

/* Files that are made in one second have different names; nothing is overwritten. */
static void test_names(void **state) {
    (void)state;
    char *folder = test_folder_make();
    for (int i = 0; i < 5; i++) write_file(folder);
    assert_int_equal(test_folder_entries(folder), 5);
    test_folder_remove(folder);
}

/* The identity in a name; names of other programs and of older versions have none. */
static void test_identities(void **state) {
    (void)state;
    static const char *const others[] = {"events.out.tfevents.1700000000.0.p2p",
                                         "events.out.tfevents.1700000000.host.123.0",
                                         "events.out.tfevents.1.0.0123456789abcdef.p2p",
                                         "events.out.tfevents.1.0.0123456789abcdef0123456789abcdef.p2pp",
                                         "events.out.tfevents.1.0.0123456789abcdef0123456789abcdef.v2",
                                         "x.events.out.tfevents.1.0.p2p",
                                         ""};
    const char *run;
    assert_true(event_file_run("events.out.tfevents.1.0.0123456789abcdef0123456789abcdef.p2p", &run));
    assert_memory_equal(run, "0123456789abcdef0123456789abcdef", 32);
    for (int i = 0; i < 7; i++) assert_false(event_file_run(others[i], &run));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_identities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
