/* Choices of convolutions' algorithms: by cuDNN's heuristics, by measurement, from the cache, or imposed. For
 * the device table: p2p_backend.h describes each function. An algorithm is named as in cuda_engine.h. 1x1
 * filters that are matrix products (cuda_plan_conv.h) have no choice.
 *
 * Measured choices are kept in the host's cache, by the version of cuDNN and the card: its name, compute
 * capability and number of multiprocessors.
 */
#ifndef CUDA_CHOOSE_H
#define CUDA_CHOOSE_H

#include "device/cuda_device.h"

p2p_status cuda_op_choose(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                          p2p_choice *choice);
p2p_status cuda_op_impose(p2p_be_device *device, const p2p_op *op, const char *name);
p2p_status cuda_op_list(p2p_be_device *device, const p2p_op *op, char (*names)[P2P_CHOICE_NAME], int *count);

#endif
