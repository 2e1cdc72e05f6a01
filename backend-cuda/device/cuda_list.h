/* The devices of the driver, and whether p2p can use them. Nothing is opened, and no context is created.
 *
 * Devices are in the order of their PCI addresses, which is that of nvidia-smi, unless the user names an
 * order in CUDA_VISIBLE_DEVICES or CUDA_DEVICE_ORDER.
 */
#ifndef CUDA_LIST_H
#define CUDA_LIST_H

#include "library/cuda_library.h"

enum { CUDA_MOST_DEVICES = 128 };

typedef struct {
    CUdevice device[CUDA_MOST_DEVICES];
    int count;
} cuda_list;

/* Opens driver and libraries and lists all devices. P2P_NO_DEVICE, with a reason and *obstacle, if there is
 * none or a library is not good enough. */
p2p_status cuda_devices_find(cuda_list *list, p2p_obstacle *obstacle);
/* Finds the device at `index` of that list; P2P_NO_DEVICE if there is none. */
p2p_status cuda_device_find(int index, CUdevice *device);

/* An attribute; 0 if the driver does not have it. */
int cuda_device_attribute(CUdevice device, CUdevice_attribute what);
/* 90 for compute capability 9.0. */
int cuda_device_capability(CUdevice device);
/* "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", or "MIG-..." for a part of a device. */
void cuda_device_uuid(CUdevice device, char text[64]);

/* Fills all of `info`, including `unusable`. */
void cuda_device_describe(CUdevice device, p2p_device_info *info);

#endif
