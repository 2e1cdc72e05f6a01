/* p2p_cache_examine (p2p_check.h): whether the folder of the cache can be used, and which entries are. */
#include "p2p_check.h"

#include "cache.h"
#include "p2p_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path of a file of the folder; NULL if there is no memory. */
static char *path_in(const char *folder, const char *name) {
    const size_t room = strlen(folder) + strlen(name) + 2;
    char *path = malloc(room);
    if (path) snprintf(path, room, "%s/%s", folder, name);
    return path;
}

static void note_problem(p2p_cache_state *state, const char *reason) {
    if (!state->problem[0]) snprintf(state->problem, sizeof state->problem, "%s", reason);
}

/* A folder that does not exist can be made in the nearest one that does. */
static void check_makeable(p2p_cache_state *state) {
    char *parent = strdup(state->folder);
    if (!parent) {
        note_problem(state, "there is no memory to examine it");
        return;
    }
    struct stat about;
    char *slash;
    while (stat(parent, &about) != 0 && errno == ENOENT && (slash = strrchr(parent, '/')) != NULL) {
        *slash = '\0';
        if (slash == parent) break;
    }
    const char *nearest = parent[0] ? parent : state->folder[0] == '/' ? "/" : ".";
    if (stat(nearest, &about) != 0 || !S_ISDIR(about.st_mode) || access(nearest, W_OK | X_OK) != 0) {
        p2p_fail(P2P_IO, "it does not exist and can't be made: %s is not a folder that this user can write",
                 nearest);
        note_problem(state, p2p_message());
    }
    free(parent);
}

static void check_writable(p2p_cache_state *state) {
    char *path = path_in(state->folder, "written-by-p2p-doctor");
    p2p_atomic_file file = {0};
    if (!path || p2p_atomic_open(&file, path) != P2P_OK)
        note_problem(state, path ? p2p_message() : "there is no memory to examine it");
    p2p_atomic_abandon(&file); /* removes it */
    free(path);
}

static p2p_status examine_entry(p2p_cache_state *state, const char *name) {
    char *path = path_in(state->folder, name);
    if (!path) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    bool foreign = false;
    size_t size = 0;
    const p2p_status status = p2p_cache_check_entry(path, &foreign, &size);
    free(path);
    state->entries++;
    state->bytes += size;
    if (status == P2P_OK) return status;
    if (foreign)
        state->foreign++;
    else
        state->damaged++;
    if (!state->first_bad[0]) snprintf(state->first_bad, sizeof state->first_bad, "%s", p2p_message());
    return status == P2P_OUT_OF_MEMORY ? status : P2P_OK;
}

static p2p_status examine_entries(p2p_cache_state *state) {
    DIR *folder = opendir(state->folder);
    p2p_status status = P2P_OK;
    if (!folder) {
        note_problem(state, strerror(errno));
        return P2P_OK;
    }
    const struct dirent *entry;
    while (status == P2P_OK && (errno = 0, entry = readdir(folder)) != NULL)
        if (p2p_cache_is_entry_name(entry->d_name)) status = examine_entry(state, entry->d_name);
    if (status == P2P_OK && errno != 0) note_problem(state, strerror(errno));
    closedir(folder);
    return status;
}

p2p_status p2p_cache_examine(p2p_cache_state *state) {
    const char *folder = NULL;
    *state = (p2p_cache_state){0};
    if (p2p_cache_folder_named(&folder) != P2P_OK) {
        note_problem(state, p2p_message());
        return P2P_OK;
    }
    if (!folder) return P2P_OK;
    if (strlen(folder) >= sizeof state->folder) {
        note_problem(state, "the folder's name is too long");
        return P2P_OK;
    }
    memcpy(state->folder, folder, strlen(folder) + 1);
    struct stat about;
    state->exists = stat(folder, &about) == 0;
    if (p2p_folder_check_private(folder) != P2P_OK) note_problem(state, p2p_message());
    if (!state->exists) {
        check_makeable(state);
        return P2P_OK;
    }
    if (!state->problem[0]) check_writable(state);
    return examine_entries(state);
}
