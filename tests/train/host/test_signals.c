/* Signals that request a stop: each signal that ends a process by default and is not caused by its own fault.
 * Each case is a process of its own, which is ended by the signal in the end, without a core file. */
#define _DEFAULT_SOURCE /* WCOREDUMP */
#include "host/sys.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int insisting[] = {SIGINT, SIGTERM, SIGQUIT};
static const int notices[] = {SIGHUP,    SIGUSR1, SIGUSR2,   SIGXCPU, SIGPWR,
                              SIGSTKFLT, SIGALRM, SIGVTALRM, SIGPROF, SIGIO};
#define COUNT(list) (sizeof(list) / sizeof *(list))

enum { REFUSED = 99 };

/* In the child: ends it with REFUSED unless the condition holds. */
static void require(bool condition) {
    if (!condition) _exit(REFUSED);
}

static void prepare(void) {
    if (!freopen("/dev/null", "w", stderr)) _exit(REFUSED);
    sys_signals_prepare();
    sys_stop_listen("step");
}

/* Run `body` in a child, and return how it ended. */
static int run_child(void (*body)(int signal), int signal) {
    int state = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        body(signal);
        _exit(REFUSED);
    }
    assert_int_equal(waitpid(child, &state, 0), child);
    return state;
}

static void check_ended_by(int state, int signal) {
    if (!WIFSIGNALED(state))
        fail_msg("signal %d did not end the process: exit code %d", signal, WEXITSTATUS(state));
    assert_int_equal(WTERMSIG(state), signal);
    assert_false(WCOREDUMP(state));
}

/* A stop is requested, and the end is that by the signal. */
static void stop_once(int number) {
    const struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
    (void)setrlimit(RLIMIT_CORE, &any);
    prepare();
    require(sys_stop_check() == P2P_OK);
    raise(number);
    require(sys_stop_check() == P2P_STOPPED && sys_stop_signal() == number &&
            strstr(sys_stop_name(), "SIG") != NULL);
    sys_stop_end();
}

static void each_requests_a_stop(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(insisting); i++)
        check_ended_by(run_child(stop_once, insisting[i]), insisting[i]);
    for (size_t i = 0; i < COUNT(notices); i++) check_ended_by(run_child(stop_once, notices[i]), notices[i]);
}

/* What sends a notice repeats it, or sends SIGTERM later. The first signal is that of the end. */
static void notice_thrice(int number) {
    prepare();
    raise(number);
    raise(number);
    raise(SIGTERM);
    require(sys_stop_signal() == number);
    sys_stop_end();
}

static void further_notices_have_no_effect(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(notices); i++)
        check_ended_by(run_child(notice_thrice, notices[i]), notices[i]);
}

static void ask_twice(int number) {
    (void)prctl(PR_SET_DUMPABLE, 0);
    prepare();
    raise(SIGUSR1);
    raise(number);
    raise(number);
}

static void the_second_request_ends_at_once(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(insisting); i++)
        check_ended_by(run_child(ask_twice, insisting[i]), insisting[i]);
}

/* Jobs of batch systems: SIGTERM is repeated, or follows SIGINT. */
static void in_a_job(const char *variable, int number) {
    setenv(variable, "1", 1);
    prepare();
    raise(number);
    raise(SIGTERM);
    raise(SIGTERM);
    require(sys_stop_signal() == number);
    sys_stop_end();
}
static void in_a_job_of_slurm(int number) {
    in_a_job("SLURM_JOB_ID", number);
}
static void in_a_job_of_lsf(int number) {
    in_a_job("LSB_JOBID", number);
}
static void interrupt_twice_in_a_job(int number) {
    setenv("SLURM_JOB_ID", "1", 1);
    prepare();
    raise(SIGTERM);
    raise(number);
    raise(number);
}

static void batch_systems_repeat_sigterm(void **state) {
    (void)state;
    check_ended_by(run_child(in_a_job_of_slurm, SIGTERM), SIGTERM);
    check_ended_by(run_child(in_a_job_of_slurm, SIGINT), SIGINT);
    check_ended_by(run_child(in_a_job_of_lsf, SIGINT), SIGINT);
    check_ended_by(run_child(interrupt_twice_in_a_job, SIGINT), SIGINT);
}

static void stay_ignored(int number) {
    signal(number, SIG_IGN);
    prepare();
    raise(number);
    _exit(sys_stop_check() == P2P_OK ? 0 : REFUSED);
}

static void ignored_ones_stay_ignored(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(notices); i++) assert_int_equal(run_child(stay_ignored, notices[i]), 0);
    for (size_t i = 0; i < COUNT(insisting); i++) assert_int_equal(run_child(stay_ignored, insisting[i]), 0);
}

static volatile sig_atomic_t received;

static void receive(int number) {
    received = number;
}

/* The handler of a library's timer stays, also after a stop was requested. */
static void keep_timer(int number) {
    signal(number, receive);
    prepare();
    raise(number);
    require(received == number && sys_stop_check() == P2P_OK);
    raise(SIGTERM);
    received = 0;
    raise(number);
    _exit(received == number ? 0 : REFUSED);
}

static void timers_of_others_stay(void **state) {
    static const int timers[] = {SIGALRM, SIGVTALRM, SIGPROF, SIGIO};
    (void)state;
    for (size_t i = 0; i < COUNT(timers); i++) assert_int_equal(run_child(keep_timer, timers[i]), 0);
}

/* Drivers that compile replace the handlers; the next call of sys_stop_listen installs them again. */
static void replace_handler(int number) {
    prepare();
    signal(number, receive);
    sys_stop_listen("step");
    raise(number);
    _exit(sys_stop_check() == P2P_STOPPED && received == 0 ? 0 : REFUSED);
}

static void replaced_handlers_return(void **state) {
    static const int replaced[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGXCPU};
    (void)state;
    for (size_t i = 0; i < COUNT(replaced); i++) assert_int_equal(run_child(replace_handler, replaced[i]), 0);
}

int main(void) {
    unsetenv("SLURM_JOB_ID"); /* the tests themselves may run in a job */
    unsetenv("LSB_JOBID");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_requests_a_stop),
        cmocka_unit_test(further_notices_have_no_effect),
        cmocka_unit_test(the_second_request_ends_at_once),
        cmocka_unit_test(batch_systems_repeat_sigterm),
        cmocka_unit_test(ignored_ones_stay_ignored),
        cmocka_unit_test(timers_of_others_stay),
        cmocka_unit_test(replaced_handlers_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
