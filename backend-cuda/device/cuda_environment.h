/* The time limit of a device, from P2P_CUDA_TIMEOUT or a limit, and the limit "deterministic". Other
 * variables are read where they are used: those of libraries in library/, those of NCCL in comm/.
 * cuda_variables.c describes each. */
#ifndef CUDA_ENVIRONMENT_H
#define CUDA_ENVIRONMENT_H

#include <stdbool.h>

typedef struct {
    double timeout;     /* the limit that is set, else P2P_CUDA_TIMEOUT; seconds; 0: none */
    bool deterministic; /* the limit "deterministic" */
    char problem[256];  /* message about the first variable with an invalid value; "": none */
} cuda_environment;

/* Set limits (p2p_limit) of devices that are opened afterwards. A negative value undoes it. */
void cuda_environment_limit_timeout(double seconds);
void cuda_environment_limit_deterministic(double on);

/* Reads P2P_CUDA_TIMEOUT. If it is not set, empty or invalid, it has its default. */
cuda_environment cuda_environment_read(void);

#endif
