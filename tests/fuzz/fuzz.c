/* See fuzz.h. */
#include "fuzz.h"

#include "p2p.h"
#include "p2p_file.h"
#include "support/test_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder;

void fuzz_require(bool holds, const char *rule) {
    if (holds) return;
    fprintf(stderr, "a promise is broken: %s: %s\n", rule, p2p_message());
    abort();
}

static void remove_folder(void) {
    test_folder_remove(folder);
}

const char *fuzz_path(const char *name) {
    if (!folder) {
        folder = test_folder_make();
        if (atexit(remove_folder) != 0) abort();
    }
    return test_path(folder, name);
}

const char *fuzz_file(const char *name, const void *bytes, size_t size) {
    const char *path = fuzz_path(name);
    test_file_write(path, bytes, size);
    return path;
}

char *fuzz_text(const uint8_t *bytes, size_t size) {
    const uint8_t *zero = size > 0 ? memchr(bytes, 0, size) : NULL;
    const size_t length = zero ? (size_t)(zero - bytes) : size;
    char *text = malloc(length + 1);
    if (!text) abort();
    if (length > 0) memcpy(text, bytes, length);
    text[length] = '\0';
    return text;
}
