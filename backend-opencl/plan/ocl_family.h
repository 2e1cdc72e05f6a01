/* The families of convolutions and their variants, by name. What a family does is in the room conv/; these
 * names are here because targets and plans carry them.
 */
#ifndef OCL_FAMILY_H
#define OCL_FAMILY_H

/* X(name), as P2P_OPENCL_CONV takes it. */
#define OCL_CONV_FAMILY_LIST(X) X(auto) X(direct) X(winograd) X(gpu) X(gpu_winograd) X(gemm)

typedef enum {
    OCL_CONV_AUTO,         /* by device and shape */
    OCL_CONV_DIRECT,       /* register tiles, for CPUs: ocl_conv_direct.c */
    OCL_CONV_WINOGRAD,     /* fewer multiplications, for CPUs: ocl_conv_winograd.c */
    OCL_CONV_GPU,          /* tiles in local memory: ocl_conv_gpu.c */
    OCL_CONV_GPU_WINOGRAD, /* fewer multiplications, on such tiles: ocl_conv_gpu_winograd.c */
    OCL_CONV_GEMM,         /* im2col and the matrix library: ocl_conv_gemm.c */
    OCL_CONV_FAMILIES
} ocl_conv_family;

/* A variant is one of a family's ways of computing a shape. Its name has lower-case letters, digits and '-',
 * for example "64x64". */
enum { OCL_MOST_VARIANTS = 12, OCL_VARIANT_BYTES = 16 };
typedef char ocl_variant_name[OCL_VARIANT_BYTES];

/* {OCL_CONV_AUTO, ""} is the choice by arithmetic, or P2P_OPENCL_CONV; another family with "" is its
 * planner's own choice. */
typedef struct {
    ocl_conv_family family;
    ocl_variant_name variant;
} ocl_conv_way;

#endif
