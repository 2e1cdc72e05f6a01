/* Printing on stdout through a pipe that is smaller than the output and that another program has made
 * non-blocking: nothing is lost, and a reader that goes away is an error. */
#define _GNU_SOURCE /* F_SETPIPE_SZ, pipe2 */
#include "host/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PIPE_BYTES = 4096, LINES = 40000, LINE_BYTES = 8, LOST = 3 };

/* In the child: prints numbered lines, and ends with 0 if all were written. */
static void print_lines(int out) {
    dup2(out, STDOUT_FILENO);
    close(out);
    sys_signals_prepare();
    sys_output_prepare();
    for (int i = 0; i < LINES; i++) printf("%07d\n", i);
    errno = 0;
    const bool complete = fflush(stdout) == 0 && !ferror(stdout);
    const int reason = errno;
    if (complete && fclose(stdout) == 0) _exit(0);
    _exit(reason == EPIPE ? LOST : 1);
}

/* Starts a child that prints into a non-blocking pipe, and returns the end to read from, which blocks. */
static pid_t start(int *from) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        print_lines(ends[1]);
    }
    close(ends[1]);
    *from = ends[0];
    return child;
}

static int exit_code(pid_t child) {
    int state;
    assert_int_equal(waitpid(child, &state, 0), child);
    assert_true(WIFEXITED(state));
    return WEXITSTATUS(state);
}

/* Waits until the pipe holds no more than before: then the child has to wait, or has failed. */
static void wait_until_full(int from) {
    char byte;
    for (int held = -1, before = -2, round = 0; held != before; round++) {
        if (round == 600) fail_msg("%d bytes are in the pipe after %d rounds", held, round);
        before = held;
        sys_sleep(0.1);
        assert_int_equal(ioctl(from, FIONREAD, &held), 0);
        if (held == 0) before = -2;
    }
    assert_int_equal(read(from, &byte, 1), 1);
    assert_int_equal(byte, '0');
}

static void test_slow_reader(void **state) {
    (void)state;
    char line[LINE_BYTES + 1];
    int from;
    const pid_t child = start(&from);
    wait_until_full(from);
    FILE *stream = fdopen(from, "r");
    assert_non_null(stream);
    for (int i = 0; i < LINES; i++) {
        assert_non_null(fgets(line, sizeof line, stream));
        assert_int_equal(atoi(line), i);
    }
    assert_int_equal(fgetc(stream), EOF);
    fclose(stream);
    assert_int_equal(exit_code(child), 0);
}

static void test_reader_that_goes_away(void **state) {
    (void)state;
    int from;
    const pid_t child = start(&from);
    wait_until_full(from);
    close(from);
    assert_int_equal(exit_code(child), LOST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_reader_that_goes_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
