/* Running another program. See sys.h. The program ends with this process: it is killed if this process dies,
 * and receives the signal that requests a stop. */
#define _GNU_SOURCE /* pipe2 */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static p2p_status failed_to_start(const char *name, int error) {
    if (error == ENOENT) return p2p_fail(P2P_FAILED, "the program %s is not installed", name);
    return p2p_fail(P2P_FAILED, "can't start %s: %s", name, strerror(error));
}

/* ---- Start -------------------------------------------------------------------------------------------- */

/* The child process: become the program, or write the error to `report`. Other threads may have held locks
 * when it was made, so it makes async-signal-safe calls only. */
static _Noreturn void become(const char *const *words, pid_t parent, int report) {
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
        getppid() == parent)
        execvp(words[0], (char *const *)words);
    const int error = errno;
    _exit(write(report, &error, sizeof error) == (ssize_t)sizeof error ? 127 : 126);
}

/* The error of a child that could not become the program; 0 if it has. */
static int error_from(int report) {
    int error = 0;
    ssize_t size;
    while ((size = read(report, &error, sizeof error)) < 0 && errno == EINTR) continue;
    return size == (ssize_t)sizeof error ? error : 0;
}

static int start(const char *const *words, pid_t *process) {
    int report[2];
    const pid_t self = getpid();
    if (pipe2(report, O_CLOEXEC) != 0) return errno;
    *process = fork();
    if (*process == 0) become(words, self, report[1]);
    int error = *process < 0 ? errno : 0;
    close(report[1]);
    if (error == 0) error = error_from(report[0]);
    close(report[0]);
    if (error != 0 && *process > 0) (void)waitpid(*process, NULL, 0);
    return error;
}

/* ---- End ---------------------------------------------------------------------------------------------- */

static const double LOOK_EVERY = 0.02, PATIENCE = 5; /* seconds */

/* Pass a signal that requests a stop on to the program, and kill it if it goes on. `passed` is when; 0: not
 * yet. */
static void pass_stop(pid_t process, double *passed) {
    if (sys_stop_signal() == 0) return;
    if (*passed == 0) {
        (void)kill(process, sys_stop_signal());
        *passed = sys_clock();
    } else if (sys_clock() - *passed > PATIENCE) {
        (void)kill(process, SIGKILL);
    }
}

static p2p_status wait_for(pid_t process, const char *name, int *state) {
    double passed = 0;
    pid_t ended;
    while ((ended = waitpid(process, state, WNOHANG)) != process) {
        if (ended < 0 && errno != EINTR)
            return p2p_fail(P2P_FAILED, "can't wait for %s: %s", name, strerror(errno));
        pass_stop(process, &passed);
        sys_sleep(LOOK_EVERY);
    }
    return P2P_OK;
}

p2p_status sys_program_run(const char *const *words, int *exit_code) {
    pid_t process = 0;
    int state = 0;
    const int error = start(words, &process);
    if (error != 0) return failed_to_start(words[0], error);
    P2P_TRY(wait_for(process, words[0], &state));
    P2P_TRY(sys_stop_check());
    if (WIFSIGNALED(state)) return p2p_fail(P2P_FAILED, "signal %d ended %s", WTERMSIG(state), words[0]);
    *exit_code = WEXITSTATUS(state);
    return P2P_OK;
}
