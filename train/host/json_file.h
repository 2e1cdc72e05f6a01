/* Reading and writing of JSON files. */
#ifndef P2P_JSON_FILE_H
#define P2P_JSON_FILE_H

#include "p2p_status.h"

#include <jansson.h>

/* Read a file that contains one value, in which no object has a key twice. The caller releases *value.
 * P2P_INPUT, with the reason and without blocking, for anything else. */
p2p_status json_file_read(const char *path, json_t **value);

/* Write `value` to a file that appears complete or not at all. Takes the reference to the value, also if it
 * fails. A NULL value is P2P_OUT_OF_MEMORY, so that the result of json_pack needs no check. `flags` are those
 * of json_dumps. */
p2p_status json_file_write(const char *path, json_t *value, size_t flags);

#endif
