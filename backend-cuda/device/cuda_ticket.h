/* Tickets: events in a fixed pool, and waits of the host, which are bounded. */
#ifndef CUDA_TICKET_H
#define CUDA_TICKET_H

#include "cuda_device.h"

/* A wait for other processes is given up so many seconds after the time limit: the process whose device hangs
 * finds it at the limit, ends its collectives, for which it takes up to CUDA_ABORT_SECONDS, and reports it.
 */
enum { CUDA_OTHERS_SECONDS = 10 };

p2p_status cuda_tickets_open(p2p_be_device *device);
void cuda_tickets_close(p2p_be_device *device);

/* Issues a ticket that is complete when the commands that are in the streams now are. Waits if
 * CUDA_IN_FLIGHT tickets are incomplete. The context is current. */
p2p_status cuda_ticket_issue(p2p_be_device *device, const CUstream *streams, int count, p2p_ticket *ticket);
/* Orders the commands that a stream of this or another device gets from now on after a ticket of `device`. */
p2p_status cuda_ticket_order(p2p_be_device *device, CUstream stream, p2p_ticket after);

/* Whether commands before a ticket are not complete. The context is current. */
bool cuda_ticket_is_pending(p2p_be_device *device, p2p_ticket ticket);

/* submit, wait and order of the device table. */
p2p_status cuda_submit(p2p_be_device *device, p2p_ticket *ticket);
p2p_status cuda_wait(p2p_be_device *device, p2p_ticket ticket);
p2p_status cuda_order(p2p_be_device *device, p2p_ticket after);

/* Yields or sleeps, the longer the longer the caller has waited; returns by how many seconds it has waited
 * longer now. */
double cuda_pause_after(double waited);
/* Waits for an event within the time limit. If it is exceeded, the device is lost. */
p2p_status cuda_wait_event(p2p_be_device *device, CUevent event);
/* Wait for all commands of a stream of the device, and for those of the queue and all transfers. */
p2p_status cuda_drain(p2p_be_device *device, CUstream stream);
p2p_status cuda_drain_all(p2p_be_device *device);

#endif
