/* See setup_same.h. */
#include "setup_same.h"

#include <stdio.h>
#include <stdlib.h>

/* An option and its values here and in rank 0, of which a missing one is NULL. */
static p2p_status refuse_option(const char *name, const json_t *own, const json_t *first) {
    const size_t form = JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15);
    char option[64], *here = json_dumps(own, form), *there = json_dumps(first, form);
    snprintf(option, sizeof option, "%s", name);
    for (char *c = option; *c; c++)
        if (*c == '_') *c = '-';
    p2p_fail(P2P_USAGE, "the ranks were started with different options: --%s is %s, and %s in rank 0", option,
             here ? here : "unknown", there ? there : "unknown");
    free(here);
    free(there);
    return p2p_hint(P2P_USAGE,
                    "give all ranks the same options; train/MACHINES.md lists those that may differ");
}

p2p_status setup_compare_options(json_t *own, const json_t *first) {
    const char *name;
    json_t *value;
    json_object_foreach(own, name, value) {
        const json_t *other = json_object_get(first, name);
        if (!json_equal(value, other)) return refuse_option(name, value, other);
    }
    return P2P_OK;
}
