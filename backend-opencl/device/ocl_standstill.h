/* How long a device's queue stands still because it waits for another event: the time from the completion of
 * the commands before the wait to that of the event.
 */
#ifndef OCL_STANDSTILL_H
#define OCL_STANDSTILL_H

#include "ocl_device.h"

/* Call it before the queue is made to wait for the event. Drivers report both times, in threads of their own.
 * If too many waits are measured already, this one is not. */
p2p_status ocl_standstill_measure(p2p_be_device *device, cl_event event);
/* Seconds so far. */
double ocl_standstill_seconds(const p2p_be_device *device);
/* Waits until no report is outstanding. The queue is finished. */
void ocl_standstill_close(p2p_be_device *device);

#endif
