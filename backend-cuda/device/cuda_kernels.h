/* The compiled kernels, which the build embeds into the module: an image for each kernels/NAME.cu. */
#ifndef CUDA_KERNELS_H
#define CUDA_KERNELS_H

#include <stddef.h>

/* A fatbin for cuModuleLoadData: machine code for each card that the toolkit supports, and PTX, not
 * compressed. */
typedef struct {
    const char *name;           /* of the source without ".cu" */
    const unsigned char *bytes; /* aligned to 64 */
    const unsigned char *end;   /* one past the last byte */
} cuda_kernel_image;

extern const cuda_kernel_image cuda_kernel_images[]; /* ends with a name of NULL */

#endif
