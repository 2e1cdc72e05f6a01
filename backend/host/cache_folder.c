/* The folder of the cache: set by the program, else read from the environment once, at the first use or when
 * the first device is opened. Its files are handled in cache.c.
 */
#include "cache.h"
#include "log.h"
#include "p2p.h"
#include "p2p_file.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The folder's path, "off", or "" if the environment names none; NULL: not read yet. Owned. Only
 * p2p_cache_folder_set replaces it, so readers in other threads need no lock. */
static _Atomic(char *) chosen;

static const char off[] = "off";

/* The folder is `base` followed by `below`. A relative XDG_CACHE_HOME is ignored, as the XDG base directory
 * specification requires. */
static void read_environment(const char **base, const char **below) {
    const char *own = getenv("P2P_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own && own[0])
        *base = own, *below = "";
    else if (xdg && xdg[0] == '/')
        *base = xdg, *below = "/p2p";
    else if (home && home[0])
        *base = home, *below = "/.cache/p2p";
    else
        *base = "", *below = "";
}

static p2p_status resolve(char **folder) {
    const char *base, *below;
    char *before = NULL;
    read_environment(&base, &below);
    const size_t room = strlen(base) + strlen(below) + 1;
    *folder = malloc(room);
    if (!*folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    snprintf(*folder, room, "%s%s", base, below);
    if (!atomic_compare_exchange_strong(&chosen, &before, *folder)) { /* another thread has set it */
        free(*folder);
        *folder = before;
    }
    return P2P_OK;
}

/* Whether the folder may be used. Entries contain programs that drivers execute, so no other user may be able
 * to place one. Warns once per process. */
static bool is_safe(const char *folder) {
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    if (p2p_folder_check_private(folder) == P2P_OK) return true;
    if (!atomic_flag_test_and_set(&warned))
        p2p_warn("cache: %s; without a cache starts take longer. Name another folder with --cache",
                 p2p_message());
    return false;
}

p2p_status p2p_cache_folder_named(const char **folder) {
    char *found = atomic_load(&chosen);
    *folder = NULL;
    if (!found) P2P_TRY(resolve(&found));
    if (found[0] == '\0')
        return p2p_fail(P2P_IO, "none of P2P_CACHE_DIR, XDG_CACHE_HOME and HOME names a folder");
    if (strcmp(found, off) != 0) *folder = found;
    return P2P_OK;
}

p2p_status p2p_cache_folder(const char **folder) {
    P2P_TRY(p2p_cache_folder_named(folder));
    if (*folder && !is_safe(*folder)) *folder = NULL;
    return P2P_OK;
}

p2p_status p2p_cache_folder_set(const char *folder) {
    char *copy = NULL;
    if (folder && folder[0] == '\0') return p2p_fail(P2P_INVALID, "the cache folder's name is empty");
    if (folder && !(copy = strdup(folder))) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    free(atomic_exchange(&chosen, copy));
    return P2P_OK;
}
