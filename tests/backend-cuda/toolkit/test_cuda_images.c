/* The embedded kernels: every source has an image, which has machine code for each card and PTX for later
 * ones, none of it compressed. Both compilers must give that, nvcc and NVRTC with nvFatbin.
 *
 *   test_cuda_images PTX ARCHITECTURES NAMES      lists separated by commas: 90 70,75 copy,reduce
 */
#include "device/cuda_kernels.h"

#include "../../support/test_bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *ptx, *architectures, *names;

/* As compilers write it, little-endian: a header of 16 bytes (magic, version, its size, size of what
 * follows), then entries. */
static const uint32_t magic = 0xBA55ED50;
enum { KIND_PTX = 1, KIND_MACHINE_CODE = 2 };
enum { ENTRY_KIND = 0, ENTRY_HEADER_BYTES = 4, ENTRY_BYTES = 8, ENTRY_ARCHITECTURE = 28 };

/* Whether the list, separated by commas, has the word. */
static bool has_word(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0')) return true;
    return false;
}

static int count_words(const char *list) {
    int count = list[0] != '\0';
    for (const char *at = list; *at; at++) count += *at == ',';
    return count;
}

/* Checks an entry: text that is PTX, or an ELF file. Compressed, it would be neither. */
static void check_entry(const char *name, const unsigned char *entry, int counts[2]) {
    const unsigned char *content = entry + get_low_first(entry + ENTRY_HEADER_BYTES, 4);
    const uint64_t bytes = get_low_first(entry + ENTRY_BYTES, 8);
    const int kind = (int)get_low_first(entry + ENTRY_KIND, 2);
    char number[16];
    snprintf(number, sizeof number, "%d", (int)get_low_first(entry + ENTRY_ARCHITECTURE, 4));
    if (kind == KIND_PTX) {
        assert_string_equal(number, ptx);
        char *text = calloc(1, bytes + 1);
        assert_non_null(text);
        memcpy(text, content, bytes);
        if (!strstr(text, ".version ") || !strstr(text, ".visible .entry ")) fail_msg("%s: no PTX", name);
        free(text);
        counts[0]++;
    } else {
        assert_int_equal(kind, KIND_MACHINE_CODE);
        if (!has_word(architectures, number)) fail_msg("%s: machine code for %s", name, number);
        if (memcmp(content, "\177ELF", 4) != 0) fail_msg("%s: no ELF file for %s", name, number);
        counts[1]++;
    }
}

static void check_image(const cuda_kernel_image *image) {
    const unsigned char *at = image->bytes;
    int counts[2] = {0};
    assert_int_equal((uintptr_t)at % 64, 0);
    assert_true(image->end - at > 16);
    assert_int_equal(get_low_first(at, 4), magic);
    const unsigned char *end = at + get_low_first(at + 6, 2) + get_low_first(at + 8, 8);
    assert_true(end <= image->end);
    at += get_low_first(at + 6, 2);
    while (at < end) {
        check_entry(image->name, at, counts);
        at += get_low_first(at + ENTRY_HEADER_BYTES, 4) + get_low_first(at + ENTRY_BYTES, 8);
    }
    assert_ptr_equal(at, end);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], count_words(architectures));
}

static void every_image_has_code_for_every_card(void **state) {
    (void)state;
    for (int i = 0; cuda_kernel_images[i].name; i++) check_image(&cuda_kernel_images[i]);
}

static void every_source_has_an_image(void **state) {
    (void)state;
    int count = 0;
    for (; cuda_kernel_images[count].name; count++)
        assert_true(has_word(names, cuda_kernel_images[count].name));
    assert_int_equal(count, count_words(names));
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: test_cuda_images PTX ARCHITECTURES NAMES\n");
        return 2;
    }
    ptx = arguments[1];
    architectures = arguments[2];
    names = arguments[3];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_image_has_code_for_every_card),
        cmocka_unit_test(every_source_has_an_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
