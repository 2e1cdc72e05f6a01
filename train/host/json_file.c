/* See json_file.h. */
#include "json_file.h"

#include "json_text.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

p2p_status json_file_write(const char *path, json_t *value, size_t flags) {
    char *text;
    p2p_status status = json_text_make(path, value, flags, &text);
    json_decref(value);
    P2P_TRY(status);
    status = sys_file_write(path, text, strlen(text));
    free(text);
    return status;
}
