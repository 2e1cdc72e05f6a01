/* Times of commands by the device's own clock: two events in the queue. The host's part, such as the pauses
 * of its waits, is not in them. */
#ifndef CUDA_TIME_H
#define CUDA_TIME_H

#include "cuda_device.h"

/* time_begin and time_end of p2p_backend.h. Operations and transfers that are commands of the queue are
 * timed; large transfers with the host are only waited for. */
p2p_status cuda_time_begin(p2p_be_device *device);
p2p_status cuda_time_end(p2p_be_device *device, double *seconds);

/* Destroys the events. The context is current. */
void cuda_time_close(p2p_be_device *device);

#endif
