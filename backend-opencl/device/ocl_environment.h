/* The variables P2P_OPENCL_* of the environment. No other file reads them. The table in ocl_variables.c
 * describes each. ocl_pocl.c reads those that place PoCL's files. */
#ifndef OCL_ENVIRONMENT_H
#define OCL_ENVIRONMENT_H

#include "plan/ocl_target.h"

typedef enum { OCL_BF16_AUTO, OCL_BF16_FORCE_PORTABLE, OCL_BF16_OFF, OCL_BF16_USES } ocl_bf16_use;
typedef enum { OCL_CACHE_AUTO, OCL_CACHE_ON, OCL_CACHE_OFF, OCL_CACHE_USES } ocl_cache_use;

enum { OCL_FAIL_BYTES = 1024, OCL_PROBLEM_BYTES = 1280 };

typedef struct {
    ocl_bf16_use bf16;               /* P2P_OPENCL_BF16 */
    int vector_width;                /* P2P_OPENCL_VECTOR_WIDTH; 0: the device's */
    ocl_conv_family family;          /* P2P_OPENCL_CONV */
    ocl_variant_name variant;        /* P2P_OPENCL_VARIANT: of that family, or "#3"; "": none */
    ocl_winograd_use winograd;       /* P2P_OPENCL_WINOGRAD */
    bool treat_as_gpu;               /* P2P_OPENCL_TREAT_AS */
    double launch_seconds;           /* P2P_OPENCL_LAUNCH_MS */
    double timeout;                  /* the limit that is set, else P2P_OPENCL_TIMEOUT; seconds; 0: none */
    ocl_cache_use cache;             /* P2P_OPENCL_CACHE */
    char fail[OCL_FAIL_BYTES];       /* P2P_OPENCL_FAIL: names separated by commas */
    char problem[OCL_PROBLEM_BYTES]; /* message about the first variable with an invalid value; "": none */
} ocl_environment;

/* Sets the time limit of devices that are opened afterwards; P2P_OPENCL_TIMEOUT is not read any more. 0:
 * none; a negative value undoes it. */
void ocl_environment_limit_timeout(double seconds);

/* Reads all variables. One that is not set, empty or invalid gets its default. */
ocl_environment ocl_environment_read(void);

/* Whether P2P_OPENCL_FAIL lists the name of a family or an algorithm ("direct:1x1x8x2"). */
bool ocl_environment_fails(const ocl_environment *environment, const char *name);

/* Whether a device runs the kernels for CPUs. A CPU runs those for GPUs (work-groups of several work-items,
 * activations in bf16) if a family for GPUs is named or P2P_OPENCL_TREAT_AS=gpu. */
bool ocl_environment_acts_as_cpu(const ocl_environment *environment, p2p_device_type type);

#endif
