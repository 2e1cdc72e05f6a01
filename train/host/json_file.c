/* See json_file.h. */
#include "json_file.h"

#include "sys.h"

#include <stdlib.h>
#include <string.h>

p2p_status json_file_write(const char *path, json_t *value, size_t flags) {
    char *text = value ? json_dumps(value, flags) : NULL;
    json_decref(value);
    if (!text) return p2p_fail(P2P_OUT_OF_MEMORY, "%s: no memory to write the file", path);
    p2p_status status = sys_file_write(path, text, strlen(text));
    free(text);
    return status;
}
