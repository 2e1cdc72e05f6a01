/* Every call of the program to the operating system: threads, folders, files, signals, the terminal, clocks.
 *
 * A port to another system is a port of sys.c and of backend/host/file.c, which it builds on. Nothing here
 * depends on images or training. The message of a failure has the path and the system's reason.
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

/* The kind of `path`. Symbolic links are followed; a dangling link is absent. */
sys_path_kind sys_path_kind_of(const char *path);

/* Whether both paths lead to the same file. */
bool sys_path_same(const char *a, const char *b);

/* "folder/name", or "name" if the folder is "". The caller frees *path. */
p2p_status sys_path_join(char **path, const char *folder, const char *name);

/* Make the folder and its missing parents. P2P_OK if it exists already. */
p2p_status sys_folder_make(const char *path);

/* Remove a file. P2P_OK if it does not exist. */
p2p_status sys_file_remove(const char *path);

/* Rename a file within its folder. An existing file `to` is replaced. */
p2p_status sys_file_rename(const char *from, const char *to);

/* A list that owns its names. */
typedef struct {
    char **names;
    size_t count, capacity;
} sys_names;

void sys_names_free(sys_names *names);

/* List the files below `path` for which `wanted` returns true, as paths relative to `path`, in byte order.
 * Hidden entries (a leading dot) are skipped. Links are followed, except those to a folder that contains
 * them, so that loops end. `wanted` is called for everything but folders, dangling links included, so that
 * the failure occurs where the file is opened. P2P_INPUT if more than SYS_WALK_DEPTH folders are nested, or
 * if a folder cannot be read. */
enum { SYS_WALK_DEPTH = 32 };
p2p_status sys_folder_walk(sys_names *names, const char *path, bool (*wanted)(const char *relative));

/* ---- Files -------------------------------------------------------------------------------------------- */

/* Read the first `limit` bytes of a regular file, or the whole of a shorter one. The caller frees *bytes.
 * *total is the size of the file; `total` may be NULL. P2P_INPUT, without blocking, for anything but a
 * regular file: folders, pipes, dangling links. */
p2p_status sys_file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, uint64_t *total);

/* Write a file that appears complete or not at all. p2p_atomic_open (p2p_file.h) does so for a stream. */
p2p_status sys_file_write(const char *path, const void *bytes, size_t size);

/* ---- Signals ------------------------------------------------------------------------------------------ */

/* Record which stop signals were ignored when the process started (nohup); they stay ignored. From now on a
 * write beyond the process's file size limit fails instead of ending the process. Call it before libraries
 * that install signal handlers, as compilers in drivers do. */
void sys_stop_prepare(void);

/* Ignore the recorded signals again, after a library may have installed a handler. */
void sys_stop_keep_ignored(void);

/* From now on SIGINT (Ctrl-C), SIGTERM and SIGHUP request a stop instead of ending the process; a second one
 * ends it at once. Call it again after a library may have replaced the handlers. */
void sys_stop_listen(void);

/* P2P_STOPPED if a signal has requested a stop. */
p2p_status sys_stop_check(void);

/* The name of the signal that requested a stop, for users. */
const char *sys_stop_name(void);

/* End the process by that signal, so that a shell sees it. If the system does not let the signal end the
 * process, returns the exit code that a shell would show. */
int sys_stop_end(void);

/* ---- Terminal, clock, process ------------------------------------------------------------------------- */

bool sys_is_terminal(FILE *stream);

/* Columns of the stream's terminal; 80 if they are unknown. */
int sys_terminal_columns(FILE *stream);

/* Seconds since an arbitrary origin, monotonic. */
double sys_clock(void);

/* Processors that this process may use, at least 1. */
int sys_processors(void);

/* Set an environment variable for the rest of the process. Call it while the process has one thread only. */
p2p_status sys_environment_set(const char *name, const char *value);

/* The peak resident memory of this process in bytes; 0 if it is unknown. */
size_t sys_peak_memory(void);

/* ---- Memory ------------------------------------------------------------------------------------------- */

/* From now on free() returns blocks of 128 KiB and more to the system. By default glibc retains up to 64 MiB
 * after a large block was freed, and a driver's compiler leaves that much behind. No effect with other C
 * libraries. */
void sys_memory_return_freed(void);

#endif
