/* Modules that are shared objects: where p2p_NAME.so is looked for, which files are trusted, and how they are
 * loaded. In order: the folders of P2P_MODULE_PATH, that of the program, that of the installation. The first
 * file of a name counts, even if it can't be loaded: another one is not taken in its place in silence.
 *
 * A module is code of this process: module_trust.c has the rules for its file and its folder. What was
 * checked is what is loaded: the dynamic linker opens the file by its descriptor, which stays open, because
 * the linker takes equal names for one file. Therefore $ORIGIN in a module does not work. The version is
 * compared before a function of the module is called; its constructors, if it has any, have run by then.
 * Nothing is ever unloaded. */
#define _GNU_SOURCE /* secure_getenv */
#include "device_internal.h"
#include "host/log.h"
#include "module_trust.h"
#include "p2p_file.h"
#include "p2p_module.h"
#include "p2p_object.h"
#include "p2p_printable.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Folders ------------------------------------------------------------------------------------------ */

enum { MOST_FOLDERS = 16 };

typedef struct {
    char paths[MOST_FOLDERS][P2P_PATH_BYTES];
    int count;
    int named;                    /* the first of them are from P2P_MODULE_PATH */
    char program[P2P_PATH_BYTES]; /* "": unknown */
} folder_list;

static void add_folder(folder_list *list, const char *path, size_t length) {
    for (int i = 0; i < list->count; i++)
        if (strlen(list->paths[i]) == length && memcmp(list->paths[i], path, length) == 0) return;
    if (list->count == MOST_FOLDERS || length >= P2P_PATH_BYTES) {
        p2p_warn("no backends are looked for in %.*s: %s", (int)length, path,
                 length >= P2P_PATH_BYTES ? "the path is too long" : "there are too many folders");
        return;
    }
    memcpy(list->paths[list->count], path, length);
    list->paths[list->count++][length] = '\0';
}

/* Empty names are ignored. */
static void add_named_folders(folder_list *list) {
    const char *path = secure_getenv("P2P_MODULE_PATH");
    while (path && *path) {
        const size_t length = strcspn(path, ":");
        if (length > 0 && path[0] == '/')
            add_folder(list, path, length);
        else if (length > 0)
            p2p_warn(
                "P2P_MODULE_PATH: no backends are looked for in %.*s, because it is not an absolute path",
                (int)length, path);
        path += length + (path[length] == ':');
    }
    list->named = list->count;
}

static void add_program_folder(folder_list *list) {
    const ssize_t length = readlink("/proc/self/exe", list->program, sizeof list->program - 1);
    list->program[length > 0 ? length : 0] = '\0';
    const char *slash = strrchr(list->program, '/');
    if (slash && slash > list->program) add_folder(list, list->program, (size_t)(slash - list->program));
}

/* The caller frees it. NULL if there is no memory. */
static folder_list *find_folders(void) {
    folder_list *list = calloc(1, sizeof *list);
    if (!list) return NULL;
    add_named_folders(list);
    add_program_folder(list);
    add_folder(list, P2P_MODULE_FOLDER, strlen(P2P_MODULE_FOLDER));
    return list;
}

static char searched[P2P_PATH_BYTES]; /* by the latest p2p_module_find */

static void note_folders(const folder_list *list) {
    searched[0] = '\0';
    for (int i = 0; i < list->count; i++) p2p_list_append(searched, sizeof searched, list->paths[i]);
}

void p2p_module_folders(char *text, size_t size) {
    snprintf(text, size, "%s", searched);
}

/* ---- Opening ------------------------------------------------------------------------------------------ */

typedef struct {
    int descriptor;
    const char *path, *program; /* borrowed from the list */
    p2p_trust trust;
} open_folder;

/* False if the folder of the list can't be opened. The caller closes the descriptor. */
static bool open_listed(const folder_list *list, int at, open_folder *folder) {
    *folder = (open_folder){.path = list->paths[at], .program = list->program};
    folder->descriptor = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->descriptor < 0) return false;
    folder->trust = p2p_trust_of(folder->descriptor, list->program,
                                 at < list->named ? P2P_TRUST_NAMED : P2P_TRUST_INSTALLED);
    return true;
}

static p2p_status open_trusted(const p2p_module_file *file, const open_folder *folder, const char *name,
                               int *descriptor) {
    /* O_NONBLOCK: opening a pipe without a writer would block. */
    *descriptor = openat(folder->descriptor, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*descriptor < 0) return p2p_fail(P2P_INPUT, "can't read %s: %s", file->path, strerror(errno));
    const p2p_status status =
        p2p_trust_check_file(folder->trust, folder->descriptor, *descriptor, file->path, folder->program);
    if (status != P2P_OK) close(*descriptor);
    return status;
}

/* ---- Loading ------------------------------------------------------------------------------------------ */

/* The linker names the descriptor, not the file. */
static const char *loading_error(const char *opened) {
    const char *error = dlerror();
    if (!error) return "the dynamic linker gives no reason";
    const size_t length = strlen(opened);
    return strncmp(error, opened, length) == 0 && error[length] == ':' ? error + length + 2 : error;
}

/* Keeps the descriptor, unless it fails: then it is NULL, with the reason as message. */
static void *load_library(int descriptor) {
    char opened[64];
    snprintf(opened, sizeof opened, "/proc/self/fd/%d", descriptor);
    void *library = dlopen(opened, RTLD_NOW | RTLD_LOCAL);
    if (library) return library;
    p2p_fail(P2P_FAILED, "%s", loading_error(opened));
    close(descriptor);
    return NULL;
}

/* The header of the module; NULL, with the reason as message, if it is none. */
static const p2p_module_header *load_header(int descriptor) {
    void *library = load_library(descriptor);
    if (!library) return NULL;
    const p2p_module_header *header = dlsym(library, P2P_MODULE_SYMBOL);
    if (header && memcmp(header->magic, P2P_MODULE_MAGIC, sizeof header->magic) == 0) return header;
    p2p_fail(P2P_FAILED, "it is not a backend of p2p: there is no " P2P_MODULE_SYMBOL);
    return NULL;
}

static void refuse(p2p_module_file *file) {
    file->presence = P2P_PRESENCE_REFUSED;
    snprintf(file->reason, sizeof file->reason, "%s", p2p_message());
}

/* The reason begins with the path. */
static void refuse_at(p2p_module_file *file) {
    file->presence = P2P_PRESENCE_REFUSED;
    snprintf(file->reason, sizeof file->reason, "%.*s: %s", (int)sizeof file->reason / 2, file->path,
             p2p_message());
}

static void load_file(p2p_module_file *file, const open_folder *folder, const char *name) {
    int descriptor;
    if (open_trusted(file, folder, name, &descriptor) != P2P_OK) {
        refuse(file);
        return;
    }
    const p2p_module_header *header = load_header(descriptor);
    if (!header) {
        refuse_at(file);
    } else if (header->abi != P2P_BACKEND_ABI) {
        file->presence = P2P_PRESENCE_OTHER_ABI;
        snprintf(file->reason, sizeof file->reason, "%u, this program has %d (%.*s)", (unsigned)header->abi,
                 (int)P2P_BACKEND_ABI, (int)sizeof file->reason / 2, file->path);
    } else {
        p2p_log("%s: loaded", file->path);
        file->entry = header->entry;
    }
}

/* ---- Names -------------------------------------------------------------------------------------------- */

/* Whether it is p2p_NAME.so, with a name of small letters, digits and underscores. */
static bool parse_name(const char *file_name, char name[P2P_MODULE_NAME_BYTES]) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    if (strncmp(file_name, "p2p_", 4) != 0) return false;
    const size_t length = strspn(file_name + 4, allowed);
    if (length == 0 || length >= P2P_MODULE_NAME_BYTES || strcmp(file_name + 4 + length, ".so") != 0)
        return false;
    memcpy(name, file_name + 4, length);
    name[length] = '\0';
    return true;
}

typedef struct {
    p2p_module_file *files;
    int count, capacity;
} file_list;

static bool is_listed(const file_list *list, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->files[i].name, name) == 0) return true;
    return false;
}

static void list_name(file_list *list, const char *folder, const char *file_name) {
    char name[P2P_MODULE_NAME_BYTES];
    if (!parse_name(file_name, name)) return;
    if (is_listed(list, name)) {
        p2p_log("%s/%s: not loaded, another one was found before", folder, file_name);
        return;
    }
    p2p_module_file file = {.entry = NULL};
    memcpy(file.name, name, sizeof name);
    const int length = snprintf(file.path, sizeof file.path, "%s/%s", folder, file_name);
    if (length >= (int)sizeof file.path || list->count == list->capacity) {
        p2p_warn("%s/%s is not loaded: %s", folder, file_name,
                 list->count == list->capacity ? "there are too many backends" : "the path is too long");
        return;
    }
    list->files[list->count++] = file;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const p2p_module_file *)a)->name, ((const p2p_module_file *)b)->name);
}

/* Lists the folder's modules, in the order of their names. Takes the descriptor. */
static void list_folder(file_list *list, const char *folder, int descriptor) {
    DIR *stream = fdopendir(descriptor);
    if (!stream) {
        p2p_warn("no backends are looked for in %s: %s", folder, strerror(errno));
        close(descriptor);
        return;
    }
    const int before = list->count;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(stream)) != NULL) list_name(list, folder, entry->d_name);
    if (errno != 0) p2p_warn("can't read the folder %s to its end: %s", folder, strerror(errno));
    qsort(list->files + before, (size_t)(list->count - before), sizeof *list->files, by_name);
    closedir(stream);
}

/* Loads the modules from position `from` of the list on, all of which are in the folder; refuses all of them
 * if the folder is not trusted. */
static void load_listed(file_list *list, int from, const open_folder *folder) {
    const bool trusted = p2p_trust_check_folder(folder->trust, folder->descriptor, folder->path) == P2P_OK;
    for (int i = from; i < list->count; i++) {
        const char *name = strrchr(list->files[i].path, '/') + 1;
        if (trusted)
            load_file(&list->files[i], folder, name);
        else
            refuse(&list->files[i]);
    }
}

/* Loads the modules of a folder that are not listed yet. */
static void load_folder(file_list *list, const folder_list *folders, int at) {
    open_folder folder;
    const int listed = open_listed(folders, at, &folder) ? fcntl(folder.descriptor, F_DUPFD_CLOEXEC, 0) : -1;
    if (listed < 0) {
        if (at < folders->named)
            p2p_warn("P2P_MODULE_PATH: can't read the folder %s: %s", folder.path, strerror(errno));
        if (folder.descriptor >= 0) close(folder.descriptor);
        return;
    }
    const int before = list->count;
    list_folder(list, folder.path, listed);
    load_listed(list, before, &folder);
    close(folder.descriptor);
}

int p2p_module_find(p2p_module_file *files, int capacity) {
    file_list list = {.files = files, .capacity = capacity};
    folder_list *folders = find_folders();
    if (!folders) {
        p2p_warn("no memory to look for backends");
        return 0;
    }
    note_folders(folders);
    for (int i = 0; i < folders->count; i++) load_folder(&list, folders, i);
    free(folders);
    return list.count;
}

/* ---- Other objects ------------------------------------------------------------------------------------ */

/* Whether the folder has the file. `file` is for messages. */
static bool has_file(const char *folder, const char *name, p2p_module_file *file) {
    const int length = snprintf(file->path, sizeof file->path, "%s/%s", folder, name);
    return length < (int)sizeof file->path && access(file->path, F_OK) == 0;
}

static p2p_status open_object(const p2p_module_file *file, const folder_list *folders, int at,
                              const char *name, int *descriptor) {
    open_folder folder;
    if (!open_listed(folders, at, &folder))
        return p2p_fail(P2P_INPUT, "can't read %s: %s", folder.path, strerror(errno));
    p2p_status status = p2p_trust_check_folder(folder.trust, folder.descriptor, folder.path);
    if (status == P2P_OK) status = open_trusted(file, &folder, name, descriptor);
    close(folder.descriptor);
    return status;
}

static p2p_status find_symbol(const p2p_module_file *file, int descriptor, const char *symbol,
                              const void **address) {
    void *library = load_library(descriptor);
    if (!library) return p2p_fail(P2P_FAILED, "%s: %s", file->path, p2p_message());
    *address = dlsym(library, symbol);
    return *address ? P2P_OK : p2p_fail(P2P_FAILED, "%s: there is no %s in it", file->path, symbol);
}

p2p_status p2p_object_load(const char *file, const char *symbol, const void **address) {
    p2p_module_file found = {.entry = NULL};
    int descriptor = -1, at = 0;
    *address = NULL;
    folder_list *folders = find_folders();
    if (!folders) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to look for %s", file);
    note_folders(folders);
    while (at < folders->count && !has_file(folders->paths[at], file, &found)) at++;
    p2p_status status = at < folders->count ? open_object(&found, folders, at, file, &descriptor)
                                            : p2p_fail(P2P_INPUT, "looked for %s in %s", file, searched);
    free(folders);
    return status == P2P_OK ? find_symbol(&found, descriptor, symbol, address) : status;
}
