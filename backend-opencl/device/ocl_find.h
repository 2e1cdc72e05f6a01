/* The OpenCL devices of all platforms, and whether p2p can use them. Each call queries the ICD loader:
 * nothing is cached.
 */
#ifndef OCL_FIND_H
#define OCL_FIND_H

#include "ocl_device.h"

enum { OCL_MOST_DEVICES = 128 };

typedef struct {
    cl_platform_id platform;
    cl_device_id device;
} ocl_found;

/* Lists all devices in the order of the ICD loader's platforms. P2P_NO_DEVICE, with a reason and *obstacle,
 * if there is none. */
p2p_status ocl_devices_find(ocl_found found[OCL_MOST_DEVICES], int *count, p2p_obstacle *obstacle);
/* Finds the device at `index` of that list; P2P_NO_DEVICE if there is none. */
p2p_status ocl_device_find(int index, ocl_found *found);

/* Fills all of `info`, including `unusable`. */
void ocl_device_describe(const ocl_found *found, const ocl_environment *environment, p2p_device_info *info);

/* Bytes of the largest buffer that p2p creates on a vendor's device, without the slack; the driver allows
 * `allowed`. */
size_t ocl_largest_buffer(const char *vendor, p2p_device_type type, uint64_t allowed);

#endif
