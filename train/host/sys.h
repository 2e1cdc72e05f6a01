/* Every call of the trainer to the operating system: threads, folders, files, the terminal, clocks.
 *
 * A port to another system is a port of sys.c and of backend/host/file.c, which it builds on. Nothing here
 * knows about images or training. Functions that fail compose a message with the path and the system's own
 * reason; those that cannot fail return plain values.
 */
#ifndef P2P_SYS_H
#define P2P_SYS_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- Threads --------------------------------------------------------------------------------------------
 */

typedef struct sys_thread sys_thread;

/* Start a thread that runs body(argument). It must be joined, which also frees it. */
p2p_status sys_thread_start(sys_thread **thread, void (*body)(void *argument), void *argument);

/* Wait until the thread's body has returned. NULL is ignored. */
void sys_thread_join(sys_thread *thread);

/* Call job(context, i) once for each i in [0, count), each on whichever processor is free, and return when
 * all have returned. Where the system gives no threads, the caller's does all. */
void sys_parallel(void (*job)(void *context, int index), void *context, int count);

/* A lock and the condition that is waited for under it. */
typedef struct sys_monitor sys_monitor;

p2p_status sys_monitor_create(sys_monitor **monitor);
void sys_monitor_destroy(sys_monitor *monitor); /* NULL is ignored */
void sys_monitor_enter(sys_monitor *monitor);
void sys_monitor_leave(sys_monitor *monitor);
void sys_monitor_wait(sys_monitor *monitor); /* inside: leaves, sleeps until woken, enters; may wake early */
void sys_monitor_wake_all(sys_monitor *monitor); /* inside */

/* ---- Paths and folders ----------------------------------------------------------------------------------
 */

typedef enum { SYS_PATH_ABSENT, SYS_PATH_FILE, SYS_PATH_FOLDER, SYS_PATH_OTHER } sys_path_kind;

/* What `path` leads to, symbolic links followed. A dangling link is absent. */
sys_path_kind sys_path_kind_of(const char *path);

/* Whether both paths lead to one and the same file. */
bool sys_path_same(const char *a, const char *b);

/* "folder/name" (just "name" when the folder is ""), to be freed by the caller. */
p2p_status sys_path_join(char **path, const char *folder, const char *name);

/* Make the folder and whatever is missing above it. A folder that exists is success. */
p2p_status sys_folder_make(const char *path);

/* Remove a file; one that does not exist is success. */
p2p_status sys_file_remove(const char *path);

/* A list of names, owned. */
typedef struct {
    char **names;
    size_t count, capacity;
} sys_names;

void sys_names_free(sys_names *names);

/* Every file below `path`, as paths relative to it, in byte order. Hidden entries (a leading dot) are left
 * out, links are followed, and a link back to a folder that is being walked is left out, so loops end.
 * `wanted` picks by path: everything but folders is offered, dangling links included, so that their names
 * reach whoever opens them. More than SYS_WALK_DEPTH folders inside one another is an error (P2P_INPUT),
 * as is a folder that cannot be read. */
enum { SYS_WALK_DEPTH = 32 };
p2p_status sys_folder_walk(sys_names *names, const char *path, bool (*wanted)(const char *relative));

/* ---- Files ----------------------------------------------------------------------------------------------
 */

/* Read a regular file's first `limit` bytes, or all of it where it is shorter, into memory that the caller
 * frees. *total, which may be NULL, is the whole file's size. Anything but a regular file is refused
 * (P2P_INPUT), and never blocks: folders, pipes, dangling links. */
p2p_status sys_file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, uint64_t *total);

/* Write a file that appears complete or not at all. Longer ones go through p2p_atomic_open (p2p_file.h). */
p2p_status sys_file_write(const char *path, const void *bytes, size_t size);

/* ---- Signals --------------------------------------------------------------------------------------------
 */

/* Note which signals the process was started with ignored (nohup): they stay so. From now on a file that
 * grows beyond the process's limit is an error of the write and no end of the process. Before libraries are
 * called that catch signals themselves, as compilers do. */
void sys_stop_prepare(void);

/* Ignore again what is to stay ignored, where a library may have caught it since. */
void sys_stop_keep_ignored(void);

/* From now on SIGINT (Ctrl-C), SIGTERM and SIGHUP ask to stop instead of ending the process; a second one
 * ends it at once. To be called again where a library may have taken the signals since. */
void sys_stop_listen(void);

/* The signal that has asked to stop; 0 as long as none has. */
int sys_stop_signal(void);

/* P2P_STOPPED once a signal has asked to stop. */
p2p_status sys_stop_check(void);

/* What a person calls that signal. */
const char *sys_stop_name(void);

/* Give an asked-for stop the end that the signal would have had without sys_stop_listen(), so that shells see
 * it. Returns, with the exit code that a shell would show, only where the system doesn't let that end the
 * process. */
int sys_stop_end(void);

/* ---- Terminal, clock, process ---------------------------------------------------------------------------
 */

bool sys_is_terminal(FILE *stream);

/* Columns of the terminal behind `stream`; 80 where it cannot tell. */
int sys_terminal_columns(FILE *stream);

/* Seconds since some fixed moment; never goes back. */
double sys_clock(void);

/* Processors that this process may use, at least 1. */
int sys_processors(void);

/* The most memory, in bytes, that this process has had in RAM at once. */
size_t sys_peak_memory(void);

/* ---- Memory ---------------------------------------------------------------------------------------------
 */

/* From now on blocks of 128 KiB and more go back to the system when they are freed. By default glibc keeps up
 * to 64 MiB once a large block was freed, and a driver's compiler leaves that much. Nothing elsewhere. */
void sys_memory_return_freed(void);

#endif
