/* Self-test verdicts and choices of a device's convolutions. Its target points to both, so that planners
 * use them.
 */
#ifndef OCL_TUNING_H
#define OCL_TUNING_H

#include "conv/ocl_choice.h"
#include "device/ocl_device.h"

#include "p2p_tune.h"

/* The result of the self-test of a single algorithm. */
typedef struct ocl_algorithm_verdict ocl_algorithm_verdict;
struct ocl_algorithm_verdict {
    ocl_algorithm_verdict *next;
    ocl_conv_algorithm algorithm;
    p2p_type stored;
    ocl_verdict verdict;
};

struct ocl_tuning {
    ocl_verdicts verdicts;
    ocl_algorithm_verdict *algorithm_verdicts; /* newest first */
    ocl_choices choices;
    char *kept; /* the stored text (p2p_tune.h); NULL before it was read */
};

/* Creates device->tuning. Returns P2P_OUT_OF_MEMORY on failure. */
p2p_status ocl_tuning_open(p2p_be_device *device);
void ocl_tuning_close(p2p_be_device *device);

/* The device as the shared tuner uses it. */
p2p_tune_device ocl_tune_device(p2p_be_device *device);

#endif
