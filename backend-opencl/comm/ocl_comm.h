/* Collectives between devices, through memory of the host, beside the devices' other commands: the
 * communicator of the module (p2p_backend.h).
 *
 * Each device has a second queue for transfers, and one thread adds what all devices contribute, in replica
 * order, and then what all processes do. A collective is a user event of each device, at which its first
 * queue waits if the core orders it so. If one device fails, the events of all end, and every later call for
 * them fails. Where devices compute in host memory, sums are formed in place, without a copy.
 */
#ifndef OCL_COMM_H
#define OCL_COMM_H

#include "device/ocl_device.h"

/* P2P_UNSUPPORTED if replicas are in other processes and `processes` is NULL. */
p2p_status ocl_comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                         const p2p_processes *processes, p2p_be_comm **comm);
void ocl_comm_close(p2p_be_comm *comm);
p2p_status ocl_comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op);
p2p_status ocl_comm_all_reduce(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                               p2p_ticket *done);
p2p_status ocl_comm_broadcast(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                              p2p_ticket *done);
double ocl_comm_waited(p2p_be_comm *comm);

#endif
