/* The queue: how much work may wait in it, and how the host waits for it.
 *
 * Drivers of GPUs abort a kernel that runs for seconds, and a queue that holds more than some ten seconds of
 * work; calls of a driver that hangs do not return. So long launches are enqueued in pieces, the host pauses
 * before the queue gets too long, and every wait ends. Time is estimated from operations and bytes at the
 * lowest speed that a device of this kind should have, so limits are never too late. None of this holds for
 * CPU devices.
 */
#ifndef OCL_QUEUE_H
#define OCL_QUEUE_H

#include "ocl_device.h"

/* Sets device->limits from the device's clock and the environment. */
void ocl_queue_open(p2p_be_device *device);
void ocl_queue_close(p2p_be_device *device);

/* Seconds that the operation takes at most, on a device that does what it should; 0 on a CPU. */
double ocl_queue_estimate(const p2p_be_device *device, const p2p_op *op);

/* Into how many ranges the groups along dimensions 0 and 2 of a grid are cut, so that a launch of so many
 * seconds has no piece of more than P2P_OPENCL_LAUNCH_MS, as far as its groups allow. */
void ocl_queue_cut(const p2p_be_device *device, double seconds, const size_t groups[3], size_t pieces[3]);

/* Notes that so many seconds were enqueued. Waits while the queue holds more than a few seconds of work. */
p2p_status ocl_queue_add(p2p_be_device *device, double seconds);

/* Wait for everything enqueued. */
p2p_status ocl_queue_finish(p2p_be_device *device);

/* The table's submit and wait. */
p2p_status ocl_queue_submit(p2p_be_device *device, p2p_ticket *ticket);
p2p_status ocl_queue_wait(p2p_be_device *device, p2p_ticket ticket);

#endif
