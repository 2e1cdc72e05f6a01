/* See json_file.h. */
#include "json_file.h"

#include "sys.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST = 16 << 20 }; /* bytes; p2p writes some KB */

p2p_status json_file_read(const char *path, json_t **value) {
    uint8_t *bytes;
    size_t size;
    uint64_t total;
    json_error_t error;
    *value = NULL;
    P2P_TRY(sys_file_read(path, LARGEST, &bytes, &size, &total));
    if (total <= LARGEST) *value = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
    free(bytes);
    if (*value) return P2P_OK;
    if (total > LARGEST)
        return p2p_fail(P2P_INPUT, "%s: no file of this kind has %llu bytes", path,
                        (unsigned long long)total);
    return p2p_fail(P2P_INPUT, "%s: line %d: %s", path, error.line, error.text);
}

p2p_status json_file_write(const char *path, json_t *value, size_t flags) {
    char *text = value ? json_dumps(value, flags) : NULL;
    json_decref(value);
    if (!text) return p2p_fail(P2P_OUT_OF_MEMORY, "%s: no memory to write the file", path);
    p2p_status status = sys_file_write(path, text, strlen(text));
    free(text);
    return status;
}
