/* Names of algorithms of convolutions: a family and one of its variants. */
#ifndef OCL_ALGORITHM_H
#define OCL_ALGORITHM_H

#include "plan/ocl_target.h"

const char *ocl_conv_family_name(ocl_conv_family family);

/* The family of that name, including "auto"; OCL_CONV_FAMILIES if there is none. `text` has `length`
 * bytes. */
ocl_conv_family ocl_conv_family_named(const char *text, size_t length);

/* "" for the default choice, "gpu", "gpu:64x64". print writes at most P2P_CHOICE_NAME bytes. parse returns
 * false if the text names no family or its variant is too long. */
void ocl_conv_algorithm_print(const ocl_conv_algorithm *algorithm, char name[P2P_CHOICE_NAME]);
bool ocl_conv_algorithm_parse(const char *name, ocl_conv_algorithm *algorithm);

#endif
