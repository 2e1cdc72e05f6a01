/* Writing of JSON files. json_load_file of jansson reads them. */
#ifndef P2P_JSON_FILE_H
#define P2P_JSON_FILE_H

#include "p2p_status.h"

#include <jansson.h>

/* Write `value` to a file that appears complete or not at all. Takes the reference to the value, also if it
 * fails. A NULL value is P2P_OUT_OF_MEMORY, so that the result of json_pack needs no check. `flags` are those
 * of json_dumps. */
p2p_status json_file_write(const char *path, json_t *value, size_t flags);

#endif
