/* The first collectives of a communicator, whose results are compared.
 *
 * Since version 2.22 NCCL connects the devices for an algorithm when a collective first takes it. What can't
 * work in this machine, such as shared memory that is too small, would appear in the first step of a
 * training, when it is too late for another way.
 */
#ifndef CUDA_TRIAL_H
#define CUDA_TRIAL_H

#include "p2p_backend.h"

typedef struct cuda_trial cuda_trial;

/* Memory on `count` devices, whose array stays the caller's. */
p2p_status cuda_trial_create(p2p_be_device *const *devices, int count, cuda_trial **trial);
/* Nothing uses the memory any more. */
void cuda_trial_destroy(cuda_trial *trial);

/* Starts an all_reduce or a broadcast, as the functions of p2p_comm_table. */
typedef p2p_status cuda_collective(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                                   p2p_ticket *done);
/* Sums and broadcasts over all `world` replicas, of which `rank0` is the first of these devices; waits for
 * each. P2P_FAILED if a result is wrong. */
p2p_status cuda_trial_run(cuda_trial *trial, cuda_collective *start, p2p_be_comm *comm, int world, int rank0);

#endif
