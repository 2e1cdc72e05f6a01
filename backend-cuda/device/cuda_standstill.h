/* How long a device's queue stands still for collectives: the time between two events of the driver, before
 * and after each wait.
 *
 * An event takes a microsecond or two, so that much is counted for a wait that ends at once.
 */
#ifndef CUDA_STANDSTILL_H
#define CUDA_STANDSTILL_H

#include "cuda_device.h"

/* Creates the events, and measures the device's waits from now on, unless they are measured already. The
 * context is current. Close it in any case. */
p2p_status cuda_standstill_open(p2p_be_device *device);
/* Ends it. No wait is under way, or the device is lost. NULL is allowed in device->standstill. */
void cuda_standstill_close(p2p_be_device *device);

/* Call them before and after the queue is made to wait. If too many waits are measured already, this one is
 * not. The context is current. */
p2p_status cuda_standstill_begin(p2p_be_device *device);
p2p_status cuda_standstill_end(p2p_be_device *device);

/* Seconds so far, of waits that have ended. */
double cuda_standstill_seconds(p2p_be_device *device);

#endif
