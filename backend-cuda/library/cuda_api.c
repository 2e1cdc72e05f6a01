/* The tables of functions, which cuda_library.c fills. See cuda_api.h. */
#include "cuda_api.h"

cuda_driver_table cuda_driver;
cuda_dnn_table cuda_dnn;
cuda_blas_table cuda_blas;
cuda_nccl_table cuda_nccl;
