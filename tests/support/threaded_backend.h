/* The reference backend as a library with a current device per thread has it: every entry sets the calling
 * thread's current device, and every command goes to that device. It fails if two threads are inside one
 * device at once, and if a command reaches another device than it was meant for.
 */
#ifndef THREADED_BACKEND_H
#define THREADED_BACKEND_H

#include "p2p_backend.h"

const p2p_module *threaded_module(uint32_t abi, const p2p_host *host);

/* From now on only device_open sets the thread's current device, as in a backend that breaks its contract. */
void threaded_forget_current(bool forget);
/* The first op_create of each device from now on returns when `devices` devices are in one at the same time,
 * and fails after 20 seconds. 0: does not wait. */
void threaded_meet(int devices);
/* The number of devices whose op_create has begun to wait for others. */
int threaded_arrived(void);
/* Every op_create of the devices whose bits are set fails, with a message and a hint that have the device's
 * number. */
void threaded_fail_create(unsigned devices);
/* The number of threads that have called op_create since the last call of this. At most 64 are distinguished.
 */
int threaded_creators(void);
/* How often a thread entered a device that another one was in. */
int threaded_collisions(void);

/* Records the calls of buffer_write and wait from now on in `trace`, an array of `size` bytes: "w0" and "f0"
 * for a write to and a wait for device 0, and so on. NULL: ends it. */
void threaded_trace(char *trace, size_t size);

#endif
