/* See folder_lock.h. */
#include "folder_lock.h"

#include "sys.h"

#include <stdlib.h>

p2p_status folder_lock_take(sys_lock **lock, const char *folder) {
    char *path;
    *lock = NULL;
    P2P_TRY(sys_folder_make(folder));
    P2P_TRY(sys_path_join(&path, folder, FOLDER_LOCK));
    p2p_status status = sys_lock_take(lock, path, folder);
    free(path);
    return status;
}

p2p_status folder_lock_check(const char *folder) {
    char *path;
    bool is_folder;
    P2P_TRY(sys_path_is_folder(folder, &is_folder));
    if (!is_folder) return P2P_OK;
    P2P_TRY(sys_path_join(&path, folder, FOLDER_LOCK));
    p2p_status status = sys_lock_check(path, folder);
    free(path);
    return status;
}
