/* See cache_driver.h. A record is text, a line per file: checksum, size, path below the folder. Each process
 * holds a shared lock (flock) on the file `lock` of the folder until it ends, and an exclusive one while it
 * verifies the folder, if it gets one: no other process has the folder open then. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "cache_driver.h"

#include "cache.h"
#include "log.h"
#include "p2p_checksum.h"
#include "p2p_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char kind[] = "driver-files", lock_name[] = "lock";
enum { FOLDER_PERMISSIONS = 0700, MOST_DEPTH = 16, PIECE_BYTES = 1 << 16 };

/* ---- Records ------------------------------------------------------------------------------------------ */

typedef struct {
    char *name; /* below the folder */
    uint64_t size;
    p2p_checksum check;
    bool present;
} file_record;

typedef struct {
    file_record *files;
    size_t count, room;
    size_t sorted; /* the first files, in the order of their names */
} record_list;

static int compare_names(const void *a, const void *b) {
    return strcmp(((const file_record *)a)->name, ((const file_record *)b)->name);
}

static file_record *find_record(const record_list *list, const char *name) {
    const file_record wanted = {.name = (char *)(uintptr_t)name};
    return list->sorted > 0 ? bsearch(&wanted, list->files, list->sorted, sizeof wanted, compare_names)
                            : NULL;
}

static p2p_status add_record(record_list *list, const char *name, size_t length, const file_record *made) {
    if (list->count == list->room) {
        const size_t room = list->room > 0 ? 2 * list->room : 64;
        file_record *files = realloc(list->files, room * sizeof *files);
        if (!files) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the list of a driver's files");
        list->files = files;
        list->room = room;
    }
    file_record *added = &list->files[list->count];
    *added = *made;
    added->name = strndup(name, length);
    if (!added->name) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the list of a driver's files");
    list->count++;
    return P2P_OK;
}

static void free_records(record_list *list) {
    for (size_t i = 0; i < list->count; i++) free(list->files[i].name);
    free(list->files);
    *list = (record_list){0};
}

/* Reads the two hexadecimal digits of each byte. */
static bool parse_check(const char *digits, p2p_checksum *check) {
    if (strspn(digits, "0123456789abcdef") != P2P_CHECKSUM_DIGITS) return false;
    for (size_t i = 0; i < P2P_CHECKSUM_BYTES; i++) {
        const char byte[] = {digits[2 * i], digits[2 * i + 1], '\0'};
        check->bytes[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
    return true;
}

/* An invalid line ends the list: files without a record are made again. */
static p2p_status parse_records(const char *text, record_list *list) {
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        file_record record = {0};
        char *name;
        if (!parse_check(text, &record.check) || text[P2P_CHECKSUM_DIGITS] != ' ') break;
        record.size = strtoull(text + P2P_CHECKSUM_DIGITS + 1, &name, 10);
        if (*name != ' ' || name + 1 >= end) break;
        P2P_TRY(add_record(list, name + 1, (size_t)(end - name) - 1, &record));
    }
    if (list->count > 0) qsort(list->files, list->count, sizeof list->files[0], compare_names);
    list->sorted = list->count;
    return P2P_OK;
}

/* An empty list if there is no record, or it is damaged. */
static p2p_status read_records(const char *driver, record_list *list) {
    const p2p_key_part key = {driver, strlen(driver)};
    void *value = NULL;
    size_t size = 0;
    *list = (record_list){0};
    if (!p2p_cache_get(kind, &key, 1, &value, &size)) return P2P_OK;
    char *text = strndup(value, size);
    free(value);
    const p2p_status status = text
                                  ? parse_records(text, list)
                                  : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the list of a driver's files");
    free(text);
    return status;
}

/* Writes the records of the files that are present. */
static void write_records(const char *driver, const record_list *list) {
    const p2p_key_part key = {driver, strlen(driver)};
    char *text = NULL, digits[P2P_CHECKSUM_DIGITS + 1];
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream) return;
    for (size_t i = 0; i < list->count; i++) {
        const file_record *record = &list->files[i];
        if (!record->present) continue;
        p2p_checksum_text(&record->check, digits);
        fprintf(stream, "%s %" PRIu64 " %s\n", digits, record->size, record->name);
    }
    if (fclose(stream) == 0) p2p_cache_put(kind, &key, 1, text, size); /* a failure: no memory */
    free(text);
}

/* ---- Files -------------------------------------------------------------------------------------------- */

typedef struct {
    const char *path; /* the folder's */
    record_list list;
    bool alone;           /* no other process has the folder open */
    bool changed;         /* the list */
    int removed;          /* files that differed from their records */
    char first[PATH_MAX]; /* of these */
    bool (*unfinished)(const char *name);
} folder_visit;

/* Called for everything but folders. `name` is relative to `folder`, `relative` to the top. */
typedef p2p_status visitor(folder_visit *visit, int folder, const char *name, const char *relative);

static p2p_status fail_reading(const folder_visit *visit, const char *relative) {
    return p2p_fail(P2P_IO, "can't read %s/%s: %s", visit->path, relative, strerror(errno));
}

static p2p_status walk(folder_visit *visit, visitor *call, int folder, char relative[PATH_MAX], int depth);

static p2p_status walk_entry(folder_visit *visit, visitor *call, int folder, const char *name,
                             char relative[PATH_MAX], int depth) {
    struct stat about;
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? P2P_OK : fail_reading(visit, relative);
    if (!S_ISDIR(about.st_mode)) return call(visit, folder, name, relative);
    if (depth == MOST_DEPTH)
        return p2p_fail(P2P_IO, "%s/%s: too many folders in each other", visit->path, relative);
    const int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0) return errno == ENOENT ? P2P_OK : fail_reading(visit, relative);
    return walk(visit, call, inner, relative, depth + 1);
}

/* Owns `folder`. `relative` is its path. */
static p2p_status walk(folder_visit *visit, visitor *call, int folder, char relative[PATH_MAX], int depth) {
    const size_t length = strlen(relative);
    p2p_status status = P2P_OK;
    DIR *entries = fdopendir(folder);
    if (!entries) {
        status = fail_reading(visit, relative);
        close(folder);
        return status;
    }
    while (status == P2P_OK) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (!entry && errno != 0) status = fail_reading(visit, relative);
        if (!entry) break;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (snprintf(relative + length, PATH_MAX - length, "%s%s", length > 0 ? "/" : "", name) >=
            (int)(PATH_MAX - length))
            status = p2p_fail(P2P_IO, "%s: a path in it is too long", visit->path);
        else
            status = walk_entry(visit, call, dirfd(entries), name, relative, depth);
        relative[length] = '\0';
    }
    closedir(entries);
    return status;
}

static p2p_status walk_folder(folder_visit *visit, visitor *call) {
    char relative[PATH_MAX] = "";
    const int folder = open(visit->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return p2p_fail(P2P_IO, "can't read the folder %s: %s", visit->path, strerror(errno));
    return walk(visit, call, folder, relative, 0);
}

static bool add_pieces(int descriptor, p2p_checksum_state *state, uint64_t *size) {
    static const size_t piece = PIECE_BYTES;
    unsigned char bytes[PIECE_BYTES];
    for (*size = 0;;) {
        const ssize_t got = read(descriptor, bytes, piece);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got == 0;
        p2p_checksum_add(state, bytes, (size_t)got);
        *size += (uint64_t)got;
    }
}

/* Size and checksum of a file. *known is false if it isn't a regular file, or can't be read. */
static p2p_status measure(int folder, const char *name, file_record *found, bool *known) {
    p2p_checksum_state *state;
    struct stat about;
    *known = false;
    P2P_TRY(p2p_checksum_create(&state));
    const int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor >= 0) {
        *known = fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode) &&
                 add_pieces(descriptor, state, &found->size);
        close(descriptor);
    }
    found->check = p2p_checksum_value(state);
    p2p_checksum_destroy(state);
    return P2P_OK;
}

/* ---- Verification ------------------------------------------------------------------------------------- */

static p2p_status remove_file(const folder_visit *visit, int folder, const char *name, const char *relative) {
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) return P2P_OK;
    return p2p_fail(P2P_IO, "can't remove %s/%s: %s", visit->path, relative, strerror(errno));
}

static p2p_status verify_file(folder_visit *visit, int folder, const char *name, const char *relative) {
    file_record *record = find_record(&visit->list, relative), found = {0};
    if (strcmp(relative, lock_name) == 0) return P2P_OK;
    if (!record && !visit->alone) return P2P_OK;
    if (!record) {
        p2p_log("cache: %s/%s has no record and is removed", visit->path, relative);
        return remove_file(visit, folder, name, relative);
    }
    P2P_TRY(measure(folder, name, &found, &record->present));
    record->present =
        record->present && found.size == record->size && p2p_checksum_same(&found.check, &record->check);
    if (record->present) return P2P_OK;
    if (visit->removed++ == 0) snprintf(visit->first, sizeof visit->first, "%s", relative);
    return remove_file(visit, folder, name, relative);
}

static p2p_status verify(const char *driver, const char *path, bool alone) {
    folder_visit visit = {.path = path, .alone = alone};
    p2p_status status = read_records(driver, &visit.list);
    if (status == P2P_OK) status = walk_folder(&visit, verify_file);
    if (status == P2P_OK && visit.removed > 0) write_records(driver, &visit.list);
    if (visit.removed > 0)
        p2p_warn("cache: of the files that the driver %s stores in %s, %d had changed, the first %s; they "
                 "were removed "
                 "and are made again",
                 driver, path, visit.removed, visit.first);
    free_records(&visit.list);
    return status;
}

/* ---- Folders ------------------------------------------------------------------------------------------ */

typedef struct driver_folder {
    char *driver, *path; /* NULL: can't be used */
    int lock;
    struct driver_folder *next;
} driver_folder;

static driver_folder *folders;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of `folders` and of records */

/* Only this user may enter: everything below it is safe then, whatever its permissions are. */
static p2p_status make_private(const char *path) {
    struct stat about;
    if (lstat(path, &about) != 0)
        return p2p_fail(P2P_IO, "can't use the folder %s: %s", path, strerror(errno));
    if (!S_ISDIR(about.st_mode)) return p2p_fail(P2P_IO, "can't use the folder %s: it is a link", path);
    if (about.st_uid != geteuid()) return p2p_fail(P2P_IO, "the folder %s belongs to another user", path);
    if ((about.st_mode & 0777) != FOLDER_PERMISSIONS && chmod(path, FOLDER_PERMISSIONS) != 0)
        return p2p_fail(P2P_IO, "can't close the folder %s to others: %s", path, strerror(errno));
    return P2P_OK;
}

/* *alone: whether no other process has the folder open, which is unknown on file systems without locks. */
static p2p_status take_lock(const char *path, int *lock, bool *alone) {
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s/%s", path, lock_name) >= (int)sizeof name)
        return p2p_fail(P2P_IO, "%s: the path is too long", path);
    *lock = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (*lock < 0) return p2p_fail(P2P_IO, "can't write %s: %s", name, strerror(errno));
    *alone = flock(*lock, LOCK_EX | LOCK_NB) == 0;
    if (!*alone) (void)flock(*lock, LOCK_SH); /* waits while another process verifies */
    return P2P_OK;
}

static p2p_status open_folder(driver_folder *opened) {
    const char *cache = NULL;
    char path[PATH_MAX], real[PATH_MAX];
    bool alone = false;
    P2P_TRY(p2p_cache_folder(&cache));
    if (!cache) return P2P_OK;
    if (snprintf(path, sizeof path, "%s/%s", cache, opened->driver) >= (int)sizeof path)
        return p2p_fail(P2P_IO, "%s/%s: the path is too long", cache, opened->driver);
    if (p2p_folder_make(path, FOLDER_PERMISSIONS) != P2P_OK) { /* as it is for entries, which warn of it */
        p2p_log("cache: %s", p2p_message());
        return P2P_OK;
    }
    P2P_TRY(make_private(path));
    if (!realpath(path, real)) return p2p_fail(P2P_IO, "can't look up %s: %s", path, strerror(errno));
    P2P_TRY(take_lock(real, &opened->lock, &alone));
    P2P_TRY(verify(opened->driver, real, alone));
    if (alone) (void)flock(opened->lock, LOCK_SH);
    opened->path = strdup(real);
    return opened->path ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
}

static driver_folder *folder_of(const char *driver) {
    driver_folder *at = folders;
    while (at && strcmp(at->driver, driver) != 0) at = at->next;
    return at;
}

static void close_folder(driver_folder *folder) {
    if (folder->lock >= 0) close(folder->lock);
    free(folder->path);
    free(folder->driver);
    free(folder);
}

static driver_folder *add_folder(const char *driver) {
    driver_folder *added = calloc(1, sizeof *added);
    if (!added) return NULL;
    added->lock = -1;
    added->driver = strdup(driver);
    if (!added->driver) return close_folder(added), NULL;
    if (open_folder(added) != P2P_OK)
        p2p_warn("cache: %s; the driver %s has no folder there", p2p_message(), driver);
    added->next = folders;
    return folders = added;
}

const char *p2p_driver_folder(const char *driver) {
    pthread_mutex_lock(&mutex);
    driver_folder *found = folder_of(driver);
    if (!found) found = add_folder(driver);
    pthread_mutex_unlock(&mutex);
    return found ? found->path : NULL;
}

void p2p_driver_folders_close(void) {
    while (folders) {
        driver_folder *next = folders->next;
        close_folder(folders);
        folders = next;
    }
}

/* ---- Recording ---------------------------------------------------------------------------------------- */

static p2p_status record_file(folder_visit *visit, int folder, const char *name, const char *relative) {
    file_record *record = find_record(&visit->list, relative), found = {0};
    if (record) {
        record->present = true;
        return P2P_OK;
    }
    if (strcmp(relative, lock_name) == 0 || strchr(relative, '\n') || visit->unfinished(name)) return P2P_OK;
    P2P_TRY(measure(folder, name, &found, &found.present));
    if (!found.present) return P2P_OK; /* removed meanwhile, or made again at the next start */
    visit->changed = true;
    return add_record(&visit->list, relative, strlen(relative), &found);
}

static p2p_status record_files(const driver_folder *folder, bool (*unfinished)(const char *name)) {
    folder_visit visit = {.path = folder->path, .unfinished = unfinished};
    p2p_status status = read_records(folder->driver, &visit.list);
    if (status == P2P_OK) status = walk_folder(&visit, record_file);
    for (size_t i = 0; i < visit.list.count; i++)
        visit.changed = visit.changed || !visit.list.files[i].present;
    if (status == P2P_OK && visit.changed) write_records(folder->driver, &visit.list);
    free_records(&visit.list);
    return status;
}

void p2p_driver_folder_record(const char *driver, bool (*unfinished)(const char *name)) {
    p2p_failure before;
    p2p_failure_take(&before, P2P_OK);
    pthread_mutex_lock(&mutex);
    const driver_folder *folder = folder_of(driver);
    if (folder && folder->path && record_files(folder, unfinished) != P2P_OK)
        p2p_log("cache: %s", p2p_message());
    pthread_mutex_unlock(&mutex);
    (void)p2p_failure_give(&before);
}
