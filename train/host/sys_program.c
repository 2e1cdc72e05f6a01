/* Running another program. See sys.h. */
#define _GNU_SOURCE /* pipe2 */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum {
    LINE_BYTES = 4096, /* of a line that is printed in one piece */
    WAIT_MS = 50,      /* between looks for a stop and for the program's end */
    LAST_READS = 64    /* at most, after the program's end */
};

static const double STOP_SECONDS = 5; /* so long after a stop was passed on the program is killed */

typedef struct {
    const char *name;
    pid_t process;
    int output; /* the end of a pipe; -1: closed */
    bool stops; /* a stop was passed on, then */
    double stopped;
    void (*print)(const char *line);
    char line[LINE_BYTES];
    size_t used;
} program;

static p2p_status failed_to_start(const char *name, int error) {
    if (error == ENOENT) return p2p_fail(P2P_FAILED, "the program %s is not installed", name);
    return p2p_fail(P2P_FAILED, "can't start %s: %s", name, strerror(error));
}

/* ---- Start -------------------------------------------------------------------------------------------- */

/* In the new process, where all signals are blocked: handlers of p2p must not run there. */
static void restore_signals(const sigset_t *mask) {
    for (int number = 1; number < NSIG; number++) {
        struct sigaction present;
        if (sigaction(number, NULL, &present) == 0 && present.sa_handler != SIG_IGN)
            (void)signal(number, SIG_DFL);
    }
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
}

/* In the new process, whose parent is `parent`. Writes errno to `failed` if the program can't be executed. */
static _Noreturn void execute(const char *const *words, pid_t parent, int output, int failed,
                              const sigset_t *mask) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0) {
        restore_signals(mask);
        (void)execvp(words[0], (char *const *)words);
    }
    const int error = errno;
    const ssize_t written = write(failed, &error, sizeof error);
    _exit(written == (ssize_t)sizeof error ? 127 : 1);
}

/* The error of execute, after the new process has executed the program or ended; 0: none. */
static int error_of_start(int failed) {
    int error = 0;
    ssize_t got;
    do got = read(failed, &error, sizeof error);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof error ? error : 0;
}

static int start_between(program *run, const char *const *words, const int output[2], const int failed[2]) {
    sigset_t all, before;
    const pid_t parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    run->process = fork();
    if (run->process == 0) execute(words, parent, output[1], failed[1], &before);
    const int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return run->process < 0 ? error : 0;
}

static void close_both(const int ends[2]) {
    close(ends[0]);
    close(ends[1]);
}

static p2p_status start(program *run, const char *const *words) {
    int output[2], failed[2];
    if (pipe2(output, O_CLOEXEC) != 0) return failed_to_start(run->name, errno);
    if (pipe2(failed, O_CLOEXEC) != 0) {
        const int error = errno;
        close_both(output);
        return failed_to_start(run->name, error);
    }
    int error = start_between(run, words, output, failed);
    close(output[1]);
    close(failed[1]);
    if (error == 0 && (error = error_of_start(failed[0])) != 0) (void)waitpid(run->process, NULL, 0);
    close(failed[0]);
    run->output = output[0];
    if (error == 0) return P2P_OK;
    close(output[0]);
    return failed_to_start(run->name, error);
}

/* ---- Output ------------------------------------------------------------------------------------------- */

static void end_line(program *run) {
    run->line[run->used] = '\0';
    if (run->used > 0) run->print(run->line);
    run->used = 0;
}

static void take_bytes(program *run, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != '\n' && bytes[i] != '\0') run->line[run->used++] = bytes[i];
        if (bytes[i] == '\n' || run->used == sizeof run->line - 1) end_line(run);
    }
}

/* Waits for output, at most `milliseconds`, and takes it. Returns whether there was any. */
static bool read_output(program *run, int milliseconds) {
    char bytes[LINE_BYTES];
    struct pollfd ready = {.fd = run->output, .events = POLLIN};
    if (poll(&ready, 1, milliseconds) <= 0 || run->output < 0) return false;
    const ssize_t count = read(run->output, bytes, sizeof bytes);
    if (count > 0) return take_bytes(run, bytes, (size_t)count), true;
    if (count == 0 || errno != EINTR) {
        close(run->output);
        run->output = -1;
    }
    return false;
}

/* ---- End ---------------------------------------------------------------------------------------------- */

static void pass_on_stop(program *run) {
    if (sys_stop_signal() == 0) return;
    if (!run->stops) {
        run->stops = true;
        run->stopped = sys_clock();
        (void)kill(run->process, sys_stop_signal());
    } else if (sys_clock() - run->stopped > STOP_SECONDS) {
        (void)kill(run->process, SIGKILL);
    }
}

/* The program may end while others hold its output open, and print: then what the pipe holds is taken. */
static p2p_status wait_for(program *run, int *state) {
    for (;;) {
        (void)read_output(run, WAIT_MS);
        pass_on_stop(run);
        const pid_t ended = waitpid(run->process, state, WNOHANG);
        if (ended < 0 && errno != EINTR)
            return p2p_fail(P2P_FAILED, "can't wait for %s: %s", run->name, strerror(errno));
        if (ended != run->process) continue;
        for (int i = 0; i < LAST_READS && read_output(run, 0); i++) continue;
        end_line(run);
        return P2P_OK;
    }
}

p2p_status sys_program_run(const char *const *words, void (*print)(const char *line), int *exit_code) {
    program run = {.name = words[0], .print = print};
    int state = 0;
    P2P_TRY(start(&run, words));
    const p2p_status waited = wait_for(&run, &state);
    if (run.output >= 0) close(run.output);
    P2P_TRY(waited);
    P2P_TRY(sys_stop_check());
    if (WIFSIGNALED(state)) return p2p_fail(P2P_FAILED, "signal %d ended %s", WTERMSIG(state), words[0]);
    *exit_code = WEXITSTATUS(state);
    return P2P_OK;
}
