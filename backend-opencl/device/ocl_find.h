/* Which OpenCL devices there are, over all platforms, and whether p2p can use them. The ICD loader is queried
 * in each call: nothing is cached.
 */
#ifndef OCL_FIND_H
#define OCL_FIND_H

#include "ocl_device.h"

enum { OCL_MOST_DEVICES = 128 };

typedef struct {
    cl_platform_id platform;
    cl_device_id device;
} ocl_found;

/* All devices in the order of the ICD loader's platforms. P2P_NO_DEVICE where there is no platform. */
p2p_status ocl_devices_find(ocl_found found[OCL_MOST_DEVICES], int *count);
/* The device at `index` among them. */
p2p_status ocl_device_find(int index, ocl_found *found);

/* Fills all of `info`, `unusable` included. */
void ocl_device_describe(const ocl_found *found, const ocl_environment *environment, p2p_device_info *info);

/* Bytes of the largest buffer that p2p makes on a vendor's device, which allows `allowed`; without the slack.
 */
size_t ocl_largest_buffer(const char *vendor, p2p_device_type type, uint64_t allowed);

#endif
