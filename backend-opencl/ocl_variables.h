/* What users can set in this backend: the rows of its table of functions. */
#ifndef OCL_VARIABLES_H
#define OCL_VARIABLES_H

#include "p2p_backend.h"

extern const p2p_variable ocl_variables[];
extern const int ocl_variable_count;
extern const p2p_limit ocl_limits[];
extern const int ocl_limit_count;

#endif
