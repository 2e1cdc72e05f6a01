/* An open folder in the place of its path. See p2p_file.h. */
#include "p2p_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char *path; /* without slashes at the end; NULL: none */
    size_t length;
    int folder;
} anchor;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

p2p_status p2p_folder_anchor(const char *path, int folder) {
    char *copy = strdup(path);
    if (!copy) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    size_t length = strlen(copy);
    while (length > 0 && copy[length - 1] == '/') length--;
    copy[length] = '\0';
    pthread_mutex_lock(&mutex);
    free(anchor.path);
    anchor.path = copy;
    anchor.length = length;
    anchor.folder = folder;
    pthread_mutex_unlock(&mutex);
    return P2P_OK;
}

void p2p_folder_anchor_end(int folder) {
    pthread_mutex_lock(&mutex);
    if (anchor.path && anchor.folder == folder) {
        free(anchor.path);
        anchor.path = NULL;
    }
    pthread_mutex_unlock(&mutex);
}

/* What follows the anchor's path in `path`; NULL if `path` is not in the folder. A rest with ".." may lead
 * out of it again. */
static const char *rest_of(const char *path) {
    if (!anchor.path || strncmp(path, anchor.path, anchor.length) != 0) return NULL;
    const char *rest = path + anchor.length;
    if ((*rest != '/' && *rest != '\0') || strstr(rest, "..")) return NULL;
    return rest + strspn(rest, "/");
}

int p2p_folder_base(const char **path) {
    int base = AT_FDCWD;
    pthread_mutex_lock(&mutex);
    const char *rest = rest_of(*path);
    if (rest) {
        *path = *rest ? rest : ".";
        base = anchor.folder;
    }
    pthread_mutex_unlock(&mutex);
    return base;
}
