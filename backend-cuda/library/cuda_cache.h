/* The folder in which NVIDIA's driver keeps compiled kernels: CUDA_CACHE_PATH, else ~/.nv/ComputeCache. */
#ifndef CUDA_CACHE_H
#define CUDA_CACHE_H

/* Turns the driver's cache off, with a warning, if any user can write to the folder or put another in its
 * place: kernels are code. Call it before the driver is initialised. */
void cuda_cache_check(void);

#endif
