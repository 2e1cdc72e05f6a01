/* Writing of a JSON file. Reading is jansson's. */
#ifndef P2P_JSON_FILE_H
#define P2P_JSON_FILE_H

#include "p2p_status.h"

#include <jansson.h>

/* Write `value` to a file that appears complete or not at all. Releases the value, also on failure; NULL is
 * P2P_OUT_OF_MEMORY, so that the result of json_pack can be passed on unchecked. `flags` are json_dumps'. */
p2p_status json_file_write(const char *path, json_t *value, size_t flags);

#endif
