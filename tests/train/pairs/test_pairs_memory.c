/* The memory of a picture that `p2p pairs` makes: what is decided from the headers bounds what is allocated.
 * The allocations of the program are counted in place of the C library's functions (linked with --wrap). */
#include "pairs/pairs_task.h"
#include "support/test_files.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

static atomic_long held, peak;

static void count(long bytes) {
    const long now = atomic_fetch_add(&held, bytes) + bytes;
    if (now > atomic_load(&peak)) atomic_store(&peak, now);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size) {
    void *memory = __real_malloc(size);
    count((long)malloc_usable_size(memory));
    return memory;
}

void *__wrap_calloc(size_t number, size_t size) {
    void *memory = __real_calloc(number, size);
    count((long)malloc_usable_size(memory));
    return memory;
}

void *__wrap_realloc(void *memory, size_t size) {
    const long before = (long)malloc_usable_size(memory);
    void *moved = __real_realloc(memory, size);
    if (moved) count((long)malloc_usable_size(moved) - before);
    return moved;
}

void __wrap_free(void *memory) {
    count(-(long)malloc_usable_size(memory));
    __real_free(memory);
}

enum { WIDTH = 300, HEIGHT = 200 };

static void save(const char *name, int width, image_format format) {
    image picture;
    OK(image_create(&picture, width, HEIGHT, format));
    for (size_t i = 0; i < image_bytes(&picture); i++) ((uint8_t *)picture.pixels)[i] = (uint8_t)(i * i / 64);
    OK(image_save(test_own_path(name), &picture));
    image_free(&picture);
}

/* A measured task. */
typedef struct {
    settings all;
    const pairs_operation *operation;
    pairs_task task;
} measured;

/* `line` is the operation, its options and at most two of the pictures, a word each. */
static measured measure(const char *line, char words[256]) {
    measured made = {.task = {.name = strdup("x"), .result = strdup(test_own_path("out.png"))}};
    const char *argv[16];
    int argc = 0;
    snprintf(words, 256, "%s", line);
    for (char *rest = words, *word; (word = strtok_r(rest, " ", &rest)) != NULL;) argv[argc++] = word;
    OK(settings_parse(&made.all, COMMAND_PAIRS, argc, argv));
    if (strcmp(made.all.format, "jpg") == 0) strcpy(strrchr(made.task.result, '.'), ".jpg");
    for (int i = 0; i < PAIRS_SOURCES && made.all.arguments[i]; i++)
        made.task.sources[i] = strdup(test_own_path(made.all.arguments[i]));
    made.operation = pairs_operation_named(argv[0]);
    OK(pairs_task_measure(&made.all, made.operation, &made.task));
    return made;
}

static void measured_free(measured *made) {
    pairs_task_free(&made->task);
    settings_free(&made->all);
}

static void check(const char *line) {
    char words[256];
    measured made = measure(line, words);
    const long before = atomic_load(&held);
    atomic_store(&peak, before);
    OK(pairs_task_run(&made.all, made.operation, test_own_folder, &made.task));
    const long taken = atomic_load(&peak) - before;
    print_message("%s: %ld of %llu bytes\n", line, taken, (unsigned long long)made.task.bytes);
    assert_true(taken > WIDTH * HEIGHT / 4);
    assert_true((unsigned long long)taken <= made.task.bytes);
    assert_int_equal(remove(made.task.result), 0);
    measured_free(&made);
}

/* A source of another size than its header had is refused: nothing is read beside its pixels. */
static void test_a_source_that_changes(void **state) {
    (void)state;
    char words[256];
    save("a.png", WIDTH, IMAGE_RGB8);
    save("b.png", WIDTH, IMAGE_RGB8);
    measured made = measure("combine a.png b.png", words);
    save("b.png", WIDTH / 2, IMAGE_RGB8);
    REFUSED(pairs_task_run(&made.all, made.operation, test_own_folder, &made.task), P2P_INPUT,
            "b.png has changed");
    measured_free(&made);
}

static void test_headers_bound_the_memory(void **state) {
    (void)state;
    save("rgb.png", WIDTH, IMAGE_RGB8);
    save("grey.png", WIDTH, (image_format){.channels = 1, .bits = 8});
    save("deep.png", WIDTH, (image_format){.channels = 4, .bits = 16});
    save("wide.png", 2 * WIDTH, IMAGE_RGB8);
    static const char *const lines[] = {
        "edges rgb.png",
        "edges --smoothing 16 deep.png",
        "edges --input-only grey.png",
        "edges --size 512 rgb.png",
        "edges --size 512 --fit pad deep.png",
        "grey rgb.png",
        "grey --format jpg deep.png",
        "lowres --factor 2 rgb.png",
        "lowres --factor 16 --resize nearest deep.png",
        "lowres --size 400 --fit stretch deep.png",
        "blank --holes 5 deep.png",
        "combine rgb.png grey.png",
        "combine grey.png deep.png",
        "combine --size 333 grey.png wide.png",
        "resize --size 512 deep.png",
        "resize --size 200 --fit pad rgb.png",
        "resize --size 256 --pairs side-by-side wide.png",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) check(lines[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_headers_bound_the_memory),
        TEST_IN_FOLDER(test_a_source_that_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
