/* Texts from outside: messages of any length, and lines that nothing in a name can forge. */
#include "host/log.h"
#include "p2p.h"
#include "p2p_checksum.h"
#include "p2p_printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Lines -------------------------------------------------------------------------------------------- */

static char printed[4096];

static FILE *begin(void) {
    FILE *stream = tmpfile();
    assert_non_null(stream);
    return stream;
}

static void end(FILE *stream) {
    rewind(stream);
    printed[fread(printed, 1, sizeof printed - 1, stream)] = '\0';
    fclose(stream);
}

static void assert_line(const char *text, const char *expected) {
    FILE *stream = begin();
    p2p_print_line(stream, "label: ", "%s", text);
    end(stream);
    char line[1024];
    snprintf(line, sizeof line, "label: %s\n", expected);
    assert_string_equal(printed, line);
    assert_int_equal(p2p_is_printable(text), strcmp(text, expected) == 0);
}

static void test_lines(void **state) {
    (void)state;
    assert_line("", "");
    assert_line("plain \\x0a", "plain \\x0a");
    assert_line("b\xc3\xa4r \xe2\x82\xac \xf0\x9f\x98\x80", "b\xc3\xa4r \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_line("\xe2\x9d\xa4\xef\xb8\x8f",
                "\xe2\x9d\xa4\xef\xb8\x8f"); /* a variation selector of an emoji */
    assert_line("a\np2p: forged", "a\\x0ap2p: forged");
    assert_line("\r\t\x1b[2J\x7f", "\\x0d\\x09\\x1b[2J\\x7f");
    assert_line("\xc2\x9b\x41", "\\xc2\\x9b\x41");
    assert_line("caf\xe9\xff", "caf\\xe9\\xff");
    assert_line("\xc0\xaf\xed\xa0\x80\xe2\x82", "\\xc0\\xaf\\xed\\xa0\\x80\\xe2\\x82");
}

/* Every format character that the issue of forged lines names, and the neighbours that are shown. */
static void test_format_characters(void **state) {
    (void)state;
    static const char *const hidden[] = {
        "\xc2\x85",     "\xc2\xad",         "\xd8\x9c",         "\xe1\xa0\x8e",    "\xe2\x80\x8b",
        "\xe2\x80\x8e", "\xe2\x80\x8f",     "\xe2\x80\xa8",     "\xe2\x80\xa9",    "\xe2\x80\xaa",
        "\xe2\x80\xab", "\xe2\x80\xac",     "\xe2\x80\xad",     "\xe2\x80\xae",    "\xe2\x81\xa0",
        "\xe2\x81\xa6", "\xe2\x81\xa7",     "\xe2\x81\xa8",     "\xe2\x81\xa9",    "\xef\xbb\xbf",
        "\xef\xbf\xb9", "\xf3\xa0\x80\x81", "\xf3\xa0\x81\xbf", "\xf3\xa0\x84\x80"};
    static const char *const shown[] = {"\xc2\xa0",     "\xc2\xac",     "\xc2\xae",
                                        "\xd8\x9b",     "\xe2\x80\x90", "\xe2\x80\xa7",
                                        "\xe2\x80\xaf", "\xe2\x81\xb0", "\xef\xbf\xbd"};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        char escaped[64] = "";
        for (const char *c = hidden[i]; *c; c++)
            snprintf(escaped + strlen(escaped), sizeof escaped - strlen(escaped), "\\x%02x",
                     (unsigned char)*c);
        assert_line(hidden[i], escaped);
    }
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) assert_line(shown[i], shown[i]);
}

static void test_log_and_warnings(void **state) {
    (void)state;
    FILE *stream = begin();
    p2p_log_to(stream);
    p2p_warnings_to(stream);
    p2p_log("name %s", "a\nwarning: forged");
    p2p_warn("name %s", "\xe2\x80\xae"
                        "b\n");
    p2p_log_to(NULL);
    p2p_warnings_to(NULL);
    end(stream);
    assert_string_equal(printed, "name a\\x0awarning: forged\nwarning: name \\xe2\\x80\\xaeb\\x0a\n");
}

/* Items that do not fit are left out from the byte on that does not. */
static void test_lists(void **state) {
    (void)state;
    char text[8] = "";
    p2p_list_append(text, sizeof text, "a");
    assert_string_equal(text, "a");
    p2p_list_append(text, sizeof text, "bc");
    assert_string_equal(text, "a, bc");
    p2p_list_append(text, sizeof text, "d");
    p2p_list_append(text, sizeof text, "e");
    assert_string_equal(text, "a, bc, ");
}

/* The published values of FNV-1a. */
static void test_hash(void **state) {
    (void)state;
    assert_true(p2p_fnv1a(P2P_FNV1A_START, "", 0) == P2P_FNV1A_START);
    assert_true(p2p_fnv1a(P2P_FNV1A_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    assert_true(p2p_fnv1a(p2p_fnv1a(P2P_FNV1A_START, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
}

/* ---- Messages ----------------------------------------------------------------------------------------- */

static char *repeated(char c, size_t count) {
    char *text = malloc(count + 1);
    assert_non_null(text);
    memset(text, c, count);
    text[count] = '\0';
    return text;
}

/* A message with three paths of the greatest length, and a hint with a command of five in their longest
 * quotes. */
static void test_long_texts_are_whole(void **state) {
    (void)state;
    char *path = repeated('p', P2P_PATH_BYTES - 1), *quoted = repeated('q', 5 * 4 * P2P_PATH_BYTES);
    p2p_fail(P2P_IO, "%s, %s, %s: end", path, path, path);
    p2p_hint(P2P_IO, "continue with: %s end", quoted);
    assert_int_equal(strlen(p2p_message()), 3 * (P2P_PATH_BYTES - 1) + strlen(", , : end"));
    assert_string_equal(p2p_message() + strlen(p2p_message()) - 5, ": end");
    assert_int_equal(strlen(p2p_message_hint()), strlen("continue with:  end") + strlen(quoted));
    p2p_failure failure;
    p2p_failure_take(&failure, P2P_IO);
    p2p_fail(P2P_FAILED, "another");
    assert_int_equal(p2p_failure_give(&failure), P2P_IO);
    assert_string_equal(p2p_message() + strlen(p2p_message()) - 5, ": end");
    assert_string_equal(p2p_message_hint() + strlen(p2p_message_hint()) - 4, " end");
    free(path);
    free(quoted);
}

/* Of a message that is longer still, the beginning and the end are kept. */
static void test_cuts_are_marked(void **state) {
    (void)state;
    char *text = repeated('x', 2 * P2P_MESSAGE_BYTES);
    p2p_fail(P2P_IO, "begin %s end", text);
    const char *message = p2p_message(), *mark = strstr(message, " [...] ");
    assert_int_equal(strlen(message), P2P_MESSAGE_BYTES - 1);
    assert_int_equal(strncmp(message, "begin xxx", 9), 0);
    assert_string_equal(message + strlen(message) - 7, "xxx end");
    assert_non_null(mark);
    assert_null(strstr(mark + 1, " [...] "));
    p2p_fail(P2P_IO, "again: %s", message); /* an argument may be the old message */
    assert_int_equal(strncmp(p2p_message(), "again: begin xxx", 16), 0);
    p2p_fail(P2P_IO, "short");
    assert_string_equal(p2p_message(), "short");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_format_characters),
        cmocka_unit_test(test_log_and_warnings),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_long_texts_are_whole),
        cmocka_unit_test(test_cuts_are_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
