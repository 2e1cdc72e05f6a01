/* See train_commands.h. */
#include "train_commands.h"

#include "image/image.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Commands ----------------------------------------------------------------------------------------- */

/* Discards the program's output until restore_output. */
static void discard_output(int saved[2]) {
    fflush(NULL);
    for (int stream = 1; stream <= 2; stream++) {
        saved[stream - 1] = dup(stream);
        FILE *nowhere = fopen("/dev/null", "w");
        assert_non_null(nowhere);
        assert_int_equal(dup2(fileno(nowhere), stream), stream);
        fclose(nowhere);
    }
}

static void restore_output(const int saved[2]) {
    fflush(NULL);
    for (int stream = 1; stream <= 2; stream++) {
        assert_int_equal(dup2(saved[stream - 1], stream), stream);
        close(saved[stream - 1]);
    }
}

/* Runs the command, with `more` after its words unless that is NULL. */
p2p_status test_command_run(const test_command *line, const char *more) {
    const char *words[TEST_COMMAND_WORDS + 2];
    int count = 0, saved[2];
    settings all;
    for (; line->words[count]; count++) words[count] = line->words[count];
    if (more) words[count++] = more;
    words[count] = NULL;
    discard_output(saved);
    p2p_status status = settings_parse(&all, line->bit, count, words);
    if (status == P2P_OK) status = line->run(&all);
    settings_free(&all);
    restore_output(saved);
    return status;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

bool test_is_there(const char *path) {
    return access(path, F_OK) == 0;
}

/* Removes times and measured rates from the log, in place. */
static void remove_rates(char *text) {
    static const char measured[] = ",\"time\":"; /* the first of them */
    char *to = text;
    for (const char *from = text; *from;) {
        if (strncmp(from, measured, strlen(measured)) == 0) from += strcspn(from, "}");
        *to++ = *from++;
    }
    *to = '\0';
}

void test_expect_same_log(const char *whole, const char *other) {
    size_t size;
    char *a = (char *)test_file_read(test_path(whole, "metrics.jsonl"), &size);
    char *b = (char *)test_file_read(test_path(other, "metrics.jsonl"), &size);
    remove_rates(a);
    remove_rates(b);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

/* ---- A data set --------------------------------------------------------------------------------------- */

enum { SIDE = 8, TRAINING = 3, VALIDATION = 2 };

static void save_pair(const char *split, int number) {
    char name[64];
    image pair;
    OK(image_create(&pair, 2 * SIDE, SIDE, (image_format){.channels = 3, .bits = 8}));
    for (int i = 0; i < 2 * SIDE * SIDE * 3; i++)
        ((uint8_t *)pair.pixels)[i] = (uint8_t)(i * (7 + number) + number * 61);
    snprintf(name, sizeof name, "data/%s/%d.png", split, number);
    OK(image_save(test_own_path(name), &pair));
    image_free(&pair);
}

int test_pairs_make(void **state) {
    test_own_folder_make(state);
    test_folder_add(test_own_path("data"));
    test_folder_add(test_own_path("data/train"));
    test_folder_add(test_own_path("data/val"));
    for (int i = 0; i < TRAINING; i++) save_pair("train", i);
    for (int i = 0; i < VALIDATION; i++) save_pair("val", i + TRAINING);
    return chdir(test_own_folder);
}

int test_pairs_remove(void **state) {
    return chdir("/") != 0 || test_own_folder_remove(state) != 0;
}
