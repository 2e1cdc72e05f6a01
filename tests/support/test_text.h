/* Texts and files of text. Include it after cmocka. */
#ifndef P2P_TEST_TEXT_H
#define P2P_TEST_TEXT_H

#include "support/test_files.h"

#include <stdlib.h>
#include <string.h>

/* How often a text contains a part; places may overlap. */
static inline int count_text(const char *text, const char *part) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) count++;
    return count;
}

static inline void assert_file_is(const char *path, const char *text) {
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    free(bytes);
}

#endif
