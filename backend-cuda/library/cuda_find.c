/* The search for NVIDIA's libraries. See cuda_find.h. */
#define _GNU_SOURCE /* secure_getenv, dladdr, dlinfo, dlmopen */
#include "cuda_find.h"

#include "cuda_error.h"

#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The places after the linker's. A pattern of glob(3) stands for all matching folders, the last in the order
 * of names first, which prefers newer versions. `variable`: an environment variable with a folder that
 * precedes the pattern; without its value there is no such place. */
static const struct {
    const char *variable, *pattern;
} places[] = {
    {"CONDA_PREFIX", "/lib"},
    {"CONDA_PREFIX", "/targets/*/lib"},
    {"CONDA_PREFIX", "/lib/python3*/site-packages/nvidia/*/lib"},
    {"VIRTUAL_ENV", "/lib/python3*/site-packages/nvidia/*/lib"},
    {NULL, "/usr/local/cuda/lib64"},
    {NULL, "/usr/local/cuda-1[2-9]*/lib64"},
    {NULL, "/usr/lib/x86_64-linux-gnu"},
    {NULL, "/usr/lib/aarch64-linux-gnu"},
    {NULL, "/usr/lib/*-linux-gnu/nvidia/current"},
    {NULL, "/usr/lib/*-linux-gnu/libcudnn/*"},
    {NULL, "/usr/lib64"},
    {NULL, "/usr/lib/wsl/lib"},
    {NULL, "/usr/local/nvidia/lib64"}, /* containers have the driver there */
    {NULL, "/opt/cuda/lib64"},
    {"HOME", "/.local/lib/python3*/site-packages/nvidia/*/lib"},
    {NULL, "/usr/local/lib/python3*/*-packages/nvidia/*/lib"},
    {NULL, "/usr/lib/python3*/*-packages/nvidia/*/lib"},
};
enum { PLACE_COUNT = sizeof places / sizeof places[0] };

static const char *const own_variable = "P2P_CUDA_LIBRARY_PATH", *const only_variable =
                                                                     "P2P_CUDA_LIBRARY_ONLY";

static const char *value_of(const char *name) {
    const char *text = secure_getenv(name);
    return text && text[0] ? text : NULL;
}

/* A search for one library. */
typedef struct {
    const char *name;
    cuda_fits *fits; /* NULL: any is */
    cuda_file *file; /* the result */
    bool counting;   /* nothing is opened, but `others` is set */
    bool others;     /* there are different files of the name */
    struct stat first;
    char unfit[CUDA_PATH_BYTES]; /* the first file that is not fit; "": none */
} search;

/* ---- Files -------------------------------------------------------------------------------------------- */

/* The path of an open library, or `otherwise`. */
static void note_path(void *handle, const char *otherwise, char path[CUDA_PATH_BYTES]) {
    struct link_map *map = NULL;
    const bool known = dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map && map->l_name[0];
    snprintf(path, CUDA_PATH_BYTES, "%s", known ? map->l_name : otherwise);
}

/* Whether the library that the linker finds by the name or path is fit. It is loaded into a namespace of its
 * own for that: parts of cuDNN stay loaded once its version was asked for, and would become parts of another
 * cuDNN that is opened later. True if it can't be loaded so. */
static bool is_fit(search *one, const char *path) {
#ifdef LM_ID_NEWLM
    void *apart = one->fits ? dlmopen(LM_ID_NEWLM, path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!apart) return true;
    const bool fit = one->fits(apart);
    if (!fit && !one->unfit[0]) note_path(apart, path, one->unfit);
    dlclose(apart);
    return fit;
#else
    (void)one, (void)path;
    return true;
#endif
}

/* A library is global, because parts that cuDNN opens later use functions of those already loaded. */
static bool open_file(const char *path, cuda_file *file) {
    file->handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (file->handle) note_path(file->handle, path, file->path);
    return file->handle != NULL;
}

/* Only the first reason is noted. */
static void note_reason(cuda_file *file, const char *reason) {
    if (!file->why[0]) snprintf(file->why, sizeof file->why, "%.*s", (int)sizeof file->why - 1, reason);
}

/* Notes a file while files are counted. */
static void count_file(search *one, const char *path) {
    struct stat about;
    if (stat(path, &about) != 0) return;
    if (one->first.st_ino == 0)
        one->first = about;
    else if (about.st_ino != one->first.st_ino || about.st_dev != one->first.st_dev)
        one->others = true;
}

/* False, with a warning, if any user can replace the file. Each process warns once; the reason is noted. */
static bool is_private(const char *path, cuda_file *file) {
    if (cuda_host->check_private_path(path) == P2P_OK) return true;
    static bool warned;
    note_reason(file, cuda_host->message());
    if (!warned) cuda_host->warn("cuda: %s", cuda_host->message());
    warned = true;
    return false;
}

/* ---- Places ------------------------------------------------------------------------------------------- */

/* A file that exists and can't be opened is noted, and the search continues. `named`: a variable names the
 * folder, or it is the module's, so other users may be able to write to it. */
static bool try_folder(search *one, const char *folder, size_t length, bool named) {
    char path[CUDA_PATH_BYTES];
    const int written = snprintf(path, sizeof path, "%.*s/%s", (int)length, folder, one->name);
    if (written < 0 || (size_t)written >= sizeof path || access(path, F_OK) != 0) return false;
    if (one->counting) {
        count_file(one, path);
        return false;
    }
    if ((named && !is_private(path, one->file)) || !is_fit(one, path)) return false;
    if (open_file(path, one->file)) return true;
    const char *reason = dlerror();
    note_reason(one->file, reason ? reason : path);
    return false;
}

/* The folders of a list separated by colons. Relative ones are left out. */
static bool try_list(search *one, const char *list) {
    while (list && *list) {
        const size_t length = strcspn(list, ":");
        if (list[0] == '/' && try_folder(one, list, length, true)) return true;
        list += length + (list[length] == ':');
    }
    return false;
}

/* No function of the library is called, so nothing of it stays loaded. */
static void count_linkers(search *one) {
    char path[CUDA_PATH_BYTES];
    void *handle = dlopen(one->name, RTLD_LAZY | RTLD_LOCAL);
    if (!handle) return;
    note_path(handle, one->name, path);
    dlclose(handle);
    count_file(one, path);
}

/* Where the linker looks: LD_LIBRARY_PATH, its cache, the usual folders. A file that it finds and can't open
 * is noted, unlike one that does not exist. */
static bool try_linker(search *one) {
    if (one->counting) {
        count_linkers(one);
        return false;
    }
    if (!is_fit(one, one->name)) return false;
    if (open_file(one->name, one->file)) return true;
    const char *reason = dlerror();
    if (reason && !strstr(reason, "No such file")) note_reason(one->file, reason);
    return false;
}

/* The linker knows the module by its descriptor, /proc/self/fd/N, which leads to the file. */
static bool try_module_folder(search *one) {
    Dl_info info;
    if (!dladdr(own_variable, &info) || !info.dli_fname) return false;
    char *path = realpath(info.dli_fname, NULL);
    const char *slash = path ? strrchr(path, '/') : NULL;
    const bool opened = slash && try_folder(one, path, (size_t)(slash - path), true);
    free(path);
    return opened;
}

static bool try_pattern(search *one, const char *pattern, bool named) {
    glob_t found = {0};
    bool opened = false;
    if (glob(pattern, GLOB_ONLYDIR, NULL, &found) == 0)
        for (size_t i = found.gl_pathc; i-- > 0 && !opened;)
            opened = try_folder(one, found.gl_pathv[i], strlen(found.gl_pathv[i]), named);
    globfree(&found);
    return opened;
}

/* A variable's value is a folder, not a pattern: characters of patterns in it are escaped. */
static bool escape(char *text, size_t size, const char *folder) {
    size_t used = 0;
    for (; *folder && used + 2 < size; folder++) {
        if (strchr("*?[\\", *folder)) text[used++] = '\\';
        text[used++] = *folder;
    }
    text[used] = '\0';
    return *folder == '\0';
}

static bool try_place(search *one, int place) {
    char folder[CUDA_PATH_BYTES] = "", pattern[2 * CUDA_PATH_BYTES];
    if (places[place].variable) {
        const char *value = value_of(places[place].variable);
        if (!value || value[0] != '/' || !escape(folder, sizeof folder, value)) return false;
    }
    snprintf(pattern, sizeof pattern, "%s%s", folder, places[place].pattern);
    return try_pattern(one, pattern, places[place].variable != NULL);
}

/* Whether no other folders than the user's are looked in. */
static bool is_only(void) {
    return value_of(only_variable) != NULL;
}

static bool try_all(search *one) {
    if (try_list(one, value_of(own_variable))) return true;
    if (is_only()) return false;
    if (try_linker(one) || try_module_folder(one)) return true;
    for (int i = 0; i < PLACE_COUNT; i++)
        if (try_place(one, i)) return true;
    return false;
}

/* A file that is alone need not be fit. */
bool cuda_find(const char *name, cuda_fits *fits, cuda_file *file) {
    search one = {.name = name, .file = file};
    *file = (cuda_file){0};
    one.counting = fits != NULL;
    if (one.counting) (void)try_all(&one);
    one.counting = false;
    if (one.others) one.fits = fits;
    return try_all(&one) || (one.unfit[0] && open_file(one.unfit, file));
}

void cuda_find_places(char *text, size_t size) {
    const char *own = value_of(own_variable);
    if (is_only()) {
        snprintf(text, size, "%s", own ? own : "no folder");
        return;
    }
    snprintf(
        text, size,
        "%s%sthe linker's folders (LD_LIBRARY_PATH), the module's, those of conda and Python environments "
        "(CONDA_PREFIX, VIRTUAL_ENV), /usr/local/cuda*, /usr/lib, /usr/local/nvidia, Python's packages "
        "(nvidia/*/lib)",
        own ? own : "", own ? ", " : "");
}
