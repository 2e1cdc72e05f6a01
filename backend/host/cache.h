/* What is worth keeping between runs: compiled programs, results of tuning; bytes by key, a file each.
 *
 * Files lie in the folder that p2p_cache_folder_set (p2p.h) or the environment names. A value can always be
 * made again, so nothing here fails: what is missing or damaged is not found, and what can't be written is
 * not kept, with one warning per process. Any number of threads and processes may use it at once. Nothing is
 * ever removed; whoever wants the room back deletes the folder. What is found is what was kept, unless
 * someone with the user's own rights forged it: checksums are against accidents.
 */
#ifndef P2P_CACHE_H
#define P2P_CACHE_H

#include "p2p_backend.h"

enum { P2P_CACHE_LARGEST = 256 * 1024 * 1024 }; /* bytes of a value; longer ones are not kept */

/* p2p_host has the contract. `kind` goes into the file's name: lower-case letters, digits and hyphens only.
 */
bool p2p_cache_get(const char *kind, const p2p_key_part *key, int parts, void **value, size_t *size);
void p2p_cache_put(const char *kind, const p2p_key_part *key, int parts, const void *value, size_t size);

/* The folder, valid until the next p2p_cache_folder_set; NULL where the cache is off. The first call reads
 * the environment, unless a folder was set. P2P_IO when neither names one. From any thread. cache_folder.c */
p2p_status p2p_cache_folder(const char **folder);

/* The file of an entry, to be freed by the caller. P2P_IO when there is no folder. */
p2p_status p2p_cache_path(const char *kind, const p2p_key_part *key, int parts, char **path);

#endif
