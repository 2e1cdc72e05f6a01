/* Names of the convolution families and of their variants. The families are implemented in conv/; the names
 * are here because targets and plans contain them.
 */
#ifndef OCL_FAMILY_H
#define OCL_FAMILY_H

/* X(name), a value of P2P_OPENCL_CONV. */
#define OCL_CONV_FAMILY_LIST(X) X(auto) X(direct) X(winograd) X(gpu) X(gpu_winograd) X(gemm)

typedef enum {
    OCL_CONV_AUTO,         /* chosen by device and shape */
    OCL_CONV_DIRECT,       /* register tiles, for CPUs: ocl_conv_direct.c */
    OCL_CONV_WINOGRAD,     /* fewer multiplications, for CPUs: ocl_conv_winograd.c */
    OCL_CONV_GPU,          /* tiles in local memory: ocl_conv_gpu.c */
    OCL_CONV_GPU_WINOGRAD, /* fewer multiplications, on tiles in local memory: ocl_conv_gpu_winograd.c */
    OCL_CONV_GEMM,         /* im2col and the matrix library: ocl_conv_gemm.c */
    OCL_CONV_FAMILIES
} ocl_conv_family;

/* A variant is one algorithm or tile of a family for a given shape. Its name consists of lower-case
 * letters, digits and '-', for example "64x64". */
enum { OCL_MOST_VARIANTS = 12, OCL_VARIANT_BYTES = 16 };
typedef char ocl_variant_name[OCL_VARIANT_BYTES];

/* How a convolution is computed. {OCL_CONV_AUTO, ""} is the default choice (P2P_OPENCL_CONV, or by cost
 * estimates); any other family with "" leaves the variant to the family's planner. */
typedef struct {
    ocl_conv_family family;
    ocl_variant_name variant;
} ocl_conv_algorithm;

#endif
