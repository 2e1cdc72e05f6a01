/* A training that is killed between any two of its files. Every call that publishes, moves or removes a file,
 * makes or removes a folder, or flushes a line is the moment of a kill, one after the other, before and after
 * the call. The linker directs these calls here (--wrap), so no moment is left to chance. Afterwards:
 *
 *  - `--resume` ends with every file of an undisturbed training, byte for byte, and no other;
 *  - the same after a second kill, at some moment of the resumed training;
 *  - `--resume` up to the checkpoint's own step leaves the files of a training of that length: what the
 * folder holds is brought to the checkpoint's state, also the best models and epochs that newer ones had
 * replaced.
 *
 *   test_train_kills [all]    all: a second kill at every moment
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "support/test_files.h"
#include "train_commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Moments ------------------------------------------------------------------------------------------ */

enum { KILLED = 99 };

/* Shared with child processes. Calls are counted twice: the moment before and that after. */
static struct { long count, kill_at; /* kill_at 0: never */ } * moments;
static bool armed; /* in the child process alone */

static void moment(void) {
    if (armed && ++moments->count == moments->kill_at) _exit(KILLED);
}

#define WRAP(name, parameters, arguments)                                                                    \
    int __real_##name parameters;                                                                            \
    int __wrap_##name parameters;                                                                            \
    int __wrap_##name parameters {                                                                           \
        moment();                                                                                            \
        const int result = __real_##name arguments;                                                          \
        moment();                                                                                            \
        return result;                                                                                       \
    }

WRAP(rename, (const char *from, const char *to), (from, to))
WRAP(renameat, (int folder, const char *from, int into, const char *to), (folder, from, into, to))
WRAP(unlink, (const char *path), (path))
WRAP(unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
WRAP(mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode))
WRAP(rmdir, (const char *path), (path))
WRAP(fflush, (FILE * stream), (stream))

/* ---- Trainings ---------------------------------------------------------------------------------------- */

/* Epochs of 3 steps; checkpoints after 5, 10 and 14 steps. Epochs 2 and 3 end between two checkpoints, and
 * the training ends within epoch 5. */
#define LAST "14"
static const test_command training = {
    COMMAND_TRAIN,
    command_train,
    {"train",       "--data",        "data", "--out",          "OUT",   "--device",
     "reference:0", "--size",        "8",    "--generator",    "2",     "--ngf",
     "1",           "--ndf",         "1",    "--d-net",        "pixel", "--checkpoint-every",
     "5",           "--keep-epochs", "2",    "--keep-samples", "1",     "--workers",
     "1",           "--steps",       "LAST"}};

static test_command command_of(const char *out, const char *last) {
    test_command line = training;
    for (int i = 0; line.words[i]; i++) {
        if (strcmp(line.words[i], "OUT") == 0) line.words[i] = out;
        if (strcmp(line.words[i], "LAST") == 0) line.words[i] = last;
    }
    return line;
}

/* Runs a training in a child process that is killed at moment `nth`, 0: not. Resumes what has begun, if
 * wanted. Returns whether the child was killed; a failure of the training fails the test. */
static bool train(const char *out, const char *last, long nth, bool resume) {
    const test_command line = command_of(out, last);
    const bool begun = resume && test_is_there(test_path(out, "config.json"));
    int status;
    moments->count = 0;
    moments->kill_at = nth;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        armed = true;
        const p2p_status result = test_command_run(&line, begun ? "--resume" : NULL);
        armed = false;
        if (result != P2P_OK) fprintf(stderr, "%s: %s\n", out, p2p_message());
        _exit(result == P2P_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    const int code = WEXITSTATUS(status);
    if (code != 0 && code != KILLED) fail_msg("%s, moment %ld: exit code %d", out, nth, code);
    return code == KILLED;
}

static void remove_run(const char *out) {
    if (test_is_there(out)) test_folder_remove(strdup(out));
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

static bool every_moment; /* the argument `all` */

/* The number of moments of an undisturbed training. */
static long train_whole(void) {
    remove_run("whole");
    assert_false(train("whole", LAST, 0, false));
    const long count = moments->count;
    assert_true(count > 150); /* fewer would show that calls have other names now */
    return count;
}

/* The last epoch must not be the best, nor the first, or best/ would not be replaced between two checkpoints.
 */
static void test_a_kill_at_each_moment(void **state) {
    (void)state;
    const long count = train_whole();
    for (long n = 1; n <= count; n++) {
        remove_run("other");
        assert_true(train("other", LAST, n, false));
        assert_false(train("other", LAST, 0, true));
        test_expect_same_run("whole", "other", NULL);
    }
    print_message("%ld kills, each resumed to equal files\n", count);
}

static void test_a_second_kill(void **state) {
    (void)state;
    const long count = train_whole();
    long kills = 0;
    for (long n = 1; n <= count; n += every_moment ? 1 : 19) {
        for (long m = 1;; m += every_moment ? 1 : 5 + n % 11) {
            remove_run("other");
            assert_true(train("other", LAST, n, false));
            if (!train("other", LAST, m, true)) break;
            kills++;
            assert_false(train("other", LAST, 0, true));
            test_expect_same_run("whole", "other", NULL);
            if (!every_moment && m > 60) break;
        }
    }
    print_message("%ld second kills, each resumed to equal files\n", kills);
}

/* Whether the newest checkpoint is that of this step. */
static bool is_at(const char *out, int step) {
    char now[64], next[64];
    snprintf(now, sizeof now, "checkpoints/step-%09d.safetensors", step);
    snprintf(next, sizeof next, "checkpoints/step-%09d.safetensors", step == 5 ? 10 : 14);
    return test_is_there(test_path(out, now)) && !test_is_there(test_path(out, next));
}

static void test_the_state_of_a_checkpoint(void **state) {
    (void)state;
    const long count = train_whole();
    int restored[2] = {0};
    assert_false(train("part5", "5", 0, false));
    assert_false(train("part10", "10", 0, false));
    for (long n = 1; n <= count; n++) {
        remove_run("other");
        assert_true(train("other", LAST, n, false));
        for (int i = 0; i < 2; i++) {
            const char *part = i ? "part10" : "part5";
            if (!is_at("other", i ? 10 : 5)) continue;
            assert_false(train("other", i ? "10" : "5", 0, true));
            /* Checkpoints record the length that was wanted when they were written. */
            test_expect_same_run(part, "other", "checkpoints/");
            restored[i]++;
        }
    }
    assert_true(restored[0] > 20 && restored[1] > 20);
    print_message("%d states restored\n", restored[0] + restored[1]);
}

int main(int argc, char **argv) {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    every_moment = argc == 2 && strcmp(argv[1], "all") == 0;
    moments = mmap(NULL, sizeof *moments, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (moments == MAP_FAILED) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_kill_at_each_moment, test_pairs_make, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_a_second_kill, test_pairs_make, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_the_state_of_a_checkpoint, test_pairs_make, test_pairs_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
