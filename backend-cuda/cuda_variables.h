/* The environment variables and limits that users can set for this backend. */
#ifndef CUDA_VARIABLES_H
#define CUDA_VARIABLES_H

#include "p2p_backend.h"

extern const p2p_variable cuda_variables[];
extern const int cuda_variable_count;
extern const p2p_limit cuda_limits[];
extern const int cuda_limit_count;

#endif
