/* The environment variables and limits of the backend, except P2P_CUDA_LIBRARY_PATH, which
 * library/cuda_find.c reads. cuda_variables.c describes each. */
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

/* Reads all variables. One that is not set, empty or invalid gets its default. */
cuda_environment cuda_environment_read(void);

#endif
