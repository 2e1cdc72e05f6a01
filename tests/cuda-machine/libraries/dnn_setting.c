/* P2P_MACHINE_CUDNN. See dnn_setting.h. */
#include "dnn_setting.h"

#include "double_version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value after the next "NAME:" of the list, or NULL. `at` begins at the list and moves on. */
static const char *next_value(const char **at, const char *name) {
    const size_t length = strlen(name);
    while (*at && **at) {
        const char *item = *at;
        const char *comma = strchr(item, ',');
        *at = comma ? comma + 1 : NULL;
        if (strncmp(item, name, length) == 0 && item[length] == ':') return item + length + 1;
    }
    return NULL;
}

size_t dnn_version(void) {
    const char *at = getenv("P2P_MACHINE_CUDNN");
    const char *value = next_value(&at, "version");
    unsigned major, minor, patch;
    if (!value || sscanf(value, "%u.%u.%u", &major, &minor, &patch) != 3) return DOUBLE_DNN_VERSION;
    return (size_t)major * 10000 + minor * 100 + patch;
}

size_t dnn_cuda_version(void) {
    const char *at = getenv("P2P_MACHINE_CUDNN");
    const char *value = next_value(&at, "cuda");
    unsigned major, minor = 0;
    if (!value || sscanf(value, "%u.%u", &major, &minor) < 1) return 13000;
    return (size_t)major * 1000 + minor * 10;
}

bool dnn_has_fault(const char *fault, int64_t engine) {
    const char *at = getenv("P2P_MACHINE_CUDNN"), *value;
    while ((value = next_value(&at, fault)))
        if (strncmp(value, "all", 3) == 0 || strtoll(value, NULL, 10) == engine) return true;
    return false;
}
