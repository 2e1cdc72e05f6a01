/* Folders in which drivers store files themselves, such as compiled kernels, with a record of these files:
 * names, sizes and checksums. It is an entry of the cache (cache.h), so it is itself found intact or not at
 * all.
 *
 * Drivers load what they find. A folder is therefore verified when it is opened: every recorded file is read,
 * and one that differs from its record is removed, so that the driver makes it again. A file without a record
 * may have been cut short by a kill or a power failure, and is removed as well, unless another process has
 * the folder open and may just have made it. So each file that the driver finds is as it was when it was
 * recorded, or was made by a process that was running when the folder was opened. What happens to a file
 * afterwards is not noticed until the next start.
 */
#ifndef P2P_CACHE_DRIVER_H
#define P2P_CACHE_DRIVER_H

#include <stdbool.h>

/* driver_folder and driver_folder_record of p2p_host (p2p_backend.h). */
const char *p2p_driver_folder(const char *driver);
/* Keeps the calling thread's message: it is called when a device is closed, also after a failure. */
void p2p_driver_folder_record(const char *driver, bool (*unfinished)(const char *name));

/* Closes all folders, as the end of the process does: for tests. */
void p2p_driver_folders_close(void);

#endif
