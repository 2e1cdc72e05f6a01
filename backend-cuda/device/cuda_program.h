/* Modules of kernels on a device: the images of cuda_kernels.h, loaded when an operation first needs one. */
#ifndef CUDA_PROGRAM_H
#define CUDA_PROGRAM_H

#include "cuda_device.h"

/* Finds the kernel of a launch, loads its code, and allows it the launch's shared memory. All that the
 * first launch would do otherwise is done: with the driver's lazy loading it could wait for the device. */
p2p_status cuda_program_kernel(p2p_be_device *device, const cuda_launch *launch, CUfunction *kernel);
void cuda_programs_close(p2p_be_device *device);

#endif
