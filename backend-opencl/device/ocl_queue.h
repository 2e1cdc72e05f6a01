/* The queue: limits of the work in it, and waits of the host.
 *
 * Drivers of GPUs abort a kernel that runs for seconds, and a queue that holds more than about ten seconds
 * of work; calls of a driver that hangs do not return. So long launches are enqueued in pieces, the host
 * pauses before the queue gets too long, and every wait is bounded. Time is estimated from operations and
 * bytes at the lowest speed of such devices, so limits apply early rather than late. None of this applies
 * to CPU devices.
 */
#ifndef OCL_QUEUE_H
#define OCL_QUEUE_H

#include "ocl_device.h"

/* Sets device->limits from the device's clock and the environment. */
void ocl_queue_open(p2p_be_device *device);
void ocl_queue_close(p2p_be_device *device);

/* Estimated upper bound of the operation's seconds on a healthy device; 0 on a CPU. */
double ocl_queue_estimate(const p2p_be_device *device, const p2p_op *op);

/* Sets the number of ranges into which the groups along each dimension of a grid are divided (1 along
 * dimension 1), so that no piece of a launch of `seconds` takes more than P2P_OPENCL_LAUNCH_MS, as far as
 * its groups allow. */
void ocl_queue_cut(const p2p_be_device *device, double seconds, const size_t groups[3], size_t pieces[3]);

/* Records that `seconds` of work were enqueued. Waits while the queue holds more than a few seconds of
 * work. */
p2p_status ocl_queue_add(p2p_be_device *device, double seconds);

/* Waits for all enqueued commands. */
p2p_status ocl_queue_finish(p2p_be_device *device);

/* submit, wait and order of the device table. */
p2p_status ocl_queue_submit(p2p_be_device *device, p2p_ticket *ticket);
p2p_status ocl_queue_wait(p2p_be_device *device, p2p_ticket ticket);
p2p_status ocl_queue_order(p2p_be_device *device, p2p_ticket after);

/* The event of a ticket, retained; NULL if it is complete. */
p2p_status ocl_queue_event(p2p_be_device *device, p2p_ticket ticket, cl_event *event);
/* Issues a ticket that is complete when the event is. The event is retained. */
p2p_status ocl_queue_adopt(p2p_be_device *device, cl_event event, p2p_ticket *ticket);
/* Waits for an event as other devices than CPUs need it. Returns a code of OpenCL; *hung: it took longer than
 * the device's limit. Any thread may call it. */
cl_int ocl_queue_poll(const p2p_be_device *device, cl_event event, bool *hung);

#endif
