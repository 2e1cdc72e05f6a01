/* Persistent cache of compiled programs and tuning results: bytes by key, a file per entry.
 *
 * Files are in the folder set by p2p_cache_folder_set (p2p.h), else in the folder that the environment names.
 * A value can always be computed again, so the cache does not fail: an entry that is missing or damaged is
 * not found. If a file cannot be written, the entry is skipped, with one warning per process. Any number of
 * threads and processes may use the cache at once. Entries are never removed; users may delete the folder at
 * any time. Checksums detect accidental damage, not forgery by a process with the user's rights. Nobody else
 * can forge an entry: a folder or an entry that another user owns or can write to is not used, root excepted.
 */
#ifndef P2P_CACHE_H
#define P2P_CACHE_H

#include "p2p_backend.h"

enum { P2P_CACHE_LARGEST = 256 * 1024 * 1024 }; /* bytes of a value; larger values are not stored */

/* cache_get and cache_put of p2p_host (p2p_backend.h). `kind` is part of the file's name: lower-case letters,
 * digits and hyphens only. */
bool p2p_cache_get(const char *kind, const p2p_key_part *key, int parts, void **value, size_t *size);
void p2p_cache_put(const char *kind, const p2p_key_part *key, int parts, const void *value, size_t size);

/* Sets *folder to the folder, valid until the next p2p_cache_folder_set; NULL if the cache is off or
 * the folder is not private. The first call reads the environment unless a folder is set. P2P_IO if neither
 * names a folder. May be called from any thread. cache_folder.c */
p2p_status p2p_cache_folder(const char **folder);

/* Sets *folder to the folder as it is named, whether it may be used or not; NULL if the cache is off.
 * Otherwise as p2p_cache_folder. */
p2p_status p2p_cache_folder_named(const char **folder);

/* Whether a name of a file could be that of an entry. */
bool p2p_cache_is_entry_name(const char *name);
/* Reads an entry by its path. P2P_INPUT, with the reason, if it is not used: *foreign if another user owns it
 * or can write to it, or it can't be opened; otherwise it is damaged. *size receives the size of an intact
 * one. */
p2p_status p2p_cache_check_entry(const char *path, bool *foreign, size_t *size);

/* Sets *path to the path of an entry's file, which the caller frees. P2P_IO if there is no folder. */
p2p_status p2p_cache_path(const char *kind, const p2p_key_part *key, int parts, char **path);

#endif
