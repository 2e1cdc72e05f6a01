/* Names of families and ways. See ocl_way.h. */
#include "ocl_way.h"

#include <stdio.h>
#include <string.h>

static const char *const names[OCL_CONV_FAMILIES] = {
#define X(name) #name,
    OCL_CONV_FAMILY_LIST(X)
#undef X
};

const char *ocl_conv_family_name(ocl_conv_family family) {
    return names[family];
}

ocl_conv_family ocl_conv_family_named(const char *text, size_t length) {
    int f = OCL_CONV_AUTO;
    while (f < OCL_CONV_FAMILIES && (strlen(names[f]) != length || memcmp(names[f], text, length) != 0)) f++;
    return (ocl_conv_family)f;
}

void ocl_conv_way_print(const ocl_conv_way *way, char name[P2P_CHOICE_NAME]) {
    snprintf(name, P2P_CHOICE_NAME, "%s%s%s", way->family == OCL_CONV_AUTO ? "" : names[way->family],
             way->variant[0] ? ":" : "", way->variant);
}

bool ocl_conv_way_parse(const char *name, ocl_conv_way *way) {
    const size_t length = strcspn(name, ":");
    const char *variant = name + length + (name[length] == ':');
    *way = (ocl_conv_way){0};
    if (name[0] == '\0') return true;
    if (strlen(variant) >= sizeof way->variant || (name[length] == ':' && variant[0] == '\0')) return false;
    strcpy(way->variant, variant);
    way->family = ocl_conv_family_named(name, length);
    return way->family != OCL_CONV_AUTO && way->family != OCL_CONV_FAMILIES;
}
