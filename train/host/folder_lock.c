/* See folder_lock.h. */
#include "folder_lock.h"

#include "file_suffix.h"
#include "sys.h"

#include <stdlib.h>

p2p_status folder_lock_take(sys_lock **lock, const char *folder) {
    char *path;
    *lock = NULL;
    P2P_TRY(file_suffix_check_folder("the folder of the results", folder));
    P2P_TRY(sys_folder_make(folder));
    P2P_TRY(sys_path_join(&path, folder, FOLDER_LOCK));
    p2p_status status = sys_lock_take(lock, path, folder);
    free(path);
    return status;
}

p2p_status folder_lock_check(const char *folder) {
    char *path;
    P2P_TRY(sys_path_join(&path, folder, FOLDER_LOCK));
    p2p_status status = sys_lock_check(path, folder);
    free(path);
    return status;
}
