/* See folder_lock.h. */
#include "folder_lock.h"

#include "file_suffix.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef p2p_status lock_check(const char *path, const char *what);

static p2p_status check_one(const char *folder, lock_check *check) {
    char *path;
    P2P_TRY(sys_path_join(&path, folder, FOLDER_LOCK));
    p2p_status status = check(path, folder);
    free(path);
    return status;
}

static p2p_status is_training(const char *folder, bool *training) {
    char *path;
    P2P_TRY(sys_path_join(&path, folder, FOLDER_TRAINING));
    p2p_status status = sys_path_exists(path, training);
    free(path);
    return status;
}

static p2p_status check_above_one(const char *folder) {
    bool training = false;
    if (access(folder, W_OK) != 0) return P2P_OK; /* this user holds no lock there */
    P2P_TRY(is_training(folder, &training));
    return training ? P2P_OK : check_one(folder, sys_lock_check_own);
}

/* The folders above, up to the root. */
static p2p_status check_above(const char *folder) {
    char *real, *slash;
    P2P_TRY(sys_path_real(&real, folder));
    p2p_status status = P2P_OK;
    while (status == P2P_OK && (slash = strrchr(real, '/')) != NULL && slash > real) {
        *slash = '\0';
        status = check_above_one(real);
    }
    free(real);
    return status;
}

p2p_status folder_lock_take(sys_lock **lock, const char *folder) {
    char *path;
    *lock = NULL;
    P2P_TRY(file_suffix_check_folder("the folder of the results", folder));
    P2P_TRY(check_above(folder));
    P2P_TRY(sys_folder_make(folder));
    P2P_TRY(sys_path_join(&path, folder, FOLDER_LOCK));
    p2p_status status = sys_lock_take(lock, path, folder);
    free(path);
    P2P_TRY(status);
    status = check_above(folder); /* again: a command that locks one above now looks at this one */
    if (status == P2P_OK) return P2P_OK;
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    sys_lock_release(*lock);
    *lock = NULL;
    return p2p_failure_give(&failure);
}

p2p_status folder_lock_check(const char *folder) {
    bool is_folder;
    P2P_TRY(sys_path_is_folder(folder, &is_folder));
    if (is_folder) P2P_TRY(check_one(folder, sys_lock_check));
    return check_above(folder);
}

p2p_status folder_lock_check_below(const char *out, const char *result) {
    char *folder = strdup(result);
    p2p_status status = folder ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    const size_t length = strlen(out);
    for (char *slash; status == P2P_OK && (slash = strrchr(folder, '/')) != NULL;) {
        *slash = '\0';
        if (strlen(folder) <= length || strncmp(folder, out, length) != 0) break;
        status = check_one(folder, sys_lock_check_own);
    }
    free(folder);
    return status;
}
