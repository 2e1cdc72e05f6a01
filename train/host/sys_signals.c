/* Signals and standard streams over POSIX. See sys.h. */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Standard streams --------------------------------------------------------------------------------- */

/* /dev/null is opened for reading only, so that output to it fails and is reported as lost. */
void sys_descriptors_reserve(void) {
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        if (fcntl(i, F_GETFD) >= 0 || errno != EBADF) continue;
        if (open("/dev/null", O_RDONLY) != i && open("/", O_RDONLY) != i) _Exit(1);
    }
}

/* ---- Signals that are ignored ------------------------------------------------------------------------- */

/* The default actions of these end or stop the process. If they are ignored, the write that caused the signal
 * fails: SIGPIPE, because the reader of a pipe has gone; SIGXFSZ, beyond the limit of file sizes. A write
 * that causes SIGTTOU, by a process in the background, succeeds. */
static const int output_signals[] = {SIGPIPE, SIGXFSZ, SIGTTOU};
enum { OUTPUT_SIGNALS = sizeof output_signals / sizeof *output_signals };

/* The signals that request a stop, and whether they stay ignored. */
static struct {
    int number;
    bool ignored;
} stop_signals[] = {{SIGINT, false}, {SIGTERM, false}, {SIGHUP, false}};
enum { STOP_SIGNALS = sizeof stop_signals / sizeof *stop_signals };

void sys_signals_keep_ignored(void) {
    for (int i = 0; i < OUTPUT_SIGNALS; i++) signal(output_signals[i], SIG_IGN);
    for (int i = 0; i < STOP_SIGNALS; i++) {
        if (stop_signals[i].ignored) signal(stop_signals[i].number, SIG_IGN);
    }
}

void sys_signals_prepare(void) {
    for (int i = 0; i < STOP_SIGNALS; i++) {
        struct sigaction present;
        const bool known = sigaction(stop_signals[i].number, NULL, &present) == 0;
        stop_signals[i].ignored = known && present.sa_handler == SIG_IGN;
    }
    sys_signals_keep_ignored();
    sigset_t resized;
    sigemptyset(&resized);
    sigaddset(&resized, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &resized, NULL);
}

/* ---- Changes of the terminal --------------------------------------------------------------------------- */

struct sys_resize {
    pthread_t thread;
    atomic_bool ends;
    void (*changed)(void *context);
    void *context;
};

static void *wait_for_changes(void *argument) {
    sys_resize *watch = argument;
    sigset_t resized;
    int number;
    sigemptyset(&resized);
    sigaddset(&resized, SIGWINCH);
    while (sigwait(&resized, &number) == 0 && !atomic_load(&watch->ends)) watch->changed(watch->context);
    return NULL;
}

/* The thread handles no other signals. */
sys_resize *sys_resize_watch(void (*changed)(void *context), void *context) {
    sys_resize *watch = calloc(1, sizeof *watch);
    sigset_t all, before;
    if (!watch) return NULL;
    *watch = (sys_resize){.changed = changed, .context = context};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = pthread_create(&watch->thread, NULL, wait_for_changes, watch) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) return watch;
    free(watch);
    return NULL;
}

void sys_resize_end(sys_resize *watch) {
    if (!watch) return;
    atomic_store(&watch->ends, true);
    pthread_kill(watch->thread, SIGWINCH);
    pthread_join(watch->thread, NULL);
    free(watch);
}

/* ---- Stop requests ------------------------------------------------------------------------------------ */

static volatile sig_atomic_t stop_signal;
static char stop_note[128];
static size_t stop_note_length;

/* A signal handler: async-signal-safe calls only. Restores the default action for the next signal. A terminal
 * that is closed sends SIGHUP, and so do its shell, before it or after it, and service managers after
 * SIGTERM: further ones are ignored. */
static void request_stop(int number) {
    const int error = errno;
    for (int i = 0; i < STOP_SIGNALS; i++) {
        if (!stop_signals[i].ignored)
            signal(stop_signals[i].number, stop_signals[i].number == SIGHUP ? SIG_IGN : SIG_DFL);
    }
    stop_signal = number;
    sys_messages_note(stop_note, stop_note_length);
    errno = error;
}

void sys_stop_listen(const char *what) {
    if (stop_signal != 0) return;
    sys_signals_keep_ignored();
    if (stop_note_length == 0) /* before the first handler is installed */
        stop_note_length =
            (size_t)snprintf(stop_note, sizeof stop_note,
                             "\nstopping after this %s; a second Ctrl-C or SIGTERM stops at once\n", what);
    struct sigaction wanted = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    sigemptyset(&wanted.sa_mask);
    for (int i = 0; i < STOP_SIGNALS; i++) sigaddset(&wanted.sa_mask, stop_signals[i].number);
    for (int i = 0; i < STOP_SIGNALS; i++) {
        if (!stop_signals[i].ignored) sigaction(stop_signals[i].number, &wanted, NULL);
    }
}

p2p_status sys_stop_check(void) {
    return stop_signal ? p2p_fail(P2P_STOPPED, "stopped by %s", sys_stop_name()) : P2P_OK;
}

int sys_stop_signal(void) {
    return stop_signal;
}

void sys_stop_adopt(int number) {
    if (stop_signal == 0) stop_signal = number;
}

const char *sys_stop_name(void) {
    switch (stop_signal) {
    case SIGINT:
        return "Ctrl-C (SIGINT)";
    case SIGTERM:
        return "SIGTERM";
    default:
        return "a closed terminal (SIGHUP)";
    }
}

int sys_stop_end(void) {
    signal(stop_signal, SIG_DFL);
    raise(stop_signal);
    return 128 + stop_signal; /* signals do not end the first process of a container */
}
