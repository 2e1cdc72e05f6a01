/* Where a device is in the machine. */
#ifndef OCL_PLACE_H
#define OCL_PLACE_H

#include <CL/cl.h>
#include <stddef.h>

/* Writes "PCI address 0000:3B:00.0" (p2p_device_info.details), which is the same in all processes, whatever
 * devices each may use; "" if the driver reports none. */
void ocl_place_describe(cl_device_id device, char *text, size_t size);

#endif
