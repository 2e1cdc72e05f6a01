/* Whether a path lies in a folder. See sys.h. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Drop the last name of a path, and the slashes before it. Returns the length that is left. */
static size_t drop_name(const char *path, size_t length) {
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    return length;
}

static bool is_absent(void) {
    return errno == ENOENT || errno == ENOTDIR;
}

/* The absolute path of the longest part of `path` that exists, whose length is *end. */
static p2p_status resolve_existing(const char *path, char **real, size_t *end) {
    char *head = strdup(path);
    if (head == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    *end = strlen(head);
    while ((*real = realpath(*end == 0 ? "." : head, NULL)) == NULL && is_absent() && *end > 0) {
        *end = drop_name(head, *end);
        head[*end] = '\0';
    }
    free(head);
    return *real != NULL ? P2P_OK : p2p_fail(P2P_IO, "can't look up %s: %s", path, strerror(errno));
}

/* The absolute path without links and slashes at the end; what does not exist is appended as it is. */
static p2p_status resolve(const char *path, char **resolved) {
    char *real;
    size_t end = 0;
    P2P_TRY(resolve_existing(path, &real, &end));
    const char *rest = path + end + strspn(path + end, "/");
    p2p_status status = P2P_OK;
    *resolved = NULL;
    if (*rest == '\0')
        *resolved = strdup(real);
    else
        status = sys_path_join(resolved, real, rest);
    free(real);
    if (status == P2P_OK && *resolved == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    P2P_TRY(status);
    size_t length = strlen(*resolved);
    while (length > 1 && (*resolved)[length - 1] == '/') (*resolved)[--length] = '\0';
    return P2P_OK;
}

p2p_status sys_path_inside(const char *path, const char *folder, bool *inside) {
    char *inner, *outer;
    P2P_TRY(resolve(path, &inner));
    p2p_status status = resolve(folder, &outer);
    if (status == P2P_OK) {
        const size_t length = strlen(outer);
        *inside = strncmp(inner, outer, length) == 0 &&
                  (inner[length] == '/' || inner[length] == '\0' || length == 1);
        free(outer);
    }
    free(inner);
    return status;
}
