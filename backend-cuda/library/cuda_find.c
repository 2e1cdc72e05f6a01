/* The search for NVIDIA's libraries. See cuda_find.h. */
#define _GNU_SOURCE /* secure_getenv, dladdr, dlinfo */
#include "cuda_find.h"

#include "cuda_error.h"

#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* The file that the linker opened. */
static void note_path(cuda_file *file, const char *otherwise) {
    struct link_map *map = NULL;
    const bool known = dlinfo(file->handle, RTLD_DI_LINKMAP, &map) == 0 && map && map->l_name[0];
    snprintf(file->path, sizeof file->path, "%s", known ? map->l_name : otherwise);
}

/* A library is global, because parts that cuDNN opens later use functions of those already loaded. */
static bool open_file(const char *path, cuda_file *file) {
    file->handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (file->handle) note_path(file, path);
    return file->handle != NULL;
}

/* Only the first reason is noted. */
static void note_reason(cuda_file *file, const char *reason) {
    if (!file->why[0]) snprintf(file->why, sizeof file->why, "%.*s", (int)sizeof file->why - 1, reason);
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

/* A file that exists and can't be opened is noted, and the search continues. `named`: a variable names the
 * folder, so it may be anybody's. */
static bool try_folder(const char *folder, size_t length, const char *name, bool named, cuda_file *file) {
    char path[CUDA_PATH_BYTES];
    const int written = snprintf(path, sizeof path, "%.*s/%s", (int)length, folder, name);
    if (written < 0 || (size_t)written >= sizeof path || access(path, F_OK) != 0) return false;
    if (named && !is_private(path, file)) return false;
    if (open_file(path, file)) return true;
    const char *reason = dlerror();
    note_reason(file, reason ? reason : path);
    return false;
}

/* The folders of a list separated by colons. Relative ones are left out. */
static bool try_list(const char *list, const char *name, cuda_file *file) {
    while (list && *list) {
        const size_t length = strcspn(list, ":");
        if (list[0] == '/' && try_folder(list, length, name, true, file)) return true;
        list += length + (list[length] == ':');
    }
    return false;
}

/* Where the linker looks: LD_LIBRARY_PATH, its cache, the usual folders. A file that it finds and can't open
 * is noted, unlike one that does not exist. */
static bool try_linker(const char *name, cuda_file *file) {
    if (open_file(name, file)) return true;
    const char *reason = dlerror();
    if (reason && !strstr(reason, "No such file")) note_reason(file, reason);
    return false;
}

static bool try_module_folder(const char *name, cuda_file *file) {
    Dl_info info;
    if (!dladdr(own_variable, &info) || !info.dli_fname) return false;
    const char *slash = strrchr(info.dli_fname, '/');
    return slash && try_folder(info.dli_fname, (size_t)(slash - info.dli_fname), name, false, file);
}

static bool try_pattern(const char *pattern, const char *name, bool named, cuda_file *file) {
    glob_t found = {0};
    bool opened = false;
    if (glob(pattern, GLOB_ONLYDIR, NULL, &found) == 0)
        for (size_t i = found.gl_pathc; i-- > 0 && !opened;)
            opened = try_folder(found.gl_pathv[i], strlen(found.gl_pathv[i]), name, named, file);
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

static bool try_place(int place, const char *name, cuda_file *file) {
    char folder[CUDA_PATH_BYTES] = "", pattern[2 * CUDA_PATH_BYTES];
    if (places[place].variable) {
        const char *value = value_of(places[place].variable);
        if (!value || value[0] != '/' || !escape(folder, sizeof folder, value)) return false;
    }
    snprintf(pattern, sizeof pattern, "%s%s", folder, places[place].pattern);
    return try_pattern(pattern, name, places[place].variable != NULL, file);
}

/* Whether no other folders than the user's are looked in. */
static bool is_only(void) {
    return value_of(only_variable) != NULL;
}

bool cuda_find(const char *name, cuda_file *file) {
    *file = (cuda_file){0};
    if (try_list(value_of(own_variable), name, file)) return true;
    if (is_only()) return false;
    if (try_linker(name, file) || try_module_folder(name, file)) return true;
    for (int i = 0; i < PLACE_COUNT; i++)
        if (try_place(i, name, file)) return true;
    return false;
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
