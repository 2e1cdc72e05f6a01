/* JSON files, and the checksum in those that p2p reads again. */
#ifndef P2P_JSON_FILE_H
#define P2P_JSON_FILE_H

#include "p2p_status.h"

#include <jansson.h>

/* Write `value` to a file that appears complete or not at all. Takes the reference to the value, also if it
 * fails. A NULL value is P2P_OUT_OF_MEMORY, so that the result of json_pack needs no check. `flags` are those
 * of json_dumps; other characters than those of ASCII are always escaped. */
p2p_status json_file_write(const char *path, json_t *value, size_t flags);
/* The same, but replaces nothing: P2P_USAGE, with the path, if the file exists. */
p2p_status json_file_write_new(const char *path, json_t *value, size_t flags);

/* The same for an object, with the field "checksum" in front: a checksum of the other fields, which depends
 * on their values and not on spaces and order. */
p2p_status json_file_write_sealed(const char *path, json_t *object, size_t flags);

/* Read an object from a regular file, and compare its field "checksum", which *object then lacks.
 * P2P_UNREADABLE if the file can't be read; P2P_INPUT if it is not a JSON object of at most JSON_FILE_LARGEST
 * bytes, has a repeated field, or does not match its checksum. An object without a checksum is accepted:
 * older versions wrote none, and a person who edits the file removes it. The caller releases *object. */
enum { JSON_FILE_LARGEST = 1 << 20 };
p2p_status json_file_read_sealed(const char *path, json_t **object);

#endif
