/* JSON texts when memory runs out: each allocation of a parse and of a dump fails in turn (the linker passes
 * malloc and realloc through this file). The value or text is whole or absent, and nothing leaks
 * (LeakSanitizer).
 */
#include "json_text.h"
#include "p2p_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Faults ------------------------------------------------------------------------------------------- */

static long left = -1; /* allocations until one fails; negative: none does */
static bool lasts;     /* so do the later ones */

static bool fails_now(void) {
    if (left < 0) return false;
    if (left > 0) left--;
    if (left > 0) return false;
    if (!lasts) left = -1;
    return true;
}

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size) {
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *old, size_t size) {
    return fails_now() ? NULL : __real_realloc(old, size);
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

/* Long strings and many keys: jansson's buffers and tables grow several times. */
static char *make_text(void) {
    enum { SIZE = 40000 };
    char *text = malloc(SIZE);
    size_t used = (size_t)snprintf(text, SIZE, "{\"long\":\"%0*d\"", 3000, 7);
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(text + used, SIZE - used,
                                 ",\"a key of some length %d\":[%d,%d.5,\"\\u00e9 %d\",null]", i, i, i, i);
    snprintf(text + used, SIZE - used, "}");
    return text;
}

static json_t *parse(const char *text) {
    json_t *value;
    OK(json_text_parse("file", text, strlen(text), JSON_REJECT_DUPLICATES, &value, NULL));
    assert_non_null(value);
    return value;
}

static void test_parse_without_memory(void **state) {
    (void)state;
    char *text = make_text();
    json_t *whole = parse(text);
    for (int mode = 0; mode < 2; mode++) {
        lasts = mode == 1;
        p2p_status status = P2P_FAILED;
        for (long n = 1; status != P2P_OK; n++) {
            json_t *value = whole;
            left = n;
            status = json_text_parse("file", text, strlen(text), JSON_REJECT_DUPLICATES, &value, NULL);
            const bool injected = left <= 0;
            left = -1;
            if (status == P2P_OK) {
                assert_false(injected);
                assert_true(json_equal(value, whole));
                assert_true(n > 500);
                json_decref(value);
            } else {
                assert_int_equal(status, P2P_OUT_OF_MEMORY);
                assert_string_equal(p2p_message(), "no memory to read file");
                assert_null(value);
            }
        }
    }
    json_decref(whole);
    free(text);
}

static void test_make_without_memory(void **state) {
    (void)state;
    char *source = make_text(), *whole;
    json_t *value = parse(source);
    OK(json_text_make("file", value, JSON_COMPACT, &whole));
    for (int mode = 0; mode < 2; mode++) {
        lasts = mode == 1;
        p2p_status status = P2P_FAILED;
        for (long n = 1; status != P2P_OK; n++) {
            char *text;
            left = n;
            status = json_text_make("file", value, JSON_COMPACT, &text);
            left = -1;
            if (status == P2P_OK) {
                assert_string_equal(text, whole);
                assert_true(n > 4);
                free(text);
            } else {
                assert_int_equal(status, P2P_OUT_OF_MEMORY);
                assert_string_equal(p2p_message(), "no memory to write file");
                assert_null(text);
            }
        }
    }
    free(whole);
    json_decref(value);
    free(source);
}

static void test_other_texts(void **state) {
    (void)state;
    json_t *value;
    char *text;
    json_error_t error;
    OK(json_text_parse("file", "{\"a\": 1, x", 10, 0, &value, &error));
    assert_null(value);
    assert_int_equal(error.position, 10);
    OK(json_text_parse("file", "", 0, 0, &value, NULL));
    assert_null(value);
    assert_int_equal(json_text_make("file", NULL, 0, &text), P2P_OUT_OF_MEMORY);
    assert_null(text);
    /* What is written for people is printable; other texts have all characters as they are. */
    json_t *shown = json_string("a\x7f\xe2\x80\xae\x7f");
    OK(json_text_make("file", shown, JSON_ENCODE_ANY | JSON_ENSURE_ASCII, &text));
    assert_string_equal(text, "\"a\\u007f\\u202E\\u007f\"");
    free(text);
    OK(json_text_make("file", shown, JSON_ENCODE_ANY, &text));
    assert_string_equal(text, "\"a\x7f\xe2\x80\xae\x7f\"");
    free(text);
    json_decref(shown);
    /* Values from before and from after the first parse are released alike. */
    json_t *made = json_pack("{s:s}", "key", "value");
    OK(json_text_make("file", made, 0, &text));
    assert_string_equal(text, "{\"key\": \"value\"}");
    json_decref(made);
    free(text);
}

/* The field is present, or there is no object. */
static void test_add_without_memory(void **state) {
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        lasts = mode == 1;
        json_t *object = NULL;
        for (long n = 1; !object; n++) {
            left = n;
            object = json_text_add(json_object(), "key", true, json_string("value"));
            left = -1;
            if (!object) assert_true(n < 100);
        }
        assert_string_equal(json_string_value(json_object_get(object, "key")), "value");
        json_decref(object);
    }
    json_t *object = json_text_add(json_object(), "key", false, json_string("value"));
    assert_int_equal(json_object_size(object), 0);
    json_decref(object);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_without_memory),
        cmocka_unit_test(test_make_without_memory),
        cmocka_unit_test(test_add_without_memory),
        cmocka_unit_test(test_other_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
