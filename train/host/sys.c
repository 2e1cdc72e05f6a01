/* The POSIX implementation of sys.h, without signals (sys_signals.c). Files are opened and written through
 * backend/p2p_file.h, which the layers below share.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "sys.h"
#include "p2p_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* ---- Threads ------------------------------------------------------------------------------------------ */

struct sys_thread {
    pthread_t handle;
    void (*body)(void *argument);
    void *argument;
};

struct sys_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

static void *run_thread(void *opaque) {
    sys_thread *thread = opaque;
    thread->body(thread->argument);
    return NULL;
}

p2p_status sys_thread_start(sys_thread **thread, void (*body)(void *argument), void *argument) {
    *thread = NULL;
    sys_thread *started = malloc(sizeof *started);
    if (started == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a thread");
    started->body = body;
    started->argument = argument;
    int error = pthread_create(&started->handle, NULL, run_thread, started);
    if (error != 0) {
        free(started);
        return p2p_fail(P2P_FAILED, "can't start a thread: %s", strerror(error));
    }
    *thread = started;
    return P2P_OK;
}

void sys_thread_join(sys_thread *thread) {
    if (thread == NULL) return;
    pthread_join(thread->handle, NULL);
    free(thread);
}

/* Calls that several threads share. `next` is the first index that no thread has taken. */
typedef struct {
    void (*job)(void *context, int index);
    void *context;
    int count;
    atomic_int next;
} shared_jobs;

static void *work(void *opaque) {
    shared_jobs *jobs = opaque;
    for (int i; (i = atomic_fetch_add(&jobs->next, 1)) < jobs->count;) jobs->job(jobs->context, i);
    return NULL;
}

void sys_parallel_on(int threads, void (*job)(void *context, int index), void *context, int count) {
    enum { MOST_HELPERS = 63 };
    shared_jobs jobs = {.job = job, .context = context, .count = count};
    atomic_init(&jobs.next, 0);
    pthread_t helpers[MOST_HELPERS];
    int wanted = threads < count ? threads - 1 : count - 1, started = 0;
    if (wanted > MOST_HELPERS) wanted = MOST_HELPERS;
    while (started < wanted && pthread_create(&helpers[started], NULL, work, &jobs) == 0) started++;
    work(&jobs);
    while (started > 0) pthread_join(helpers[--started], NULL);
}

void sys_parallel(void (*job)(void *context, int index), void *context, int count) {
    sys_parallel_on(sys_processors(), job, context, count);
}

p2p_status sys_monitor_create(sys_monitor **monitor) {
    *monitor = NULL;
    sys_monitor *created = malloc(sizeof *created);
    if (created == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a lock");
    int error = pthread_mutex_init(&created->mutex, NULL);
    if (error == 0) {
        error = pthread_cond_init(&created->condition, NULL);
        if (error != 0) pthread_mutex_destroy(&created->mutex);
    }
    if (error != 0) {
        free(created);
        return p2p_fail(P2P_FAILED, "can't create a lock: %s", strerror(error));
    }
    *monitor = created;
    return P2P_OK;
}

void sys_monitor_destroy(sys_monitor *monitor) {
    if (monitor == NULL) return;
    pthread_cond_destroy(&monitor->condition);
    pthread_mutex_destroy(&monitor->mutex);
    free(monitor);
}

void sys_monitor_enter(sys_monitor *monitor) {
    pthread_mutex_lock(&monitor->mutex);
}

void sys_monitor_leave(sys_monitor *monitor) {
    pthread_mutex_unlock(&monitor->mutex);
}

void sys_monitor_wait(sys_monitor *monitor) {
    pthread_cond_wait(&monitor->condition, &monitor->mutex);
}

void sys_monitor_wake_all(sys_monitor *monitor) {
    pthread_cond_broadcast(&monitor->condition);
}

/* ---- Paths and folders -------------------------------------------------------------------------------- */

static sys_path_kind kind_of_mode(mode_t mode) {
    if (S_ISREG(mode)) return SYS_PATH_FILE;
    return S_ISDIR(mode) ? SYS_PATH_FOLDER : SYS_PATH_OTHER;
}

/* Fails as sys_path_kind_of does. */
static p2p_status look_at(const char *path, struct stat *found, bool *exists) {
    const char *relative = path;
    const int base = p2p_folder_base(&relative);
    *exists = fstatat(base, relative, found, 0) == 0;
    if (*exists) return P2P_OK;
    const bool is_link =
        (errno == ENOENT || errno == ENOTDIR) && fstatat(base, relative, found, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_link) return p2p_fail(P2P_UNREADABLE, "%s is a symbolic link that leads nowhere", path);
    if (errno == ENOENT || errno == ENOTDIR) return P2P_OK;
    return p2p_fail(P2P_UNREADABLE, "can't find out what %s is: %s", path, strerror(errno));
}

p2p_status sys_path_kind_of(const char *path, sys_path_kind *kind) {
    struct stat found;
    bool exists;
    *kind = SYS_PATH_ABSENT;
    P2P_TRY(look_at(path, &found, &exists));
    if (exists) *kind = kind_of_mode(found.st_mode);
    return P2P_OK;
}

p2p_status sys_path_is_folder(const char *path, bool *is_folder) {
    sys_path_kind kind;
    const p2p_status status = sys_path_kind_of(path, &kind);
    *is_folder = kind == SYS_PATH_FOLDER;
    return status;
}

p2p_status sys_path_exists(const char *path, bool *exists) {
    sys_path_kind kind;
    const p2p_status status = sys_path_kind_of(path, &kind);
    *exists = kind != SYS_PATH_ABSENT;
    return status;
}

p2p_status sys_path_same(const char *a, const char *b, bool *same) {
    struct stat first, second;
    bool first_exists, second_exists;
    *same = false;
    P2P_TRY(look_at(a, &first, &first_exists));
    P2P_TRY(look_at(b, &second, &second_exists));
    *same = first_exists && second_exists && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
    return P2P_OK;
}

const char *sys_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

p2p_status sys_path_join(char **path, const char *folder, const char *name) {
    size_t folder_length = strlen(folder), name_length = strlen(name);
    char *joined = malloc(folder_length + name_length + 2);
    *path = joined;
    if (joined == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    memcpy(joined, folder, folder_length);
    if (folder_length > 0 && folder[folder_length - 1] != '/') joined[folder_length++] = '/';
    memcpy(joined + folder_length, name, name_length + 1);
    return P2P_OK;
}

p2p_status sys_folder_make(const char *path) {
    return p2p_folder_make(path, 0777);
}

p2p_status sys_folder_make_one(const char *path) {
    return p2p_folder_make_one(path, 0777);
}

p2p_status sys_file_remove(const char *path) {
    const char *relative = path;
    const int base = p2p_folder_base(&relative);
    if (unlinkat(base, relative, 0) == 0 || errno == ENOENT) return P2P_OK;
    return p2p_fail(P2P_IO, "can't remove %s: %s", path, strerror(errno));
}

static p2p_status copy_stream(FILE *from, const char *name, FILE *to) {
    char bytes[1 << 14];
    size_t size;
    while ((size = fread(bytes, 1, sizeof bytes, from)) > 0)
        if (fwrite(bytes, 1, size, to) != size) break; /* commit reports it */
    if (!ferror(from)) return P2P_OK;
    return p2p_fail(P2P_UNREADABLE, "can't read %s: %s", name, strerror(errno));
}

static p2p_status copy_file(const char *from, const char *to) {
    FILE *stream;
    uint64_t size;
    p2p_atomic_file copy;
    P2P_TRY(p2p_file_open(from, &stream, &size));
    p2p_status status = p2p_atomic_open(&copy, to);
    if (status == P2P_OK) {
        status = copy_stream(stream, from, copy.stream);
        if (status == P2P_OK)
            status = p2p_atomic_commit(&copy);
        else
            p2p_atomic_abandon(&copy);
    }
    fclose(stream);
    return status;
}

bool sys_file_sync(FILE *stream) {
    return fflush(stream) == 0 && (fsync(fileno(stream)) == 0 || errno == EINVAL);
}

p2p_status sys_file_rename(const char *from, const char *to) {
    const char *old_name = from, *new_name = to;
    const int old_base = p2p_folder_base(&old_name), new_base = p2p_folder_base(&new_name);
    if (renameat(old_base, old_name, new_base, new_name) == 0) return P2P_OK;
    if (errno == EXDEV) {
        P2P_TRY(copy_file(from, to));
        return sys_file_remove(from);
    }
    return p2p_fail(P2P_IO, "can't rename %s to %s: %s", from, to, strerror(errno));
}

p2p_status sys_path_aside(char **aside, const char *path) {
    const size_t size = strlen(path) + sizeof SYS_DAMAGED;
    *aside = malloc(size);
    if (!*aside) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    snprintf(*aside, size, "%s" SYS_DAMAGED, path);
    return P2P_OK;
}

p2p_status sys_file_set_aside(char **aside, const char *path) {
    P2P_TRY(sys_path_aside(aside, path));
    const p2p_status status = sys_file_rename(path, *aside);
    if (status == P2P_OK) return P2P_OK;
    free(*aside);
    *aside = NULL;
    return status;
}

p2p_status sys_folder_remove(const char *path) {
    const char *relative = path;
    const int base = p2p_folder_base(&relative);
    if (unlinkat(base, relative, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTEMPTY ||
        errno == EEXIST)
        return P2P_OK;
    const int error = errno;
    struct stat found;
    const bool is_link = error == ENOTDIR && fstatat(base, relative, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                         S_ISLNK(found.st_mode);
    if (is_link) return P2P_OK;
    return p2p_fail(P2P_IO, "can't remove the folder %s: %s", path, strerror(error));
}

void sys_names_free(sys_names *names) {
    for (size_t i = 0; i < names->count; i++) free(names->names[i]);
    free(names->names);
    *names = (sys_names){0};
}

p2p_status sys_names_add(sys_names *names, char *name) {
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 256 : names->capacity * 2;
        char **grown =
            capacity > SIZE_MAX / sizeof *grown ? NULL : realloc(names->names, capacity * sizeof *grown);
        if (grown == NULL) {
            free(name);
            return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a list of %zu files", capacity);
        }
        names->names = grown;
        names->capacity = capacity;
    }
    names->names[names->count++] = name;
    return P2P_OK;
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void sys_names_sort(sys_names *names) {
    if (names->count > 0) qsort(names->names, names->count, sizeof *names->names, compare_names);
}

bool sys_names_have(const sys_names *sorted, const char *name) {
    return sorted->count > 0 &&
           bsearch(&name, sorted->names, sorted->count, sizeof *sorted->names, compare_names);
}

/* A folder on the path of the walk, and the folder that contains it. */
typedef struct walk_level {
    const struct walk_level *above;
    int depth;
    dev_t device;
    ino_t inode;
} walk_level;

typedef struct {
    sys_names *names;
    const char *root;
    bool (*wanted)(const char *relative);
} walk;

static p2p_status walk_folder(const walk *state, const char *relative, const walk_level *above);

static bool is_being_walked(const walk_level *level, const struct stat *found) {
    for (; level != NULL; level = level->above)
        if (level->device == found->st_dev && level->inode == found->st_ino) return true;
    return false;
}

static p2p_status walk_entry(const walk *state, const char *relative, const walk_level *level) {
    char *path = NULL;
    P2P_TRY(sys_path_join(&path, state->root, relative));
    struct stat found;
    p2p_status status = P2P_OK;
    const char *name = path;
    const int base = p2p_folder_base(&name);
    const bool known = fstatat(base, name, &found, 0) == 0;
    if (!known && errno != ENOENT && errno != ELOOP)
        status = p2p_fail(P2P_UNREADABLE, "can't find out what %s is: %s", path, strerror(errno));
    free(path);
    P2P_TRY(status);
    if (known && S_ISDIR(found.st_mode))
        return is_being_walked(level, &found) ? P2P_OK : walk_folder(state, relative, level);
    if (!state->wanted(relative)) return P2P_OK;
    char *copy = strdup(relative);
    if (copy == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a file's name");
    return sys_names_add(state->names, copy);
}

static p2p_status walk_entries(const walk *state, const char *relative, const char *path, DIR *folder,
                               const walk_level *level) {
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL && errno == 0) return P2P_OK;
        if (entry == NULL)
            return p2p_fail(P2P_UNREADABLE, "can't read the folder %s: %s", path, strerror(errno));
        if (entry->d_name[0] == '.') continue;
        char *below = NULL;
        P2P_TRY(sys_path_join(&below, relative, entry->d_name));
        p2p_status status = walk_entry(state, below, level);
        free(below);
        if (status != P2P_OK) return status;
    }
}

static DIR *open_folder(const char *path) {
    const int base = p2p_folder_base(&path);
    const int descriptor = openat(base, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (!folder && descriptor >= 0) {
        const int error = errno;
        close(descriptor);
        errno = error;
    }
    return folder;
}

static p2p_status walk_opened(const walk *state, const char *relative, const char *path,
                              const walk_level *above) {
    walk_level level = {.above = above, .depth = above == NULL ? 1 : above->depth + 1};
    if (level.depth > SYS_WALK_DEPTH)
        return p2p_fail(P2P_INPUT, "%s lies more than %d folders deep", path, SYS_WALK_DEPTH);
    DIR *folder = open_folder(path);
    if (folder == NULL)
        return p2p_fail(P2P_UNREADABLE, "can't open the folder %s: %s", path, strerror(errno));
    struct stat found;
    p2p_status status;
    if (fstat(dirfd(folder), &found) != 0) {
        status = p2p_fail(P2P_UNREADABLE, "can't read the folder %s: %s", path, strerror(errno));
    } else {
        level.device = found.st_dev;
        level.inode = found.st_ino;
        status = walk_entries(state, relative, path, folder, &level);
    }
    closedir(folder);
    return status;
}

static p2p_status walk_folder(const walk *state, const char *relative, const walk_level *above) {
    char *path = NULL;
    P2P_TRY(sys_path_join(&path, state->root, relative));
    p2p_status status = walk_opened(state, relative, path, above);
    free(path);
    return status;
}

p2p_status sys_folder_walk(sys_names *names, const char *path, bool (*wanted)(const char *relative)) {
    *names = (sys_names){0};
    walk state = {.names = names, .root = path, .wanted = wanted};
    p2p_status status = walk_folder(&state, "", NULL);
    if (status != P2P_OK) {
        sys_names_free(names);
        return status;
    }
    sys_names_sort(names);
    return P2P_OK;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

p2p_status sys_file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size, uint64_t *total) {
    *bytes = NULL;
    *size = 0;
    FILE *stream;
    uint64_t length;
    P2P_TRY(p2p_file_open(path, &stream, &length));
    if (total != NULL) *total = length;
    size_t wanted = length < limit ? (size_t)length : limit;
    p2p_status status = P2P_OK;
    *bytes = malloc(wanted > 0 ? wanted : 1);
    if (*bytes == NULL) {
        status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the %zu bytes of %s", wanted, path);
    } else {
        *size = fread(*bytes, 1, wanted, stream); /* less if the file has been truncated since */
        if (ferror(stream)) status = p2p_fail(P2P_UNREADABLE, "can't read %s: %s", path, strerror(errno));
    }
    fclose(stream);
    if (status != P2P_OK) {
        free(*bytes);
        *bytes = NULL;
        *size = 0;
    }
    return status;
}

static p2p_status open_filled(p2p_atomic_file *file, const char *path, const void *bytes, size_t size) {
    P2P_TRY(p2p_atomic_open(file, path));
    if (size > 0) fwrite(bytes, 1, size, file->stream); /* commit checks the stream for errors */
    return P2P_OK;
}

p2p_status sys_file_write(const char *path, const void *bytes, size_t size) {
    p2p_atomic_file file;
    P2P_TRY(open_filled(&file, path, bytes, size));
    return p2p_atomic_commit(&file);
}

p2p_status sys_file_write_new(const char *path, const void *bytes, size_t size) {
    p2p_atomic_file file;
    P2P_TRY(open_filled(&file, path, bytes, size));
    return p2p_atomic_commit_new(&file);
}

/* ---- Terminal, clock, process ------------------------------------------------------------------------- */

bool sys_is_terminal(FILE *stream) {
    int descriptor = sys_descriptor_of(stream);
    return descriptor >= 0 && isatty(descriptor);
}

bool sys_has_colours(FILE *stream) {
    const char *none = getenv("NO_COLOR"), *kind = getenv("TERM");
    return sys_is_terminal(stream) && !(none && none[0]) && kind && kind[0] && strcmp(kind, "dumb") != 0;
}

int sys_terminal_columns(FILE *stream) {
    struct winsize size;
    int descriptor = sys_descriptor_of(stream);
    if (descriptor < 0 || ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

void sys_sleep(double seconds) {
    const time_t whole = (time_t)seconds;
    nanosleep(&(struct timespec){.tv_sec = whole, .tv_nsec = (long)(1e9 * (seconds - (double)whole))}, NULL);
}

_Noreturn void sys_process_end(int exit_code) {
    fflush(NULL);
    _Exit(exit_code);
}

/* Never less than an earlier reading: the clocks of some virtual machines jump back, though POSIX forbids it.
 */
double sys_clock(void) {
    static atomic_int_least64_t latest; /* nanoseconds */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int_least64_t read = (int_least64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    int_least64_t seen = atomic_load(&latest);
    while (seen < read && !atomic_compare_exchange_weak(&latest, &seen, read)) continue;
    return 1e-9 * (double)(seen < read ? read : seen);
}

double sys_processor_time(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

double sys_time(void) {
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void sys_time_text(char text[SYS_TIME_BYTES]) {
    struct timespec now = {0};
    struct tm parts = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    const size_t length = strftime(text, SYS_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, SYS_TIME_BYTES - length, ".%03ldZ", now.tv_nsec / 1000000);
}

/* VmHWM of Linux; 0 on other systems. */
static size_t peak_memory_from_proc(void) {
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmHWM: %llu", &kib) != 1) continue;
    fclose(file);
    return (size_t)kib * 1024;
}

int sys_machine_processors(void) {
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > INT_MAX ? INT_MAX : (int)online;
}

/* taskset, Slurm and mpirun leave a process a part of the processors. The mask is too small for machines with
 * more than CPU_SETSIZE of them. */
int sys_processors(void) {
    cpu_set_t allowed;
    const bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0;
    return known ? CPU_COUNT(&allowed) : sys_machine_processors();
}

/* ru_maxrss includes the peak before exec, which after vfork is that of the parent. Therefore getrusage is
 * only the fallback. */
size_t sys_peak_memory(void) {
    struct rusage usage;
    size_t peak = peak_memory_from_proc();
    if (peak > 0) return peak;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0; /* in KiB */
}

/* ---- Memory ------------------------------------------------------------------------------------------- */

void sys_memory_return_freed(void) {
#ifdef __GLIBC__
    enum { LEAST_BYTES = 128 << 10 }; /* glibc's initial threshold; setting it stops its growth */
    (void)mallopt(M_MMAP_THRESHOLD, LEAST_BYTES);
#endif
}
