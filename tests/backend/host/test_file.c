/* Files in a folder in which others may have planted links and pipes: temporary files, appending, private
 * files, names and paths at the system's limits. What is read back from atomic files is tested with
 * safetensors. */
#include "p2p_file.h"
#include "support/test_files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"
#include "support/test_skip.h"
#include "support/test_text.h"

static p2p_status write_text(const char *path, const char *text) {
    p2p_atomic_file file;
    P2P_TRY(p2p_atomic_open(&file, path));
    fputs(text, file.stream);
    return p2p_atomic_commit(&file);
}

/* ---- Temporary files ---------------------------------------------------------------------------------- */

/* Two writers of one path do not share a file: the later commit wins as a whole. */
static void test_two_writers(void **state) {
    (void)state;
    const char *path = test_own_path("file");
    p2p_atomic_file one, other;
    OK(p2p_atomic_open(&one, path));
    OK(p2p_atomic_open(&other, path));
    assert_string_not_equal(one.temporary, other.temporary);
    fputs("one", one.stream);
    fputs("the other", other.stream);
    OK(p2p_atomic_commit(&other));
    assert_file_is(path, "the other");
    OK(p2p_atomic_commit(&one));
    assert_file_is(path, "one");
    assert_int_equal(test_folder_entries(test_own_folder), 1);
}

/* Two writers of a new file: the later commit replaces nothing, and leaves no temporary file. */
static void test_two_writers_of_a_new_file(void **state) {
    (void)state;
    const char *path = test_own_path("file");
    p2p_atomic_file one, other;
    OK(p2p_atomic_open(&one, path));
    OK(p2p_atomic_open(&other, path));
    fputs("one", one.stream);
    fputs("the other", other.stream);
    OK(p2p_atomic_commit_new(&other));
    REFUSED(p2p_atomic_commit_new(&one), P2P_USAGE, "file exists already");
    assert_file_is(path, "the other");
    assert_int_equal(test_folder_entries(test_own_folder), 1);
    test_link_add(test_own_path("link"), "nowhere");
    OK(p2p_atomic_open(&one, test_own_path("link")));
    REFUSED(p2p_atomic_commit_new(&one), P2P_USAGE, "link exists already");
}

/* The sweep removes files that no process is writing, by their names, and leaves everything else. */
static void test_sweep(void **state) {
    (void)state;
    static const char stale[] = ".p2p-1-0123456789abcdef.tmp";
    static const char *const kept[] = {".p2p-1-0123456789abcde.tmp",
                                       ".p2p-1-0123456789abcdeg.tmp",
                                       ".p2p--0123456789abcdef.tmp",
                                       ".p2p-1-0123456789abcdef.tmp.tmp",
                                       "p2p-1-0123456789abcdef.tmp",
                                       ".file.tmp",
                                       ".p2p-x.tmp",
                                       ".p2p-.tmp"};
    enum { KEPT = sizeof kept / sizeof kept[0] };
    test_file_write(test_own_path(stale), "x", 1);
    for (int i = 0; i < KEPT; i++) test_file_write(test_own_path(kept[i]), "x", 1);
    test_file_write(test_own_path("target"), "x", 1);
    test_link_add(test_own_path(".p2p-2-0123456789abcdef.tmp"), "target");
    assert_int_equal(mkfifo(test_own_path(".p2p-3-0123456789abcdef.tmp"), 0600), 0);
    p2p_atomic_file file;
    OK(p2p_atomic_open(&file, test_own_path("file")));
    fputs("being written", file.stream);
    OK(p2p_atomic_sweep(test_own_folder));
    OK(p2p_atomic_commit(&file));
    assert_file_is(test_own_path("file"), "being written");
    assert_false(test_is_there(test_own_path(stale)));
    for (int i = 0; i < KEPT; i++) assert_true(test_is_there(test_own_path(kept[i])));
    assert_file_is(test_own_path("target"), "x");
    assert_int_equal(test_folder_entries(test_own_folder), KEPT + 4);
    OK(p2p_atomic_sweep(test_own_path("missing")));
}

/* A lock outlives neither its process nor a kill, so that another process finds the file stale afterwards. */
static void test_sweep_of_a_killed_process(void **state) {
    (void)state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        p2p_atomic_file file;
        if (p2p_atomic_open(&file, test_own_path("file")) != P2P_OK || write(ready[1], "", 1) != 1) _exit(1);
        for (;;) pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    OK(p2p_atomic_sweep(test_own_folder));
    assert_int_equal(test_folder_entries(test_own_folder), 1);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    OK(p2p_atomic_sweep(test_own_folder));
    assert_int_equal(test_folder_entries(test_own_folder), 0);
    close(ready[0]);
    close(ready[1]);
}

/* ---- Planted links and pipes -------------------------------------------------------------------------- */

static void test_links_are_replaced(void **state) {
    (void)state;
    static const char *const targets[] = {"victim", "nothing", "link"}; /* a file, nothing, itself */
    test_file_write(test_own_path("victim"), "precious", 8);
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct stat about;
        test_link_add(test_own_path("link"), targets[i]);
        OK(write_text(test_own_path("link"), "text"));
        assert_int_equal(lstat(test_own_path("link"), &about), 0);
        assert_true(S_ISREG(about.st_mode));
        OK(p2p_file_publish(test_own_path("link"), "more", 4));
        assert_file_is(test_own_path("link"), "more");
        assert_int_equal(unlink(test_own_path("link")), 0);
    }
    assert_file_is(test_own_path("victim"), "precious");
    assert_int_equal(test_folder_entries(test_own_folder), 1);
}

static void test_pipes_and_devices_are_refused(void **state) {
    (void)state;
    FILE *stream;
    uint64_t size;
    assert_int_equal(mkfifo(test_own_path("pipe"), 0600), 0);
    test_link_add(test_own_path("to-pipe"), "pipe");
    test_link_add(test_own_path("to-device"), "/dev/null");
    static const char *const names[] = {"pipe", "to-pipe", "to-device"};
    for (int i = 0; i < 3; i++) {
        REFUSED(write_text(test_own_path(names[i]), "x"), P2P_IO, "it is not a regular file");
        REFUSED(p2p_file_publish(test_own_path(names[i]), "x", 1), P2P_IO, "it is not a regular file");
        REFUSED(p2p_file_open(test_own_path(names[i]), &stream, &size), P2P_UNREADABLE, "it is not a file");
        REFUSED(p2p_file_append(test_own_path(names[i]), &stream), P2P_IO, names[i]);
    }
    const int reader =
        open(test_own_path("pipe"), O_RDONLY | O_NONBLOCK); /* so that it can be opened for writing */
    assert_true(reader >= 0);
    REFUSED(p2p_file_append(test_own_path("pipe"), &stream), P2P_IO, "it is not a file");
    close(reader);
    assert_int_equal(test_folder_entries(test_own_folder), 3);
}

static void test_appending(void **state) {
    (void)state;
    FILE *stream;
    for (int i = 0; i < 2; i++) {
        OK(p2p_file_append(test_own_path("log"), &stream));
        fputs("line\n", stream);
        assert_int_equal(fclose(stream), 0);
    }
    assert_file_is(test_own_path("log"), "line\nline\n");
    test_link_add(test_own_path("link"), "log");
    REFUSED(p2p_file_append(test_own_path("link"), &stream), P2P_IO, "it is a symbolic link");
    test_link_add(test_own_path("dangling"), "nothing");
    REFUSED(p2p_file_append(test_own_path("dangling"), &stream), P2P_IO, "it is a symbolic link");
    assert_int_equal(link(test_own_path("log"), test_own_path("second")), 0);
    REFUSED(p2p_file_append(test_own_path("log"), &stream), P2P_IO, "it has a second name");
    REFUSED(p2p_file_append(test_own_folder, &stream), P2P_IO,
            "s a"); /* "Is a directory", "it is a folder" */
    assert_file_is(test_own_path("log"), "line\nline\n");
    assert_false(test_is_there(test_own_path("nothing")));
}

/* ---- Private files and folders ------------------------------------------------------------------------ */

static void test_private(void **state) {
    (void)state;
    FILE *stream;
    uint64_t size;
    const char *file = test_own_path("file"), *folder = test_own_path("folder");
    test_file_write(file, "x", 1);
    test_folder_add(folder);
    static const mode_t refused[] = {0720, 0702, 0777}, accepted[] = {0700, 0755, 0500};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(chmod(file, refused[i]), 0);
        assert_int_equal(chmod(folder, refused[i]), 0);
        REFUSED(p2p_file_open_private(file, &stream, &size), P2P_UNREADABLE, "other users can write to it");
        REFUSED(p2p_folder_check_private(folder), P2P_IO, "other users can write to it");
        assert_int_equal(chmod(file, accepted[i]), 0);
        assert_int_equal(chmod(folder, accepted[i]), 0);
        OK(p2p_file_open_private(file, &stream, &size));
        assert_int_equal(size, 1);
        fclose(stream);
        OK(p2p_folder_check_private(folder));
    }
    test_link_add(test_own_path("link"), "file");
    REFUSED(p2p_file_open_private(test_own_path("link"), &stream, &size), P2P_UNREADABLE, "link");
    OK(p2p_folder_check_private(test_own_path("missing")));
    OK(p2p_folder_check_private(test_own_path("file/missing")));
    REFUSED(p2p_folder_check_private(file), P2P_IO, "it is not a folder");
}

/* The lists of users and groups: this user has the name "me" and the primary group `primary`; every group has
 * the name and the members of `group`. Both functions are linked as calls of these. */
static gid_t primary;
static struct group group;
static char me[] = "me", others[] = "others";
int __wrap_getpwuid_r(uid_t id, struct passwd *entry, char *text, size_t size, struct passwd **found);
int __wrap_getpwuid_r(uid_t id, struct passwd *entry, char *text, size_t size, struct passwd **found) {
    (void)text, (void)size;
    *entry = (struct passwd){.pw_name = me, .pw_uid = id, .pw_gid = primary};
    *found = id == geteuid() ? entry : NULL;
    return 0;
}
int __wrap_getgrgid_r(gid_t id, struct group *entry, char *text, size_t size, struct group **found);
int __wrap_getgrgid_r(gid_t id, struct group *entry, char *text, size_t size, struct group **found) {
    (void)text, (void)size;
    *entry = group;
    entry->gr_gid = id;
    *found = group.gr_name ? entry : NULL;
    return 0;
}

static void expect_group(p2p_status status) {
    FILE *stream;
    uint64_t size;
    const char *file = test_own_path("file"), *folder = test_own_path("folder");
    assert_int_equal(p2p_folder_check_private(folder), status);
    const p2p_status opened = p2p_file_open_private(file, &stream, &size);
    assert_int_equal(opened == P2P_OK, status == P2P_OK);
    if (opened == P2P_OK) fclose(stream);
}

/* The user's own primary group, of the same name and without other members, counts as this user; no other
 * group does. */
static void test_private_of_a_group(void **state) {
    (void)state;
    const char *file = test_own_path("file"), *folder = test_own_path("folder");
    char *none[] = {NULL}, *only_me[] = {me, NULL}, *more[] = {me, others, NULL};
    struct stat about;
    test_file_write(file, "x", 1);
    test_folder_add(folder);
    assert_int_equal(chmod(file, 0664), 0);
    assert_int_equal(chmod(folder, 0775), 0);
    assert_int_equal(stat(file, &about), 0);
    primary = about.st_gid;
    group = (struct group){.gr_name = me, .gr_mem = none};
    expect_group(P2P_OK);
    group.gr_mem = only_me;
    expect_group(P2P_OK);
    group.gr_mem = more;
    expect_group(P2P_IO);
    group = (struct group){.gr_name = others, .gr_mem = none};
    expect_group(P2P_IO);
    group.gr_name = me;
    primary = about.st_gid + 1;
    expect_group(P2P_IO);
    primary = about.st_gid;
    group.gr_name = NULL; /* no list has it */
    expect_group(P2P_IO);
    group.gr_name = me;
    assert_int_equal(chmod(file, 0666), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    expect_group(P2P_IO);
}

/* Whoever can rename a folder above puts another in the place of a private one. */
static void test_private_above(void **state) {
    (void)state;
    const char *above = test_own_path("above"), *folder = test_own_path("above/folder"),
               *absent = test_own_path("above/absent/folder"), *link = test_own_path("to-above");
    test_folder_add(above);
    test_folder_add(folder);
    test_link_add(link, "above/folder");
    assert_int_equal(chmod(above, 0757), 0);
    REFUSED(p2p_folder_check_private(folder), P2P_IO, "because of ");
    REFUSED(p2p_folder_check_private(absent), P2P_IO, "above: other users can write to it");
    REFUSED(p2p_folder_check_private(link), P2P_IO, "above: other users can write to it");
    REFUSED(p2p_path_check_private(folder), P2P_IO, "above: other users can write to it");
    assert_int_equal(chmod(above, 01777), 0);
    OK(p2p_folder_check_private(folder));
    OK(p2p_folder_check_private(absent));
    assert_int_equal(chmod(above, 0755), 0);
    OK(p2p_folder_check_private(link));
    assert_int_equal(chmod(folder, 0757), 0);
    REFUSED(p2p_path_check_private(folder), P2P_IO, "other users can write to it");
}

/* The folder above, and a link on the way, belong to another user and lie where any user can make them; else
 * the owner and the group are trusted. */
static void test_private_above_of_another_user(void **state) {
    (void)state;
    const char *above = test_own_path("above"), *folder = test_own_path("above/folder"),
               *link = test_own_path("to-above");
    test_folder_add(above);
    test_folder_add(folder);
    test_link_add(link, "above/folder");
    if (lchown(link, 1, (gid_t)-1) != 0) TEST_SKIP("only root can give files away");
    OK(p2p_path_check_private(link)); /* an administrator's, for example */
    assert_int_equal(chmod(test_own_folder, 01777), 0);
    REFUSED(p2p_path_check_private(link), P2P_IO, "it belongs to another user");
    REFUSED(p2p_folder_check_private(test_own_path("to-above/absent")), P2P_IO, "it belongs to another user");
    OK(p2p_folder_check_private(folder));
    assert_int_equal(chown(above, 1, (gid_t)-1), 0);
    REFUSED(p2p_folder_check_private(folder), P2P_IO, "above: it belongs to another user");
    assert_int_equal(chmod(test_own_folder, 0755), 0);
    OK(p2p_folder_check_private(folder));
    assert_int_equal(chmod(above, 0775), 0);
    OK(p2p_folder_check_private(folder));
    OK(p2p_path_check_private(folder));
}

static void test_private_of_another_user(void **state) {
    (void)state;
    FILE *stream;
    uint64_t size;
    test_file_write(test_own_path("file"), "x", 1);
    if (chown(test_own_path("file"), 1, (gid_t)-1) != 0 || chown(test_own_folder, 1, (gid_t)-1) != 0)
        TEST_SKIP("only root can give files away");
    const p2p_status file = p2p_file_open_private(test_own_path("file"), &stream, &size);
    const p2p_status folder = p2p_folder_check_private(test_own_folder);
    assert_int_equal(chown(test_own_folder, geteuid(), (gid_t)-1), 0);
    assert_int_equal(file, P2P_UNREADABLE);
    assert_int_equal(folder, P2P_IO);
}

/* ---- Limits ------------------------------------------------------------------------------------------- */

/* Paths in an anchored folder lead to it, also when it was renamed and another is in its place. */
static void test_anchor(void **state) {
    (void)state;
    p2p_atomic_file file;
    test_folder_add(test_own_path("run"));
    test_folder_add(test_own_path("runs"));
    const int folder = open(test_own_path("run"), O_RDONLY | O_DIRECTORY);
    OK(p2p_folder_anchor(test_own_path("run/"), folder));
    assert_int_equal(rename(test_own_path("run"), test_own_path("moved")), 0);
    test_folder_add(test_own_path("run"));
    OK(p2p_folder_make_one(test_own_path("run/inner"), 0777));
    OK(p2p_atomic_open(&file, test_own_path("run/inner/file")));
    OK(p2p_atomic_commit(&file));
    OK(p2p_folder_make_one(test_own_path("runs/inner"), 0777));
    OK(p2p_folder_make_one(test_own_path("run/../beside"), 0777));
    assert_int_equal(test_folder_entries(test_own_path("run")), 0);
    assert_int_equal(test_folder_entries(test_own_path("moved/inner")), 1);
    assert_int_equal(test_folder_entries(test_own_path("runs")), 1);
    assert_int_equal(access(test_own_path("beside"), F_OK), 0);
    p2p_folder_anchor_end(folder + 1); /* not the anchor */
    OK(p2p_folder_make_one(test_own_path("run/second"), 0777));
    p2p_folder_anchor_end(folder);
    OK(p2p_folder_make_one(test_own_path("run/third"), 0777));
    assert_int_equal(test_folder_entries(test_own_path("moved")), 2);
    assert_int_equal(test_folder_entries(test_own_path("run")), 1);
    close(folder);
}

static void test_long_names(void **state) {
    (void)state;
    char name[NAME_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[NAME_MAX + 1] = '\0';
    REFUSED(write_text(test_own_path(name), "x"), P2P_IO, "File name too long");
    assert_int_equal(test_folder_entries(test_own_folder), 0);
    name[NAME_MAX] = '\0';
    OK(write_text(test_own_path(name), "text"));
    OK(p2p_file_publish(test_own_path(name), "more", 4));
    assert_file_is(test_own_path(name), "more");
    assert_int_equal(test_folder_entries(test_own_folder), 1);
}

/* Makes a folder below the test's whose path has `length` bytes. The caller frees it. */
static char *make_deep_folder(size_t length) {
    char *path = malloc(length + 1);
    assert_non_null(path);
    size_t at = (size_t)snprintf(path, length + 1, "%s", test_own_folder);
    while (at < length) {
        size_t part = length - at - 1 < 200 ? length - at - 1 : 200;
        if (length - at - 1 - part == 1) part--; /* no part is empty */
        path[at++] = '/';
        memset(path + at, 'd', part);
        path[at += part] = '\0';
        assert_int_equal(mkdir(path, 0700), 0);
    }
    return path;
}

/* A path of as many bytes as the system allows, whose temporary file would not fit. */
static void test_long_paths(void **state) {
    (void)state;
    char *folder = make_deep_folder(PATH_MAX - 1 - 2), path[PATH_MAX + 2];
    snprintf(path, sizeof path, "%s/f", folder);
    assert_int_equal(strlen(path), PATH_MAX - 1);
    OK(write_text(path, "text"));
    assert_file_is(path, "text");
    OK(p2p_atomic_sweep(folder));
    assert_int_equal(test_folder_entries(folder), 1);
    strcat(path, "g");
    REFUSED(write_text(path, "x"), P2P_IO, "File name too long");
    REFUSED(p2p_file_publish(path, "x", 1), P2P_IO, "File name too long");
    path[PATH_MAX - 1] = '\0';
    assert_int_equal(unlink(path), 0);
    for (char *slash = path; (slash = strrchr(path, '/')) && slash >= path + strlen(test_own_folder);) {
        *slash = '\0'; /* from the deepest on */
        if (strcmp(path, test_own_folder) != 0) assert_int_equal(rmdir(path), 0);
    }
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_two_writers),
        TEST_IN_FOLDER(test_two_writers_of_a_new_file),
        TEST_IN_FOLDER(test_sweep),
        TEST_IN_FOLDER(test_sweep_of_a_killed_process),
        TEST_IN_FOLDER(test_links_are_replaced),
        TEST_IN_FOLDER(test_pipes_and_devices_are_refused),
        TEST_IN_FOLDER(test_appending),
        TEST_IN_FOLDER(test_private),
        TEST_IN_FOLDER(test_private_of_a_group),
        TEST_IN_FOLDER(test_private_of_another_user),
        TEST_IN_FOLDER(test_private_above),
        TEST_IN_FOLDER(test_private_above_of_another_user),
        TEST_IN_FOLDER(test_anchor),
        TEST_IN_FOLDER(test_long_names),
        TEST_IN_FOLDER(test_long_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
