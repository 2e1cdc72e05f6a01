/* See ocl_pocl.h. Folders and signals of this backend are handled here alone. */
#define _DEFAULT_SOURCE     /* flock */
#define _XOPEN_SOURCE   700 /* nftw */

#include "ocl_pocl.h"

#include "ocl_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char ocl_pocl_platform[] = "Portable Computing Language";

enum { FOLDER_BYTES = PATH_MAX };

static struct {
    bool prepared, warned;
    bool recorded;                       /* the folder is one of p2p's, whose files are verified */
    double record_ended, record_seconds; /* of the last record */
    bool replaced;                       /* PoCL's own choice, by us */
    char folder[FOLDER_BYTES];           /* the one that PoCL uses */
    char temporary[FOLDER_BYTES];        /* "" unless a temporary folder was made */
    char reason[FOLDER_BYTES + 64];
    char refused[FOLDER_BYTES + 64]; /* why POCL_CACHE_DIR is ignored; "": it is not */
} pocl;

/* ---- Folders --------------------------------------------------------------------------------------- */

/* Makes the folder with its parents, for this user alone, as PoCL does. False, with errno, if it can't be
 * written. *made is the length of the first part of the path that did not exist; 0: all existed. */
static bool make_folder(const char *path, size_t *made) {
    char part[FOLDER_BYTES];
    const size_t length = strlen(path);
    *made = 0;
    if (length >= sizeof part) return errno = ENAMETOOLONG, false;
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        const bool created = mkdir(part, S_IRWXU) == 0;
        if (!created && errno != EEXIST) return false;
        if (created && *made == 0) *made = i;
    }
    struct stat about;
    if (stat(path, &about) != 0) return false;
    if (!S_ISDIR(about.st_mode)) return errno = ENOTDIR, false;
    return access(path, R_OK | W_OK | X_OK) == 0;
}

/* Removes what make_folder has made, unless it is in use. */
static void unmake_folder(const char *path, size_t made) {
    char part[FOLDER_BYTES];
    size_t length = strlen(path);
    if (made == 0 || length >= sizeof part) return;
    memcpy(part, path, length + 1);
    while (length >= made && (rmdir(part) == 0 || errno == ENOENT)) {
        while (length > 0 && part[length] != '/') length--;
        part[length] = '\0';
    }
}

/* Whether PoCL could write the folder. Nothing is left behind: PoCL may not be installed. */
static bool try_folder(const char *path) {
    size_t made;
    const bool usable = make_folder(path, &made);
    const int error = errno;
    unmake_folder(path, made);
    errno = error;
    return usable;
}

/* Whether PoCL can use the folder: pocl.folder. *usable: whether it could be written. */
static bool check_folder(bool *usable, p2p_status check(const char *path)) {
    *usable = try_folder(pocl.folder);
    if (*usable && check(pocl.folder) == P2P_OK) return true;
    if (*usable)
        snprintf(pocl.reason, sizeof pocl.reason, "its cache: %s", ocl_host->message());
    else
        snprintf(pocl.reason, sizeof pocl.reason, "its cache folder %s can't be written: %s", pocl.folder,
                 strerror(errno));
    return false;
}

/* Whether PoCL's default folder can be used. */
static bool finds_folder(void) {
    bool usable;
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0])
        snprintf(pocl.folder, sizeof pocl.folder, "%s/pocl/kcache", xdg);
    else if (home && home[0])
        snprintf(pocl.folder, sizeof pocl.folder, "%s/.cache/pocl/kcache", home);
    else
        snprintf(pocl.folder, sizeof pocl.folder, "/tmp/pocl/kcache");
    return check_folder(&usable, ocl_host->check_private_folder);
}

/* Replaces PoCL's own choice by pocl.folder. */
static bool set_folder(void) {
    return pocl.replaced = setenv("POCL_CACHE_DIR", pocl.folder, 1) == 0;
}

static bool use_folder(const char *folder) {
    snprintf(pocl.folder, sizeof pocl.folder, "%s", folder);
    return set_folder();
}

static const char own_name[] = "pocl"; /* the name of PoCL's folder in p2p's cache */

/* Whether PoCL (3.1 to 6) is still writing a file of this name. */
static bool is_unfinished(const char *name) {
    static const char ending[] = ".temp";
    const size_t length = strlen(name);
    return strncmp(name, "tempfile", strlen("tempfile")) == 0 ||
           (length >= strlen(ending) && strcmp(name + length - strlen(ending), ending) == 0);
}

static bool use_own_folder(void) {
    const char *own = ocl_host->driver_folder(own_name);
    return own && use_folder(own) && (pocl.recorded = true);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool ocl_pocl_record_is_due(void) {
    enum { SHARE = 20 };
    return !(seconds() - pocl.record_ended < SHARE * pocl.record_seconds);
}

void ocl_pocl_record(const char *driver) {
    if (!pocl.recorded || !ocl_pocl_is_driver(driver)) return;
    const double begun = seconds();
    ocl_host->driver_folder_record(own_name, is_unfinished);
    pocl.record_ended = seconds();
    pocl.record_seconds = pocl.record_ended - begun;
}

static const char temporary_prefix[] = "p2p-pocl-";

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status, (void)type, (void)where;
    (void)remove(path);
    return 0;
}

static void remove_folder(const char *folder) {
    enum { OPEN_FOLDERS = 16 };
    (void)nftw(folder, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

static void remove_temporary(void) {
    remove_folder(pocl.temporary);
}

/* Opens the file of a temporary folder on which its process has a lock, and locks it. Returns -1 if that
 * fails. */
static int lock_temporary(const char *folder, int flags) {
    char name[FOLDER_BYTES];
    if (snprintf(name, sizeof name, "%s/lock", folder) >= (int)sizeof name) return -1;
    const int descriptor = open(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600);
    if (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
    if (descriptor >= 0) close(descriptor);
    return -1;
}

/* Whether a process of this user, which a signal has ended, has left the folder. */
static bool is_abandoned(const char *folder) {
    struct stat about;
    if (lstat(folder, &about) != 0 || !S_ISDIR(about.st_mode) || about.st_uid != geteuid()) return false;
    const int lock = lock_temporary(folder, 0);
    if (lock >= 0) close(lock);
    return lock >= 0;
}

static void sweep_temporaries(const char *base) {
    char path[FOLDER_BYTES];
    DIR *entries = opendir(base);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL)
        if (strncmp(entry->d_name, temporary_prefix, strlen(temporary_prefix)) == 0 &&
            snprintf(path, sizeof path, "%s/%s", base, entry->d_name) < (int)sizeof path &&
            is_abandoned(path))
            remove_folder(path);
    if (entries) closedir(entries);
}

/* The lock is held until the process ends. */
static bool use_temporary(void) {
    const char *base = getenv("TMPDIR");
    char folder[FOLDER_BYTES];
    if (!base || base[0] != '/') base = "/tmp";
    if (snprintf(folder, sizeof folder, "%s/%sXXXXXX", base, temporary_prefix) >= (int)sizeof folder)
        return false;
    sweep_temporaries(base);
    if (!mkdtemp(folder)) return false; /* mode 0700 */
    (void)lock_temporary(folder, O_CREAT | O_EXCL);
    snprintf(pocl.temporary, sizeof pocl.temporary, "%s", folder);
    (void)atexit(remove_temporary);
    return use_folder(folder);
}

void ocl_pocl_found(void) {
    if (pocl.warned) return;
    pocl.warned = true;
    if (pocl.refused[0])
        ocl_host->warn("PoCL: %s; %s is used in place of POCL_CACHE_DIR", pocl.refused, pocl.folder);
    if (pocl.temporary[0])
        ocl_host->warn(
            "PoCL: %s; kernels are compiled again at every start; the option --cache DIR keeps them",
            pocl.reason);
}

void ocl_pocl_obstacle(char *text, size_t size) {
    snprintf(text, size, "%s", pocl.replaced ? "" : pocl.reason);
}

bool ocl_pocl_is_driver(const char *driver) {
    return strncmp(driver, ocl_pocl_platform, strlen(ocl_pocl_platform)) == 0;
}

p2p_status ocl_pocl_hint(const char *driver, p2p_status status) {
    if (!ocl_pocl_is_driver(driver)) return status;
    if (pocl.reason[0] && !pocl.replaced)
        return ocl_host->hint(status, "%s; let POCL_CACHE_DIR name another folder, or unset it", pocl.reason);
    return ocl_host->hint(status, "files in PoCL's cache may be damaged: remove the folder %s", pocl.folder);
}

/* ---- Aborts ---------------------------------------------------------------------------------------- */

static const int fatal[] = {SIGABRT, SIGBUS, SIGSEGV, SIGILL};
enum { FATAL_COUNT = sizeof fatal / sizeof fatal[0] };

static bool unhandled[FATAL_COUNT]; /* before PoCL was loaded */

/* Written by the handler, which may call only functions that are safe in one. */
static char abort_message[FOLDER_BYTES + 256];
static size_t abort_length;

static void write_abort_message(int number) {
    const ssize_t written = write(STDERR_FILENO, abort_message, abort_length);
    (void)written; /* there is nothing else to do */
    (void)raise(number);
}

static void note_unhandled(void) {
    struct sigaction now;
    for (int i = 0; i < FATAL_COUNT; i++)
        unhandled[i] = sigaction(fatal[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

/* SA_RESETHAND restores the default action, so that the signal that the handler raises ends the process. */
void ocl_pocl_watch(void) {
    struct sigaction action = {.sa_handler = write_abort_message, .sa_flags = (int)SA_RESETHAND};
    if (abort_length == 0)
        abort_length =
            (size_t)snprintf(abort_message, sizeof abort_message,
                             "p2p: the OpenCL driver PoCL has ended the program; if this happens again, "
                             "files in its cache are damaged: remove the folder %s\n",
                             pocl.folder);
    for (int i = 0; i < FATAL_COUNT; i++)
        if (unhandled[i]) (void)sigaction(fatal[i], &action, NULL);
}

/* ---- Preparation ----------------------------------------------------------------------------------- */

/* Whether PoCL takes the folder that the user has named: one that can't be written is left to PoCL's message,
 * one that any user can change is replaced. */
static bool takes_named_folder(void) {
    bool usable;
    const char *named = getenv("POCL_CACHE_DIR");
    if (!named || !named[0]) return false;
    snprintf(pocl.folder, sizeof pocl.folder, "%s", named);
    if (check_folder(&usable, ocl_host->check_private_path) || !usable) return true;
    memcpy(pocl.refused, pocl.reason, sizeof pocl.refused);
    return false;
}

void ocl_pocl_prepare(void) {
    if (pocl.prepared) return;
    pocl.prepared = true;
    note_unhandled();
    if (takes_named_folder() || use_own_folder()) return;
    if (!finds_folder())
        (void)use_temporary();
    else if (pocl.refused[0])
        (void)set_folder();
}
