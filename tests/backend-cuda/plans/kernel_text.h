/* The kernels' signatures, as their preprocessed sources state them. */
#ifndef KERNEL_TEXT_H
#define KERNEL_TEXT_H

#include "plan/cuda_launch.h"

enum { KERNEL_PARAMETERS = CUDA_LAUNCH_ARGS };

typedef struct {
    char type[40]; /* "float", "bf16", "unsigned char", "long long", ...: without const and * */
    bool pointer;
    bool constant; /* points to const */
} kernel_parameter;

typedef struct {
    int count;
    kernel_parameter parameter[KERNEL_PARAMETERS];
} kernel_signature;

/* Finds the kernel in FOLDER/source.ii. Returns false if there is none. */
bool kernel_find(const char *source, const char *kernel, kernel_signature *signature);
/* The value of `name = value` in an enumeration of the source; -1 if there is none. */
long kernel_constant(const char *source, const char *name);
/* How many kernels FOLDER/source.ii has, and whether `visit` was called for each. */
int kernel_each(const char *source, void (*visit)(void *context, const char *kernel), void *context);

#endif
