/* Folders in which drivers store files: every damage of a recorded file is found, files without a record are
 * removed unless another process has the folder open, and no other user can enter the folder.
 */
#include "host/cache.h"
#include "host/cache_driver.h"
#include "p2p.h"
#include "support/test_files.h"
#include "support/test_skip.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char *folder;
static FILE *warnings;

static int in_fresh_folder(void **state) {
    (void)state;
    folder = test_folder_make();
    warnings = tmpfile();
    p2p_warnings_to(warnings);
    return !warnings || p2p_cache_folder_set(test_path(folder, "cache")) != P2P_OK;
}

static int remove_folder(void **state) {
    (void)state;
    p2p_driver_folders_close();
    p2p_warnings_to(NULL);
    fclose(warnings);
    test_folder_remove(folder);
    return 0;
}

static const char *own(const char *name) {
    return test_path(test_path(folder, "cache/driver"), name);
}

static bool is_temporary(const char *name) {
    return strncmp(name, "temporary", 9) == 0;
}

static void record(void) {
    p2p_driver_folder_record("driver", is_temporary);
}

/* As a new process: verifies the folder. */
static const char *start(void) {
    p2p_driver_folders_close();
    return p2p_driver_folder("driver");
}

static void store(const char *name, const char *text) {
    test_file_write(own(name), text, strlen(text));
}

static bool exists(const char *name) {
    return test_is_there(own(name));
}

/* Checks the number of warnings since the last call, and that the last one has the words. */
static void expect_warnings(int wanted, const char *words) {
    char text[2048] = "";
    fflush(warnings);
    rewind(warnings);
    text[fread(text, 1, sizeof text - 1, warnings)] = '\0';
    int lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
    assert_int_equal(lines, wanted);
    if (wanted > 0) assert_non_null(strstr(text, words));
    rewind(warnings);
    assert_int_equal(ftruncate(fileno(warnings), 0), 0);
}

/* ---- Damage ------------------------------------------------------------------------------------------- */

/* The folder was removed while the process used it. */
static void keeps_the_message_of_a_failure(void **state) {
    (void)state;
    start();
    store("kernel", "machine code");
    test_folder_remove(strdup(test_path(folder, "cache")));
    p2p_fail(P2P_FAILED, "what the caller reports");
    record();
    assert_string_equal(p2p_message(), "what the caller reports");
}

static void keeps_what_is_unchanged(void **state) {
    (void)state;
    const char *path = start();
    assert_non_null(path);
    assert_int_equal(path[0], '/');
    store("kernel", "machine code");
    test_folder_add(own("deep"));
    test_folder_add(own("deep/er"));
    store("deep/er/kernel with spaces", "more");
    store("empty", "");
    record();
    for (int i = 0; i < 3; i++) {
        start();
        assert_true(exists("kernel") && exists("deep/er/kernel with spaces") && exists("empty"));
        record();
    }
    expect_warnings(0, "");
}

static void finds_every_damage(void **state) {
    (void)state;
    static const char text[] = "machine code of some length";
    const size_t size = sizeof text - 1;
    char bytes[sizeof text];
    start();
    test_folder_add(own("deep"));
    store("intact", "intact");
    for (size_t bit = 0; bit <= 8 * size; bit++) { /* the last one: another byte */
        store("deep/kernel", text);
        record();
        memcpy(bytes, text, sizeof bytes);
        if (bit < 8 * size) bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        test_file_write(own("deep/kernel"), bytes, bit < 8 * size ? size : size + 1);
        start();
        assert_false(exists("deep/kernel"));
        assert_true(exists("intact"));
        expect_warnings(1, "1 had changed, the first deep/kernel;");
    }
    for (size_t length = 0; length < size; length++) {
        store("deep/kernel", text);
        record();
        test_file_write(own("deep/kernel"), text, length);
        start();
        assert_false(exists("deep/kernel"));
        expect_warnings(1, "deep/kernel");
    }
    store("deep/kernel", "made again, with other bytes");
    record();
    start();
    assert_true(exists("deep/kernel"));
    expect_warnings(0, "");
}

/* The checksum that was recorded first stays: recording again never accepts damage. */
static void does_not_record_damage(void **state) {
    (void)state;
    start();
    store("kernel", "right");
    record();
    store("kernel", "wrong");
    store("new", "new");
    record();
    start();
    assert_false(exists("kernel"));
    assert_true(exists("new"));
    expect_warnings(1, "kernel");
}

static void survives_a_damaged_record(void **state) {
    (void)state;
    const p2p_key_part key = {"driver", 6};
    char *path = NULL;
    start();
    store("kernel", "machine code");
    record();
    assert_int_equal(p2p_cache_path("driver-files", &key, 1, &path), P2P_OK);
    size_t size = 0;
    uint8_t *entry = test_file_read(path, &size);
    entry[size - 1] ^= 1;
    test_file_write(path, entry, size);
    start();
    assert_false(exists("kernel")); /* nothing is known of it */
    static const char *const wrong[] = {"",
                                        "nonsense\n",
                                        "0123456789abcdef0123456789abcdef\n",
                                        "0123456789abcdef0123456789abcdef 99999999999999999999999 kernel",
                                        "0123456789abcdef0123456789abcdef 5 \n",
                                        "0123456789abcdef0123456789abcdef x kernel\n",
                                        "0123456789abcdef0123456789abcdef 5 ../../kernel\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        store("kernel", "machine code");
        p2p_cache_put("driver-files", &key, 1, wrong[i], strlen(wrong[i]));
        assert_non_null(start());
        assert_false(exists("kernel"));
    }
    free(entry);
    free(path);
}

/* ---- Files without a record ---------------------------------------------------------------------------- */

static void removes_what_was_not_recorded(void **state) {
    (void)state;
    start();
    store("recorded", "whole");
    store("temporary_1", "half");
    record();
    store("cut short", "hal");
    test_link_add(own("link"), "/etc/passwd");
    assert_int_equal(mkfifo(own("pipe"), 0600), 0); /* opening it must not wait for a writer */
    start();
    assert_true(exists("recorded"));
    assert_false(exists("cut short") || exists("temporary_1") || exists("link") || exists("pipe"));
    expect_warnings(0, ""); /* it is not damaged */
    assert_int_equal(access("/etc/passwd", R_OK), 0);
    store("recorded", "not whole");
    unlink(own("recorded"));
    test_link_add(own("recorded"), "/etc/passwd");
    start();
    assert_false(exists("recorded"));
    expect_warnings(1, "recorded");
}

/* Opens the folder as another process, and lives until it is killed. */
static pid_t start_another(void) {
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        byte = start() ? 'y' : 'n';
        if (write(ready[1], &byte, 1) == 1) pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void leaves_files_of_others(void **state) {
    (void)state;
    start();
    store("recorded", "whole");
    record();
    p2p_driver_folders_close();
    const pid_t another = start_another();
    store("just made", "by the other process");
    store("recorded", "damaged");
    start();
    assert_true(exists("just made"));
    assert_false(exists("recorded"));
    expect_warnings(1, "recorded");
    p2p_driver_folders_close();
    kill(another, SIGKILL);
    waitpid(another, NULL, 0);
    start(); /* alone */
    assert_false(exists("just made"));
    expect_warnings(0, "");
}

/* ---- Others' access ------------------------------------------------------------------------------------ */

static void keeps_others_out(void **state) {
    (void)state;
    struct stat about;
    start();
    store("kernel", "machine code");
    record();
    assert_int_equal(chmod(own("."), 0777), 0);
    store("planted", "while the folder was open");
    assert_non_null(start());
    assert_int_equal(stat(own("."), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_true(exists("kernel"));
    assert_false(exists("planted"));
}

static void refuses_anothers_folder(void **state) {
    (void)state;
    start();
    store("kernel", "machine code");
    record();
    assert_int_equal(rename(own("."), test_path(folder, "moved")), -1); /* "." can't be renamed */
    assert_int_equal(rename(test_path(folder, "cache/driver"), test_path(folder, "moved")), 0);
    test_link_add(test_path(folder, "cache/driver"), test_path(folder, "moved"));
    assert_null(start());
    expect_warnings(1, "it is a link");
    unlink(test_path(folder, "cache/driver"));
    assert_int_equal(rename(test_path(folder, "moved"), test_path(folder, "cache/driver")), 0);
    assert_non_null(start());
    if (geteuid() != 0) {
        TEST_SKIP_PART("only root can give a folder to another user");
        return;
    }
    assert_int_equal(chown(test_path(folder, "cache/driver"), 12345, 12345), 0);
    assert_null(start());
    expect_warnings(1, "belongs to another user");
}

static void needs_a_cache(void **state) {
    (void)state;
    assert_int_equal(p2p_cache_folder_set("off"), P2P_OK);
    assert_null(start());
    record();
    test_file_write(test_path(folder, "file"), "in the way", 10);
    assert_int_equal(p2p_cache_folder_set(test_path(folder, "file/cache")), P2P_OK);
    assert_null(start());
    expect_warnings(0, "");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, in_fresh_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(keeps_what_is_unchanged),   TEST(keeps_the_message_of_a_failure),
        TEST(finds_every_damage),        TEST(does_not_record_damage),
        TEST(survives_a_damaged_record), TEST(removes_what_was_not_recorded),
        TEST(leaves_files_of_others),    TEST(keeps_others_out),
        TEST(refuses_anothers_folder),   TEST(needs_a_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
