/* Calls of the program to the operating system: threads, folders, files, signals, the terminal, clocks. No
 * other room of train/ makes any.
 *
 * A port to another system is a port of sys*.c and lock.c here, and of the files of backend/ on which they
 * build: anchor.c, atomic.c, cache_driver.c, cache_examine.c, file.c and private.c in host/, module_find.c in
 * device/, session_prepare.c in plan/. Nothing here depends on images or training. The message of a failure
 * has the path and the system's reason.
 */
#ifndef P2P_SYS_H
#define P2P_SYS_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- Threads ------------------------------------------------------------------------------------------ */

typedef struct sys_thread sys_thread;

/* Start a thread that runs body(argument). The caller must join it, which releases it. */
p2p_status sys_thread_start(sys_thread **thread, void (*body)(void *argument), void *argument);

/* Wait until the thread's body has returned, and release the thread. NULL is ignored. */
void sys_thread_join(sys_thread *thread);

/* Call job(context, i) once for each i in [0, count), on all processors, and return when all calls have
 * returned. If no thread can be started, the calling thread makes all calls. */
void sys_parallel(void (*job)(void *context, int index), void *context, int count);

/* The same on at most `threads` threads, the calling one included. Indices are taken in ascending order. */
void sys_parallel_on(int threads, void (*job)(void *context, int index), void *context, int count);

/* A lock with a condition. */
typedef struct sys_monitor sys_monitor;

p2p_status sys_monitor_create(sys_monitor **monitor);
void sys_monitor_destroy(sys_monitor *monitor); /* NULL is ignored */
void sys_monitor_enter(sys_monitor *monitor);
void sys_monitor_leave(sys_monitor *monitor);
/* The caller holds the lock. Release it, sleep until woken, and take it again. Wake-ups may be spurious. */
void sys_monitor_wait(sys_monitor *monitor);
/* The caller holds the lock. */
void sys_monitor_wake_all(sys_monitor *monitor);

/* ---- Paths and folders -------------------------------------------------------------------------------- */

typedef enum { SYS_PATH_ABSENT, SYS_PATH_FILE, SYS_PATH_FOLDER, SYS_PATH_OTHER } sys_path_kind;

/* The part of the path after its last "/", or all of it: a file's name in its folder. */
const char *sys_base_name(const char *path);

/* Sets *kind to the kind of `path`; symbolic links are followed. P2P_UNREADABLE, with *kind SYS_PATH_ABSENT,
 * if it cannot be found out, for lack of permission for example, and for a link that leads nowhere: what may
 * exist is never reported as absent. */
p2p_status sys_path_kind_of(const char *path, sys_path_kind *kind);

/* Sets *is_folder to whether `path` is a folder. Fails as sys_path_kind_of does. */
p2p_status sys_path_is_folder(const char *path, bool *is_folder);

/* Sets *exists to whether there is anything at `path`. Fails as sys_path_kind_of does. */
p2p_status sys_path_exists(const char *path, bool *exists);

/* Sets *same to whether both paths lead to the same file. Fails as sys_path_kind_of does. */
p2p_status sys_path_same(const char *a, const char *b, bool *same);

/* The absolute path that `path` leads to, without links, "." and "..". What does not exist yet, or is a
 * link to itself, is kept as it is named. The caller frees *real. P2P_UNREADABLE if a part of the path cannot
 * be looked at. */
p2p_status sys_path_real(char **real, const char *path);

/* P2P_USAGE, with the path in the message, if folder/name or a folder between the two is a symbolic link:
 * what is moved or removed there would lie elsewhere. Neither needs to exist. */
p2p_status sys_path_no_links(const char *folder, const char *name);

/* P2P_USAGE, with the path in the message, if a folder on the way from `named` down to `folder` is a symbolic
 * link that belongs neither to this user nor to root: whoever made it would choose where files are written or
 * removed. A person's own link to another disk is followed. `folder` is `named` or a path that begins with
 * it; neither needs to exist. */
p2p_status sys_folder_check_links(const char *named, const char *folder);

/* "folder/name", or "name" if the folder is "". The caller frees *path. */
p2p_status sys_path_join(char **path, const char *folder, const char *name);

/* Whether `path` is `folder` or lies in it, links followed. Neither needs to exist: the part that does not is
 * compared as text. */
p2p_status sys_path_inside(const char *path, const char *folder, bool *inside);

/* Make the folder and its missing parents. P2P_OK if it exists already. */
p2p_status sys_folder_make(const char *path);

/* Make the folder, but not its parents; P2P_IO if they are missing. For folders of a training: a person may
 * have renamed what they are in, which must not appear again at its old path. */
p2p_status sys_folder_make_one(const char *path);

/* Remove a file. P2P_OK if it does not exist. */
p2p_status sys_file_remove(const char *path);

/* Rename a file. To another file system it is copied, and then removed: a process that ends between may leave
 * both. `to` appears complete or not at all; an existing file is replaced. P2P_IO if it can't be renamed or
 * written, P2P_UNREADABLE if it can't be copied. */
p2p_status sys_file_rename(const char *from, const char *to);

/* Rename a damaged file to its path with the suffix SYS_DAMAGED, so that it is not taken for an intact one.
 * The caller frees *aside, the new path. */
#define SYS_DAMAGED ".damaged"
p2p_status sys_file_set_aside(char **aside, const char *path);
/* That path alone. The caller frees *aside. */
p2p_status sys_path_aside(char **aside, const char *path);

/* Remove an empty folder. P2P_OK if it does not exist or is not empty. A symbolic link is left as
 * it is. */
p2p_status sys_folder_remove(const char *path);

/* A list that owns its names. */
typedef struct {
    char **names;
    size_t count, capacity;
} sys_names;

void sys_names_free(sys_names *names);
/* Add a name, of which the list takes ownership, also if it fails: P2P_OUT_OF_MEMORY. */
p2p_status sys_names_add(sys_names *names, char *name);
void sys_names_sort(sys_names *names); /* in byte order */
bool sys_names_have(const sys_names *sorted, const char *name);

/* List the files below `path` for which `wanted` returns true, as paths relative to `path`, in byte order.
 * Hidden entries (a leading dot) are skipped. Links are followed, except those to a folder that contains
 * them, so that loops end. `wanted` is called for everything but folders, dangling links included, so that
 * the failure occurs where the file is opened. P2P_INPUT if more than SYS_WALK_DEPTH folders are nested;
 * P2P_UNREADABLE if a folder cannot be read, or if it cannot be found out whether an entry is a folder. */
enum { SYS_WALK_DEPTH = 32 };
p2p_status sys_folder_walk(sys_names *names, const char *path, bool (*wanted)(const char *relative));

/* ---- Files -------------------------------------------------------------------------------------------- */

/* Read the first `limit` bytes of a regular file, or the whole of a shorter one. The caller frees *bytes.
 * *total is the size of the file; `total` may be NULL. P2P_UNREADABLE if reading fails and,
 * without blocking, for anything but a regular file: folders, pipes, dangling links. */
p2p_status sys_file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, uint64_t *total);

/* Write what the stream has to the disk; one that has no place on a disk, such as a pipe, is only flushed.
 * False, with errno, after a failure. */
bool sys_file_sync(FILE *stream);

/* Write a file that appears complete or not at all. p2p_atomic_open (p2p_file.h) does so for a stream. */
p2p_status sys_file_write(const char *path, const void *bytes, size_t size);
/* The same, but replaces nothing: P2P_USAGE, with the path, if the file exists. */
p2p_status sys_file_write_new(const char *path, const void *bytes, size_t size);

/* ---- Standard streams and signals --------------------------------------------------------------------- */

/* Occupies each of the descriptors 0 to 2 that is closed, so that no file that is opened later gets one and
 * receives what is printed. Output to these descriptors fails. Call it first. */
void sys_descriptors_reserve(void);

/* From now on printing on stdout waits for its reader, also if another program has made the descriptor
 * non-blocking: a full pipe would otherwise be an error. `stdout` becomes another stream. Call it before
 * anything is printed. sys_messages.c */
void sys_output_prepare(void);

/* From now on printing on stderr never waits for a reader, such as a terminal that Ctrl-S has stopped: a
 * thread writes what is printed. If it has to wait, 64 KiB are kept, beyond that the newest lines, and the
 * number of missing lines is printed. `stderr` becomes another stream; no effect if no thread can be started.
 * Call it before p2p_warnings_to. sys_messages.c */
void sys_messages_start(void);
/* The same for stdout, of which nothing is dropped: printing fails when 64 KiB wait. For little output. */
void sys_output_start(void);

/* From now on what is printed on stderr is discarded, or is not any more: another process prints the same. No
 * effect if sys_messages_start had none. */
void sys_messages_discard(bool discards);

/* Whether everything that was printed on stderr has been written. What is soon out of date can be left out if
 * not. */
bool sys_messages_idle(void);

/* Wait until everything that was printed on stderr has been written, at most so long. Returns whether it was.
 */
bool sys_messages_wait(double seconds);
/* The same for stdout; returns the error of a write, ETIMEDOUT if the time is over, or 0. */
int sys_output_wait(double seconds);

/* Print on stderr in a signal handler. The text must stay valid. */
void sys_messages_note(const char *text, size_t length);

/* The descriptor to which a stream's bytes go; -1 if there is none. */
int sys_descriptor_of(FILE *stream);

/* From now on output never ends or stops the process: if the reader of a pipe has gone or a file is too
 * large, the write fails, and a process in the background may write to its terminal. Records which stop
 * signals were ignored when the process started (nohup); they stay ignored. Blocks SIGWINCH in this thread
 * and those that it starts, for sys_resize_watch. Call it before libraries that install signal handlers or
 * start threads, as drivers do. */
void sys_signals_prepare(void);

/* Ignore these signals again, after a library may have installed a handler. */
void sys_signals_keep_ignored(void);

/* From now on signals that ask a process to end, such as SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGUSR1,
 * request a stop "after this `what`" instead of ending it. A second SIGINT, SIGTERM or SIGQUIT ends it at
 * once, but SIGTERM does not in a job of Slurm or LSF. Call it again after a library may have replaced the
 * handlers; `what` is then the same. */
void sys_stop_listen(const char *what);

/* P2P_STOPPED if a signal has requested a stop. */
p2p_status sys_stop_check(void);

/* The signal that requested a stop, as a number; 0: none. */
int sys_stop_signal(void);
/* Request a stop as this signal would, which was received by another process. */
void sys_stop_adopt(int number);

/* The name of the signal that requested a stop, for users. */
const char *sys_stop_name(void);

/* End the process by that signal, without a core file, so that a shell sees it. If the system does not let
 * the signal end the process, returns the exit code that a shell would show. */
int sys_stop_end(void);

/* ---- Terminal, clock, process ------------------------------------------------------------------------- */

bool sys_is_terminal(FILE *stream);

/* Columns of the stream's terminal; 80 if they are unknown. */
int sys_terminal_columns(FILE *stream);

/* Whether colours may be printed on the stream: it is a terminal that is not "dumb", and NO_COLOR is not set
 * (no-color.org). */
bool sys_has_colours(FILE *stream);

/* Call changed(context) in a thread of its own whenever the size of the terminal has changed (SIGWINCH).
 * sys_signals_prepare must have been called. NULL if no thread can be started. sys_signals.c */
typedef struct sys_resize sys_resize;
sys_resize *sys_resize_watch(void (*changed)(void *context), void *context);
/* End the thread, which is then no longer in changed(). NULL is ignored. */
void sys_resize_end(sys_resize *watch);

/* Seconds since an arbitrary origin. Never decreases, whatever happens to the time of day. */
double sys_clock(void);
/* Seconds for which processors have run threads of this process. */
double sys_processor_time(void);

/* Sleep; about so long, less if a signal arrives. */
void sys_sleep(double seconds);

/* End the process at once, without handlers of libraries, which may wait for others. */
_Noreturn void sys_process_end(int exit_code);

/* Seconds since the start of 1970 (UTC). */
double sys_time(void);

/* The time of day as "2026-01-31T23:59:59.123Z". */
enum { SYS_TIME_BYTES = 32 };
void sys_time_text(char text[SYS_TIME_BYTES]);

/* Processors that this process may use, at least 1; those of the machine, not fewer. */
int sys_processors(void);
int sys_machine_processors(void);

/* The peak resident memory of this process in bytes; 0 if it is unknown. */
size_t sys_peak_memory(void);

/* Run a program, which is looked for in PATH, and wait for its end. `words` are its name and arguments, and
 * NULL. It reads nothing, and each line that it prints on stdout or stderr is passed to print(). A signal
 * that requests a stop is passed on to it, and after 5 more seconds it is killed, as it is if this process
 * ends. P2P_FAILED if it is not installed or a signal ends it; P2P_STOPPED if a signal has requested a stop
 * meanwhile. sys_program.c */
p2p_status sys_program_run(const char *const *words, void (*print)(const char *line), int *exit_code);

/* ---- Memory ------------------------------------------------------------------------------------------- */

/* Memory that the system would still give this process, and what limits it: a clause for a message. `scope`
 * is equal in processes of this machine that share the memory; 0: it is this process's own. */
typedef struct {
    uint64_t bytes, scope;
    char limit[96];
} sys_memory;

/* All limits that are known: the machine's available memory (MemAvailable; swap is not counted); what the
 * memory limits of the control groups of this process leave, of either version, where cached pages of files
 * count as free; and what the limits of address space and data leave. Of more than SYS_MEMORY_LIMITS the
 * first are returned. Returns their number. sys_memory.c */
enum { SYS_MEMORY_LIMITS = 16 };
int sys_memory_limits(sys_memory limits[SYS_MEMORY_LIMITS]);
/* The same with the files of /proc and /sys below `root`, for tests. Limits of the process are its own. */
int sys_memory_limits_in(const char *root, sys_memory limits[SYS_MEMORY_LIMITS]);
/* The one with the least memory. False, with `bytes` UINT64_MAX, if nothing is known. */
bool sys_memory_available(sys_memory *memory);
bool sys_memory_available_in(const char *root, sys_memory *memory);

/* From now on free() returns blocks of 128 KiB and more to the system. By default glibc retains up to 64 MiB
 * after a large block was freed, and a driver's compiler leaves that much behind. No effect with other C
 * libraries. */
void sys_memory_return_freed(void);

#endif
