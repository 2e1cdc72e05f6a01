/* Signals and standard streams over POSIX. See sys.h. */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
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

/* How the signals differ that request a stop. */
typedef enum {
    REQUEST, /* a person or a service manager sends it: a second one ends the process at once */
    NOTICE,  /* repeated by what sends it, or followed by SIGTERM: a second one has no effect */
    TIMER    /* a notice that a library may use for itself: a handler of others is kept */
} stop_kind;

/* The signals that request a stop: all that end a process by default and are neither a fault of the process
 * nor real-time signals. Batch systems announce the end of a job by SIGUSR1, SIGUSR2 or SIGXCPU. */
static struct {
    const int number;
    stop_kind kind;
    const char *const name; /* for users */
    bool ignored;           /* when the process started; it stays so */
    bool handled;           /* by request_stop */
} stop_signals[] = {
    {SIGINT, REQUEST, "Ctrl-C (SIGINT)", false, false},
    {SIGTERM, REQUEST, "SIGTERM", false, false},
    {SIGQUIT, REQUEST, "SIGQUIT", false, false},
    {SIGHUP, NOTICE, "a closed terminal (SIGHUP)", false, false},
    {SIGUSR1, NOTICE, "SIGUSR1", false, false},
    {SIGUSR2, NOTICE, "SIGUSR2", false, false},
    {SIGXCPU, NOTICE, "the limit of processor time (SIGXCPU)", false, false},
    {SIGPWR, NOTICE, "a failure of the power supply (SIGPWR)", false, false},
    {SIGSTKFLT, NOTICE, "SIGSTKFLT", false, false},
    {SIGALRM, TIMER, "SIGALRM", false, false},
    {SIGVTALRM, TIMER, "SIGVTALRM", false, false},
    {SIGPROF, TIMER, "SIGPROF", false, false},
    {SIGIO, TIMER, "SIGIO", false, false},
};
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

static bool is_request(int number) {
    for (int i = 0; i < STOP_SIGNALS; i++)
        if (stop_signals[i].number == number) return stop_signals[i].kind == REQUEST;
    return false;
}

/* Slurm sends SIGTERM twice within milliseconds at a job's time limit, LSF sends it after SIGINT; both end
 * with SIGKILL. So in their jobs SIGTERM is a notice. */
static bool is_batch_job(void) {
    return getenv("SLURM_JOB_ID") || getenv("LSB_JOBID");
}

static void choose_kind_of_term(void) {
    const stop_kind kind = is_batch_job() ? NOTICE : REQUEST;
    for (int i = 0; i < STOP_SIGNALS; i++)
        if (stop_signals[i].number == SIGTERM) stop_signals[i].kind = kind;
}

/* A signal handler: async-signal-safe calls only. Further notices are ignored: a terminal that is closed
 * sends SIGHUP, and so do its shell, before it or after it, and service managers after SIGTERM; the kernel
 * repeats SIGXCPU every second. After a request the next one has its default action; SIGTERM is a notice in
 * jobs of Slurm and LSF. After a notice the default actions are not restored, because batch systems send
 * SIGTERM later. */
static void request_stop(int number) {
    const int error = errno;
    const bool last = is_request(number);
    for (int i = 0; i < STOP_SIGNALS; i++) {
        if (!stop_signals[i].handled) continue;
        if (stop_signals[i].kind != REQUEST)
            signal(stop_signals[i].number, SIG_IGN);
        else if (last)
            signal(stop_signals[i].number, SIG_DFL);
    }
    if (stop_signal == 0) stop_signal = number;
    sys_messages_note(stop_note, stop_note_length);
    errno = error;
}

/* Whether the signal is left to a handler of others. */
static bool is_taken(int i) {
    struct sigaction present;
    return stop_signals[i].kind == TIMER && sigaction(stop_signals[i].number, NULL, &present) == 0 &&
           present.sa_handler != SIG_DFL && present.sa_handler != request_stop;
}

void sys_stop_listen(const char *what) {
    if (stop_signal != 0) return;
    sys_signals_keep_ignored();
    if (stop_note_length == 0) { /* before the first handler is installed */
        choose_kind_of_term();
        stop_note_length = (size_t)snprintf(stop_note, sizeof stop_note,
                                            "\nstopping after this %s; a second Ctrl-C%s stops at once\n",
                                            what, is_request(SIGTERM) ? " or SIGTERM" : "");
    }
    struct sigaction wanted = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    sigemptyset(&wanted.sa_mask);
    for (int i = 0; i < STOP_SIGNALS; i++) sigaddset(&wanted.sa_mask, stop_signals[i].number);
    for (int i = 0; i < STOP_SIGNALS; i++) {
        stop_signals[i].handled = !stop_signals[i].ignored && !is_taken(i);
        if (stop_signals[i].handled) sigaction(stop_signals[i].number, &wanted, NULL);
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
    for (int i = 0; i < STOP_SIGNALS; i++)
        if (stop_signals[i].number == stop_signal) return stop_signals[i].name;
    return "a signal";
}

/* SIGQUIT and SIGXCPU would write an image of the memory. */
int sys_stop_end(void) {
    (void)prctl(PR_SET_DUMPABLE, 0);
    signal(stop_signal, SIG_DFL);
    raise(stop_signal);
    return 128 + stop_signal; /* signals do not end the first process of a container */
}
