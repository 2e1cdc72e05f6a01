/* A backend for plans only: its op_query behaves as four kinds of hardware could, so that the planner can be
 * tested on full networks without a device. It has no memory and runs nothing.
 */
#ifndef NULL_BACKEND_H
#define NULL_BACKEND_H

#include "p2p_backend.h"

/* Devices: "null:0" a plain device, "null:1" a CPU with blocked channels, "null:2" a GPU with channels
 * innermost and tensor cores, "null:3" a GPU with blocked channels that stores activations in bf16 in
 * sessions of that precision. Their communicator sums bf16 over two replicas only, as NCCL.
 */
enum { NULL_PLAIN, NULL_NCHW16C, NULL_NHWC8_BF16, NULL_NCHW16C_GPU, NULL_DEVICES };

const p2p_module *null_module(uint32_t abi, const p2p_host *host);

#endif
