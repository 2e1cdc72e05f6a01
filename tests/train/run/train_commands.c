/* See train_commands.h. */
#include "train_commands.h"

#include "image/image.h"
#include "support/metrics_text.h"
#include "support/test_files.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Commands ----------------------------------------------------------------------------------------- */

/* The program's output is added to a file until restore_output. */
static void turn_output(const char *path, int saved[2]) {
    fflush(NULL);
    for (int stream = 1; stream <= 2; stream++) {
        saved[stream - 1] = dup(stream);
        FILE *to = fopen(path, "a");
        assert_non_null(to);
        assert_int_equal(dup2(fileno(to), stream), stream);
        fclose(to);
    }
}

static void restore_output(const int saved[2]) {
    fflush(NULL);
    for (int stream = 1; stream <= 2; stream++) {
        assert_int_equal(dup2(saved[stream - 1], stream), stream);
        close(saved[stream - 1]);
    }
}

p2p_status test_command_run_into(const char *output, const test_command *line, const char *more) {
    const char *words[TEST_COMMAND_WORDS + 2];
    int count = 0, saved[2];
    settings all;
    for (; line->words[count]; count++) words[count] = line->words[count];
    if (more) words[count++] = more;
    words[count] = NULL;
    turn_output(output, saved);
    p2p_status status = settings_parse(&all, line->bit, count, words);
    if (status == P2P_OK) status = line->run(&all);
    settings_free(&all);
    restore_output(saved);
    return status;
}

p2p_status test_command_run(const test_command *line, const char *more) {
    return test_command_run_into("/dev/null", line, more);
}

/* ---- Files -------------------------------------------------------------------------------------------- */

void test_expect_same_log(const char *whole, const char *other) {
    size_t size;
    char *a = (char *)test_file_read(test_path(whole, "metrics.jsonl"), &size);
    char *b = (char *)test_file_read(test_path(other, "metrics.jsonl"), &size);
    metrics_remove_rates(a);
    metrics_remove_rates(b);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

/* Calls `check` for each file below folder/below. */
static void each_file(const char *folder, const char *below, const char *other,
                      void (*check)(const char *folder, const char *other, const char *name)) {
    char *root = strdup(test_path(folder, below));
    DIR *opened = opendir(root);
    assert_non_null(opened);
    for (const struct dirent *entry; (entry = readdir(opened)) != NULL;) {
        struct stat about;
        char name[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(name, sizeof name, "%s%s%s", below, below[0] ? "/" : "", entry->d_name);
        assert_int_equal(stat(test_path(folder, name), &about), 0);
        if (S_ISDIR(about.st_mode))
            each_file(folder, name, other, check);
        else
            check(folder, other, name);
    }
    closedir(opened);
    free(root);
}

static const char *left_out; /* the beginning of names; NULL: none */

static bool is_left_out(const char *name) {
    return left_out && strncmp(name, left_out, strlen(left_out)) == 0;
}

static void check_there(const char *folder, const char *other, const char *name) {
    (void)folder;
    if (!is_left_out(name) && !test_is_there(test_path(other, name)))
        fail_msg("%s/%s is missing", other, name);
}

static void check_same(const char *folder, const char *other, const char *name) {
    size_t sizes[2];
    if (is_left_out(name)) return;
    check_there(folder, other, name);
    if (strcmp(name, "report.html") == 0) return;
    if (strcmp(name, "metrics.jsonl") == 0) {
        test_expect_same_log(folder, other);
        return;
    }
    uint8_t *a = test_file_read(test_path(folder, name), &sizes[0]);
    uint8_t *b = test_file_read(test_path(other, name), &sizes[1]);
    if (sizes[0] != sizes[1] || memcmp(a, b, sizes[0]) != 0) fail_msg("%s/%s differs", other, name);
    free(a);
    free(b);
}

void test_expect_same_run(const char *whole, const char *other, const char *but) {
    left_out = but;
    each_file(whole, "", other, check_same);
    each_file(other, "", whole, check_there);
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

void test_pairs_add(int count) {
    for (int i = TRAINING; i < count; i++) save_pair("train", i);
}

int test_pairs_remove(void **state) {
    return chdir("/") != 0 || test_own_folder_remove(state) != 0;
}
