/* Collectives by NCCL: the communicator of the module's table (p2p_backend.h).
 *
 * All local devices are ranks of one communicator, whose calls one thread makes in groups. Collectives run in
 * a stream of their own per device, after the contributions' tickets. NCCL's calls do not block: they are
 * polled within the time limit of the devices. If NCCL reports an error while the host waits, or the time
 * limit is exceeded, the communicator is aborted and its devices are lost. Threads may wait for different
 * devices.
 *
 * At the time limit the device is named whose part of the first collective that has not ended is missing,
 * whichever device the host waits for. If p2p_processes has others, and no part of this process is missing,
 * it waits CUDA_OTHERS_SECONDS longer for the process whose device hangs, which reports it. It does not
 * report errors of other processes (ncclRemoteError) earlier than that either.
 *
 * Replicas of several processes meet at the address that NCCL's own variable NCCL_COMM_ID=HOST:PORT names, of
 * rank 0, in all of them.
 */
#ifndef CUDA_COMM_H
#define CUDA_COMM_H

#include "p2p_backend.h"

/* Performs the first collectives. P2P_UNSUPPORTED, with the reason, if NCCL is missing, refuses the devices,
 * or can't connect them within the time limit, in one of `processes`: the core then reduces through host
 * memory. */
p2p_status cuda_comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                          const p2p_processes *processes, p2p_be_comm **comm);
void cuda_comm_close(p2p_be_comm *comm);
/* Loads NCCL, which opens no device. */
p2p_status cuda_comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op);
p2p_status cuda_comm_all_reduce(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                                p2p_ticket *done);
p2p_status cuda_comm_broadcast(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                               p2p_ticket *done);
double cuda_comm_waited(p2p_be_comm *comm);

#endif
