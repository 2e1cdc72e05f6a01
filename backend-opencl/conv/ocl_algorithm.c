/* Names of families and algorithms. See ocl_algorithm.h. */
#include "ocl_algorithm.h"

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

void ocl_conv_algorithm_print(const ocl_conv_algorithm *algorithm, char name[P2P_CHOICE_NAME]) {
    snprintf(name, P2P_CHOICE_NAME, "%s%s%s",
             algorithm->family == OCL_CONV_AUTO ? "" : names[algorithm->family],
             algorithm->variant[0] ? ":" : "", algorithm->variant);
}

bool ocl_conv_algorithm_parse(const char *name, ocl_conv_algorithm *algorithm) {
    const size_t length = strcspn(name, ":");
    const char *variant = name + length + (name[length] == ':');
    *algorithm = (ocl_conv_algorithm){0};
    if (name[0] == '\0') return true;
    if (strlen(variant) >= sizeof algorithm->variant || (name[length] == ':' && variant[0] == '\0'))
        return false;
    strcpy(algorithm->variant, variant);
    algorithm->family = ocl_conv_family_named(name, length);
    return algorithm->family != OCL_CONV_AUTO && algorithm->family != OCL_CONV_FAMILIES;
}
