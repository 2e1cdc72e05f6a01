/* JSON texts of jansson's values, read and written as a whole or not at all when memory runs out.
 *
 * jansson 2.14 ignores some failed allocations: json_loads() then loses characters of a string, or ends the
 * process with an assertion, and json_dumps() omits a key. Every JSON text that is kept, or that comes from a
 * file, passes through these functions instead.
 */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include "p2p_status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Parses a text of `length` bytes with jansson's decoding flags. If it is not JSON, *value is NULL and
 * *error, unless `error` is NULL, has the reason and the place; the status is P2P_OK. The caller releases
 * *value with json_decref(). P2P_OUT_OF_MEMORY names `name`, the text's file. */
p2p_status json_text_parse(const char *name, const char *text, size_t length, size_t flags, json_t **value,
                           json_error_t *error);

/* The text of a value with jansson's encoding flags, terminated; the caller frees it. With JSON_ENSURE_ASCII,
 * which everything that a person may look at needs, it is safe to print (p2p_printable.h). P2P_OUT_OF_MEMORY,
 * which names `name`, also if `value` is NULL: then it could not be made. */
p2p_status json_text_make(const char *name, const json_t *value, size_t flags, char **text);

/* Adds a field if it is `wanted`, and returns the object. Takes the references to both. NULL if either is
 * NULL or memory runs out: json_pack's "s*" and "o*" would then leave the field out. */
json_t *json_text_add(json_t *object, const char *key, bool wanted, json_t *value);

#endif
