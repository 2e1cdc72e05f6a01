/* Algorithms of collectives. See nccl_algorithm.h. */
#include "nccl_algorithm.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TREE, RING, NVLS, NVLS_TREE, OTHERS, ALGORITHMS };
static const char *const names[] = {"Tree",          "Ring",         "NVLS", "NVLSTree",
                                    "CollNetDirect", "CollNetChain", "PAT"};
enum { NAMES = sizeof names / sizeof names[0] };

/* The position of a name of `length` characters, case ignored; NAMES: none. */
static size_t find_name(const char *name, size_t length) {
    size_t i = 0;
    while (i < NAMES && (strlen(names[i]) != length || strncasecmp(names[i], name, length) != 0)) i++;
    return i;
}

/* Reads a list of names, which `^` in front excludes instead; without the variable all are allowed. False:
 * there is another name. */
static bool read_list(bool allowed[ALGORITHMS]) {
    const char *list = getenv("NCCL_ALGO");
    const bool excludes = !list || list[0] == '^';
    bool known = true;
    for (int i = 0; i < ALGORITHMS; i++) allowed[i] = excludes;
    for (const char *at = list ? list + excludes : ""; *at; at += *at == ',') {
        const size_t length = strcspn(at, ","), found = find_name(at, length);
        if (found < NAMES) allowed[found < OTHERS ? found : OTHERS] = !excludes;
        known = known && found < NAMES;
        at += length;
    }
    const char *enabled = getenv("NCCL_NVLS_ENABLE");
    if (enabled && strcmp(enabled, "0") == 0) allowed[NVLS] = allowed[NVLS_TREE] = false;
    return known;
}

bool nccl_algorithms_known(int version) {
    bool allowed[ALGORITHMS];
    return read_list(allowed) || version < NCCL_VERSION(2, 24, 0);
}

bool nccl_has_algorithm(bool broadcast) {
    bool allowed[ALGORITHMS];
    (void)read_list(allowed);
    return allowed[RING] || (!broadcast && (allowed[TREE] || allowed[NVLS]));
}

nccl_order nccl_order_of(const char *setting, size_t count) {
    enum { SMALL = 4096 };
    bool allowed[ALGORITHMS];
    (void)read_list(allowed);
    if (setting && strncmp(setting, "reversed", 8) == 0) return NCCL_ORDER_REVERSED;
    if (setting) return strncmp(setting, "tree", 4) == 0 ? NCCL_ORDER_TREE : NCCL_ORDER_RING;
    if (allowed[TREE] && (count < SMALL || !(allowed[NVLS] || allowed[RING]))) return NCCL_ORDER_TREE;
    return allowed[NVLS] ? NCCL_ORDER_SWITCH : NCCL_ORDER_RING;
}
