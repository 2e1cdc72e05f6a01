/* See trace.h. A thread stops at the entry and at the exit of each system call. At the entry of the chosen
 * one the call is taken out or its length is halved; at the exit its result becomes the error. */
#define _GNU_SOURCE
#include "trace.h"
#include "registers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("provoke: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

void trace_log_free(trace_log *log) {
    free(log->calls);
    *log = (trace_log){0};
}

static void log_add(trace_log *log, const traced_call *call) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 1024;
        log->calls = realloc(log->calls, log->capacity * sizeof *log->calls);
        if (!log->calls) die("no memory for a list of calls");
    }
    log->calls[log->count++] = *call;
}

/* ---- Starting and the time limit ---------------------------------------------------------------------- */

static volatile sig_atomic_t time_is_up;

static void note_time(int number) {
    (void)number;
    time_is_up = 1;
}

/* waitpid() fails with EINTR when the time is up. 0 ends the limit. */
static void limit_time(int seconds) {
    const struct sigaction action = {.sa_handler = note_time};
    const struct itimerval once = {.it_value = {.tv_sec = seconds}};
    time_is_up = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &once, NULL);
}

static void redirect(const char *path, int descriptor) {
    const int opened = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (opened < 0 || dup2(opened, descriptor) < 0) _exit(126);
    close(opened);
}

/* In the child. Addresses are the same in each run, so that those of callers can be compared. */
static _Noreturn void execute(const trace_command *command, bool traced) {
    const int nowhere = open("/dev/null", O_RDONLY);
    if (nowhere < 0 || dup2(nowhere, 0) < 0) _exit(126);
    redirect(command->out, 1);
    redirect(command->err, 2);
    for (int i = 3; i < 64; i++) close(i);
    personality(ADDR_NO_RANDOMIZE);
    for (int i = 0; command->environment && command->environment[i]; i++)
        putenv((char *)command->environment[i]);
    if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(125);
    if (traced) raise(SIGSTOP);
    execv(command->arguments[0], (char *const *)command->arguments);
    _exit(127);
}

bool trace_is_possible(void) {
    int status;
    const pid_t process = fork();
    if (process < 0) die("can't start a process: %s", strerror(errno));
    if (process == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(1);
        raise(SIGSTOP);
        _exit(1);
    }
    const bool stopped = waitpid(process, &status, 0) == process && WIFSTOPPED(status);
    if (!stopped) return false;
    kill(process, SIGKILL);
    waitpid(process, &status, 0);
    return true;
}

static pid_t begin(const trace_command *command, bool traced) {
    fflush(NULL);
    const pid_t process = fork();
    if (process < 0) die("can't start a process: %s", strerror(errno));
    if (process == 0) execute(command, traced);
    return process;
}

static void note_end(int status, trace_outcome *outcome) {
    outcome->signaled = WIFSIGNALED(status);
    outcome->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (outcome->code >= 125 && outcome->code <= 127 && !outcome->signaled)
        die("the program can't be run (%d)", outcome->code);
}

void run_plainly(const trace_command *command, trace_outcome *outcome) {
    int status;
    *outcome = (trace_outcome){0};
    const pid_t process = begin(command, false);
    limit_time(TRACE_SECONDS);
    while (waitpid(process, &status, 0) < 0) {
        if (errno != EINTR) die("waitpid: %s", strerror(errno));
        outcome->hung = true;
        kill(process, SIGKILL);
    }
    limit_time(0);
    note_end(status, outcome);
}

/* ---- The traced process ------------------------------------------------------------------------------- */

enum { MOST_THREADS = 128 };

typedef struct {
    pid_t id; /* 0: a free place */
    bool started, injecting, count_changed;
    int64_t result;
    uint64_t count; /* the true one, if it was changed */
} traced_thread;

typedef struct {
    const trace_command *command;
    const trace_plan *plan;
    trace_outcome *outcome;
    trace_log *log;
    pid_t process;
    uint64_t linker_begin, linker_end; /* addresses of the dynamic linker's code */
    uint64_t counts[CALL_COUNT];
    char folder[PATH_MAX]; /* the current one */
    bool idle;             /* no more calls are of interest */
    traced_thread threads[MOST_THREADS];
} tracer;

static traced_thread *thread_of(tracer *t, pid_t id) {
    traced_thread *empty = NULL;
    for (int i = 0; i < MOST_THREADS; i++) {
        if (t->threads[i].id == id) return &t->threads[i];
        if (t->threads[i].id == 0 && !empty) empty = &t->threads[i];
    }
    if (!empty) die("more than %d threads", MOST_THREADS);
    *empty = (traced_thread){.id = id};
    return empty;
}

/* Right after exec the linker and the program are the only files that are mapped. */
static void find_linker(tracer *t) {
    char name[64], line[PATH_MAX + 128];
    snprintf(name, sizeof name, "/proc/%d/maps", (int)t->process);
    FILE *maps = fopen(name, "r");
    if (!maps) die("%s: %s", name, strerror(errno));
    while (fgets(line, sizeof line, maps)) {
        unsigned long long begin, end;
        char mode[5];
        if (sscanf(line, "%llx-%llx %4s", &begin, &end, mode) == 3 && mode[2] == 'x' &&
            strstr(line, "/ld-")) {
            t->linker_begin = begin;
            t->linker_end = end;
        }
    }
    fclose(maps);
}

/* ---- The file of a call ------------------------------------------------------------------------------- */

static void read_text(pid_t process, uint64_t address, char *text, size_t size) {
    /* A string may end right before a page that can't be read: read up to the page's end at first. */
    size_t done = 0;
    while (done + 1 < size) {
        size_t part = 4096 - (size_t)((address + done) % 4096);
        if (part > size - 1 - done) part = size - 1 - done;
        struct iovec to = {.iov_base = text + done, .iov_len = part};
        struct iovec from = {.iov_base = (void *)(uintptr_t)(address + done), .iov_len = part};
        if (process_vm_readv(process, &to, 1, &from, 1, 0) != (ssize_t)part) break;
        if (memchr(text + done, '\0', part)) return;
        done += part;
    }
    text[done] = '\0';
}

/* The path of an open file, or of the current folder. */
static void descriptor_path(const tracer *t, int descriptor, char path[PATH_MAX]) {
    char name[64];
    if (descriptor == AT_FDCWD) {
        snprintf(path, PATH_MAX, "%s", t->folder);
        return;
    }
    snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)t->process, descriptor);
    const ssize_t length = readlink(name, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = '\0';
}

static void path_below(const tracer *t, int folder, uint64_t address, char path[PATH_MAX]) {
    char name[PATH_MAX], base[PATH_MAX];
    read_text(t->process, address, name, sizeof name);
    if (name[0] == '/') {
        memcpy(path, name, sizeof name);
        return;
    }
    descriptor_path(t, folder, base);
    const int length = snprintf(path, PATH_MAX, "%.*s%s%.*s", PATH_MAX / 2, base, name[0] ? "/" : "",
                                PATH_MAX / 2 - 2, name);
    if (length >= PATH_MAX) die("a path is too long");
}

static void find_file(const tracer *t, uint64_t number, const uint64_t args[6], traced_call *call) {
    char path[PATH_MAX] = "";
    switch (call_file_place(number)) {
    case FILE_NONE:
        break;
    case FILE_DESCRIPTOR:
        descriptor_path(t, (int)args[0], path);
        break;
    case FILE_PATH:
        path_below(t, AT_FDCWD, args[0], path);
        break;
    case FILE_PATH_AT:
        path_below(t, (int)args[0], args[1], path);
        break;
    case FILE_SECOND_PATH:
        path_below(t, AT_FDCWD, args[1], path);
        break;
    case FILE_SECOND_PATH_AT:
        path_below(t, (int)args[2], args[3], path);
        break;
    }
    const size_t size = strlen(path), length = strlen(t->folder);
    if (size > 2 && strcmp(path + size - 2, "/.") == 0) path[size - 2] = '\0'; /* the folder itself */
    const bool below = strncmp(path, t->folder, length) == 0 && path[length] == '/';
    snprintf(call->path, sizeof call->path, "%.*s", TRACE_PATH_BYTES - 1, below ? path + length + 1 : path);
}

static bool is_output(const tracer *t, const traced_call *call) {
    return strcmp(call->path, t->command->out) == 0 || strcmp(call->path, t->command->err) == 0;
}

/* ---- Injection ---------------------------------------------------------------------------------------- */

/* Halves the length of a transfer. A single byte can't be halved: then nothing is injected. */
static bool halve(traced_thread *thread, const uint64_t args[6]) {
    if (args[2] < 2) return false;
    thread->count_changed = true;
    thread->count = args[2];
    return set_count(thread->id, args[2] / 2);
}

static void inject(tracer *t, traced_thread *thread, const traced_call *call, const uint64_t args[6]) {
    const fault *what = t->plan->what;
    bool done = true;
    switch (what->kind) {
    case FAULT_KILL:
        kill(t->process, SIGKILL);
        break;
    case FAULT_SHORT:
    case FAULT_TORN:
        done = halve(thread, args);
        thread->injecting = done && what->kind == FAULT_TORN;
        break;
    case FAULT_MOVE:
        done = rename(t->plan->folder, t->plan->moved) == 0;
        break;
    case FAULT_REPLACE:
        done = rename(t->plan->folder, t->plan->moved) == 0 && rename(t->plan->other, t->plan->folder) == 0;
        break;
    default:
        done = skip_call(thread->id);
        thread->injecting = true;
        thread->result = -what->error;
    }
    if (done && !t->outcome->injected) t->outcome->where = *call;
    t->outcome->injected |= done;
    t->idle = !what->lasts && !t->log && !thread->injecting && !thread->count_changed;
}

static bool is_chosen(const tracer *t, const traced_call *call) {
    const fault *what = t->plan->what;
    if (!what || (what->call != call->call && what->call != CALL_ANY)) return false;
    const uint64_t count = t->counts[what->call];
    /* A full disk does not keep the message from the terminal. */
    return what->lasts ? count >= t->plan->nth && !is_output(t, call) : count == t->plan->nth;
}

static bool counts(const tracer *t, const traced_call *call) {
    return !t->command->only_below || (call->path[0] != '/' && call->path[0] != '\0');
}

static void enter_call(tracer *t, traced_thread *thread, const struct ptrace_syscall_info *info) {
    uint64_t args[6];
    memcpy(args, info->entry.args, sizeof args);
    traced_call call = {.call = call_of_number(info->entry.nr, args)};
    const bool linker =
        info->instruction_pointer >= t->linker_begin && info->instruction_pointer < t->linker_end;
    if (call.call == CALL_NONE || linker) return;
    const fault *what = t->plan->what;
    const bool of_interest = what && (what->call == call.call || what->call == CALL_ANY);
    if (!t->log && !of_interest) return;
    const bool needed =
        t->log || t->command->only_below || what->lasts || t->counts[what->call] + 1 == t->plan->nth;
    if (needed) find_file(t, info->entry.nr, args, &call);
    if (!counts(t, &call)) return;
    call.changes_files = call_changes_files(info->entry.nr, args);
    t->counts[call.call]++;
    t->counts[CALL_ANY]++;
    if (t->log) log_add(t->log, &call);
    if (is_chosen(t, &call)) inject(t, thread, &call, args);
}

static void leave_call(tracer *t, traced_thread *thread) {
    if (thread->count_changed) set_count(thread->id, thread->count);
    thread->count_changed = false;
    if (!thread->injecting) return;
    thread->injecting = false;
    if (t->plan->what->kind == FAULT_TORN)
        kill(t->process, SIGKILL);
    else
        set_result(thread->id, thread->result);
    t->idle = !t->plan->what->lasts && !t->log;
}

/* ---- The loop ----------------------------------------------------------------------------------------- */

static void handle_call(tracer *t, traced_thread *thread) {
    struct ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->id, (void *)sizeof info, &info) <= 0)
        return; /* it was killed */
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) enter_call(t, thread, &info);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) leave_call(t, thread);
}

/* Returns the signal to deliver to the stopped thread. */
static int handle_stop(tracer *t, traced_thread *thread, int status) {
    const int number = WSTOPSIG(status), event = status >> 16;
    const bool first = !thread->started;
    thread->started = true;
    if (number == (SIGTRAP | 0x80)) {
        handle_call(t, thread);
        return 0;
    }
    if (number == SIGTRAP && event == PTRACE_EVENT_EXEC) find_linker(t);
    if (number == SIGTRAP && event != 0) return 0;
    return number == SIGSTOP && first ? 0 : number; /* a new thread begins with SIGSTOP */
}

static void trace(tracer *t) {
    for (;;) {
        int status;
        const pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno != EINTR) die("waitpid: %s", strerror(errno));
        if (id < 0 && time_is_up) {
            t->outcome->hung = true;
            kill(t->process, SIGKILL);
        }
        if (id < 0) continue;
        traced_thread *thread = thread_of(t, id);
        if (!WIFSTOPPED(status)) {
            thread->id = 0;
            if (id != t->process) continue;
            note_end(status, t->outcome);
            return;
        }
        const int number = handle_stop(t, thread, status);
        ptrace(t->idle && !thread->injecting && !thread->count_changed ? PTRACE_CONT : PTRACE_SYSCALL, id,
               NULL, (void *)(intptr_t)number);
    }
}

void run_traced(const trace_command *command, const trace_plan *plan, trace_outcome *outcome,
                trace_log *log) {
    static tracer t;
    int status;
    *outcome = (trace_outcome){0};
    t = (tracer){.command = command, .plan = plan, .outcome = outcome, .log = log};
    if (!getcwd(t.folder, sizeof t.folder)) die("the current folder: %s", strerror(errno));
    t.process = begin(command, true);
    if (waitpid(t.process, &status, 0) < 0 || !WIFSTOPPED(status)) die("the program can't be traced");
    const intptr_t options =
        PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, t.process, NULL, (void *)options) != 0) die("ptrace: %s", strerror(errno));
    thread_of(&t, t.process)->started = true;
    limit_time(TRACE_SECONDS);
    ptrace(PTRACE_SYSCALL, t.process, NULL, NULL);
    trace(&t);
    limit_time(0);
}
