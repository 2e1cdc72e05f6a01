/* NCCL's header, which follows in the search for headers, and the type that it declares for C++ only before
 * 2.24. The library has it, and its number is part of the binary interface. ncclNumTypes is the same number
 * there. */
#ifndef P2P_NCCL_H
#define P2P_NCCL_H

#include_next <nccl.h>

#if NCCL_VERSION_CODE < 22400 && !defined(__CUDA_BF16_TYPES_EXIST__)
#define ncclBfloat16 ((ncclDataType_t)9)
#endif

#endif
