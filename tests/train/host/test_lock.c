/* The lock of a folder: one holder, stale locks of every kind, other hosts, and files that are not locks. */
#define _DEFAULT_SOURCE /* gethostname */
#include "host/lock.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"

static const char *path(void) {
    return test_own_path("run.lock");
}

static bool is_there(void) {
    return test_is_there(path());
}

/* Takes and releases the lock. */
static p2p_status try_lock(void) {
    sys_lock *lock;
    p2p_status status = sys_lock_check(path(), "run");
    const p2p_status taken = sys_lock_take(&lock, path(), "run");
    assert_int_equal(taken, status); /* the check agrees */
    if (taken == P2P_OK) sys_lock_release(lock);
    return taken;
}

static void write_text(const char *text) {
    test_file_write(path(), text, strlen(text));
}

/* The text that this process writes. */
static void own_text(char text[1024]) {
    sys_lock *lock;
    size_t size;
    OK(sys_lock_take(&lock, path(), "run"));
    uint8_t *bytes = test_file_read(path(), &size);
    assert_true(size < 1024);
    memcpy(text, bytes, size);
    text[size] = '\0';
    free(bytes);
    sys_lock_release(lock);
    assert_false(is_there());
}

/* Replaces the value of a field, as JSON. */
static void set_field(char text[1024], const char *field, const char *value) {
    char key[64], rest[1024];
    snprintf(key, sizeof key, "\"%s\": ", field);
    char *at = strstr(text, key);
    assert_non_null(at);
    at += strlen(key);
    snprintf(rest, sizeof rest, "%s", at + strcspn(at, ",}"));
    snprintf(at, (size_t)(text + 1024 - at), "%s%s", value, rest);
}

static void test_one_holder(void **state) {
    (void)state;
    sys_lock *lock;
    char pid[32], host[256];
    OK(sys_lock_check(path(), "run"));
    assert_false(is_there()); /* a check makes no file */
    OK(sys_lock_take(&lock, path(), "run"));
    assert_true(is_there());
    assert_int_equal(try_lock(), P2P_USAGE);
    snprintf(pid, sizeof pid, "process %d on ", (int)getpid());
    assert_int_equal(gethostname(host, sizeof host), 0);
    MESSAGE_HAS("run is in use");
    MESSAGE_HAS(pid);
    MESSAGE_HAS(host);
    MESSAGE_HAS("since 2");
    sys_lock_release(lock);
    assert_false(is_there());
    OK(try_lock());
}

/* The kernel ends the lock of a killed process, whatever the text is. */
static void test_a_killed_holder(void **state) {
    (void)state;
    const pid_t child = fork();
    sys_lock *lock;
    int status;
    if (child == 0) _exit(sys_lock_take(&lock, path(), "run") == P2P_OK ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(is_there());
    OK(try_lock());
}

static void test_stale_texts(void **state) {
    (void)state;
    char text[1024];
    own_text(text);
    set_field(text, "start", "1"); /* the number was used again */
    write_text(text);
    OK(try_lock());
    own_text(text);
    set_field(text, "boot", "\"an earlier start of this machine\"");
    write_text(text);
    OK(try_lock());
    for (int i = 0; i < 4; i++) {
        static const char *const texts[] = {"", "{", "{\"pid\": 1}", "\xff\xfe"};
        write_text(texts[i]);
        OK(try_lock());
    }
}

/* Writes the text with the device and the number of the file that it is written to, and adds to both. */
static void write_placed(char text[1024], int device, int inode) {
    char number[32];
    struct stat file;
    write_text(text);
    assert_int_equal(stat(path(), &file), 0);
    snprintf(number, sizeof number, "%lld", (long long)file.st_dev + device);
    set_field(text, "device", number);
    snprintf(number, sizeof number, "%lld", (long long)file.st_ino + inode);
    set_field(text, "inode", number);
    write_text(text);
}

static bool hint_has(const char *words) {
    return strstr(p2p_message_hint(), words) != NULL;
}

/* A process that the text describes and that lives, though the kernel has no lock: the file system passes
 * none on. */
static void test_a_living_text(void **state) {
    (void)state;
    char text[1024], kill_self[32];
    own_text(text);
    write_placed(text, 0, 0);
    assert_int_equal(try_lock(), P2P_USAGE);
    MESSAGE_HAS("is in use");
    snprintf(kill_self, sizeof kill_self, ": kill %d", (int)getpid());
    assert_true(hint_has(kill_self));
    assert_true(is_there());
}

/* The folder of a living process was copied, with its lock. It writes to the other one. */
static void test_a_copied_text(void **state) {
    (void)state;
    char text[1024];
    own_text(text);
    write_placed(text, 0, 1);
    OK(try_lock());
    write_placed(text, 1, 1);
    assert_int_equal(try_lock(), P2P_USAGE);
    MESSAGE_HAS("run may be in use");
    MESSAGE_HAS("a copy");
    assert_true(hint_has("if run is a copy, remove ") && !hint_has("kill"));
    *strstr(text, ", \"device\"") = '\0'; /* of an older version */
    strcat(text, "}");
    write_text(text);
    assert_int_equal(try_lock(), P2P_USAGE);
    MESSAGE_HAS("run may be in use");
    assert_false(hint_has("kill"));
}

/* The number of a process in another container, or on another host, is that of another process here. */
static void test_numbers_elsewhere(void **state) {
    (void)state;
    static const char *const fields[] = {"pids", "host", "boot", "start", "inode"};
    static const char *const values[] = {"\"pid:[1]\"", "\"box\"", "\"b\"", "1", "1"};
    char text[1024], original[1024], pids[64] = "";
    sys_lock *lock;
    own_text(original);
    assert_true(readlink("/proc/self/ns/pid", pids, sizeof pids - 1) > 0);
    assert_non_null(strstr(original, pids));
    OK(sys_lock_take(&lock, path(), "run"));
    assert_int_equal(try_lock(), P2P_USAGE);
    assert_true(hint_has(": kill "));
    for (int i = 0; i < 5; i++) {
        memcpy(text, original, sizeof text);
        write_placed(text, 0, 0);
        set_field(text, fields[i], values[i]);
        write_text(text);
        assert_int_equal(try_lock(), P2P_USAGE);
        MESSAGE_HAS("run is in use");
        assert_false(hint_has("kill"));
        assert_true(hint_has("wait until it has ended"));
    }
    sys_lock_release(lock);
}

/* Two machines of one name: a lock that the other holds need not be visible. Without an identity the name
 * decides. */
static void test_another_machine_of_the_name(void **state) {
    (void)state;
    char text[1024];
    own_text(text);
    set_field(text, "boot", "\"b\"");
    const bool known = strstr(text, "\"machine\": \"\"") == NULL;
    set_field(text, "machine", "\"another\"");
    write_text(text);
    assert_int_equal(try_lock(), known ? P2P_USAGE : P2P_OK);
    if (known) MESSAGE_HAS("run may be in use");
    set_field(text, "machine", "\"\"");
    write_text(text);
    OK(try_lock());
}

static void test_another_host(void **state) {
    (void)state;
    char text[1024];
    own_text(text);
    set_field(text, "boot", "\"b\"");
    set_field(text, "host", "\"far\\nforged\"");
    write_text(text);
    assert_int_equal(try_lock(), P2P_USAGE);
    assert_null(strstr(p2p_message(), "forged"));
    set_field(text, "host", "\"far\"");
    write_text(text);
    assert_int_equal(try_lock(), P2P_USAGE);
    MESSAGE_HAS("run may be in use");
    MESSAGE_HAS("on far");
    HINT_HAS("if that process has ended, remove ");
    HINT_HAS(path());
    assert_true(is_there());
}

static void test_no_lock(void **state) {
    (void)state;
    test_file_write(test_own_path("target"), "kept", 4);
    test_link_add(path(), test_own_path("target"));
    assert_int_equal(try_lock(), P2P_IO);
    assert_int_equal(remove(path()), 0);
    assert_int_equal(mkfifo(path(), 0600), 0);
    assert_int_equal(try_lock(), P2P_IO); /* without waiting for a writer */
    assert_int_equal(remove(path()), 0);
    test_folder_add(path());
    assert_int_equal(try_lock(), P2P_IO);
    size_t size;
    free(test_file_read(test_own_path("target"), &size));
    assert_int_equal(size, 4);
}

/* A lock that was removed by hand and taken by another is not removed at the end. */
static void test_a_replaced_file(void **state) {
    (void)state;
    sys_lock *first, *second;
    OK(sys_lock_take(&first, path(), "run"));
    assert_int_equal(remove(path()), 0);
    OK(sys_lock_take(&second, path(), "run"));
    sys_lock_release(first);
    assert_true(is_there());
    sys_lock_release(second);
    assert_false(is_there());
}

static char *own(const char *name) {
    char *found = strdup(test_own_path(name));
    assert_non_null(found);
    return found;
}

static void expect_place(sys_lock *lock, sys_lock_place expected, const char *moved_to) {
    sys_lock_place place;
    char *moved;
    OK(sys_lock_find(lock, "run", &place, &moved));
    assert_int_equal(place, expected);
    if (moved_to)
        assert_string_equal(moved, moved_to);
    else
        assert_null(moved);
    free(moved);
}

/* The folder is found after a rename, beside another one at its path, whose lock is left alone. */
static void test_a_renamed_folder(void **state) {
    (void)state;
    char *here = own("here"), *there = own("there"), *file = own("here/run.lock"),
         *moved = own("there/run.lock");
    sys_lock *lock, *other;
    test_folder_add(here);
    OK(sys_lock_take(&lock, file, "run"));
    expect_place(lock, SYS_LOCK_HERE, NULL);
    assert_int_equal(rename(here, there), 0);
    test_folder_add(here);
    OK(sys_lock_take(&other, file, "run"));
    expect_place(lock, SYS_LOCK_MOVED, there);
    expect_place(lock, SYS_LOCK_HERE, NULL); /* of the new path */
    assert_int_equal(sys_lock_check(moved, "run"), P2P_USAGE);
    sys_lock_release(lock);
    assert_int_equal(access(moved, F_OK), -1);
    assert_int_equal(access(file, F_OK), 0);
    sys_lock_release(other);
    free(here), free(there), free(file), free(moved);
}

static void test_a_removed_folder(void **state) {
    (void)state;
    char *here = own("here"), *file = own("here/run.lock");
    sys_lock *lock;
    test_folder_add(here);
    OK(sys_lock_take(&lock, file, "run"));
    assert_int_equal(remove(file), 0);
    expect_place(lock, SYS_LOCK_HERE, NULL); /* taken again */
    assert_int_equal(sys_lock_check(file, "run"), P2P_USAGE);
    assert_int_equal(remove(file), 0);
    assert_int_equal(remove(here), 0);
    expect_place(lock, SYS_LOCK_LOST, NULL);
    test_folder_add(here); /* another one */
    expect_place(lock, SYS_LOCK_LOST, NULL);
    sys_lock_release(lock);
    free(here), free(file);
}

/* A removed lock that another process has taken is not taken from it. */
static void test_a_lost_lock(void **state) {
    (void)state;
    sys_lock *first, *second;
    sys_lock_place place;
    char *moved;
    OK(sys_lock_take(&first, path(), "run"));
    assert_int_equal(remove(path()), 0);
    OK(sys_lock_take(&second, path(), "run"));
    assert_int_equal(sys_lock_find(first, "run", &place, &moved), P2P_USAGE);
    assert_null(moved);
    sys_lock_release(first);
    sys_lock_release(second);
    assert_false(is_there());
}

/* Processes that take and release the lock all the time: never two at once. */
static void test_many_processes(void **state) {
    (void)state;
    enum { PROCESSES = 4, WINS = 100 };
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() != 0) continue;
        for (int wins = 0; wins < WINS;) {
            sys_lock *lock;
            const p2p_status status = sys_lock_take(&lock, path(), "run");
            if (status == P2P_USAGE) continue; /* another one has it */
            if (status != P2P_OK) _exit(2);
            if (mkdir(test_own_path("held"), 0700) != 0) _exit(1); /* another one is inside */
            if (rmdir(test_own_path("held")) != 0) _exit(1);
            sys_lock_release(lock);
            wins++;
        }
        _exit(0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_false(is_there());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_one_holder),
        TEST_IN_FOLDER(test_a_killed_holder),
        TEST_IN_FOLDER(test_stale_texts),
        TEST_IN_FOLDER(test_a_living_text),
        TEST_IN_FOLDER(test_another_host),
        TEST_IN_FOLDER(test_no_lock),
        TEST_IN_FOLDER(test_a_copied_text),
        TEST_IN_FOLDER(test_numbers_elsewhere),
        TEST_IN_FOLDER(test_another_machine_of_the_name),
        TEST_IN_FOLDER(test_a_replaced_file),
        TEST_IN_FOLDER(test_a_renamed_folder),
        TEST_IN_FOLDER(test_a_removed_folder),
        TEST_IN_FOLDER(test_a_lost_lock),
        TEST_IN_FOLDER(test_many_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
