/* Where a device is in the machine, by cl_khr_pci_bus_info or cl_amd_device_attribute_query. See ocl_place.h.
 *
 * The values are those of the extensions, which older headers lack.
 */
#include "ocl_place.h"

#include <stdio.h>

enum { PCI_BUS_INFO_KHR = 0x410F, TOPOLOGY_AMD = 0x4037, TOPOLOGY_PCIE = 1 };

typedef struct {
    cl_uint domain, bus, device, function;
} pci_place;

/* cl_device_topology_amd. */
typedef struct {
    cl_uint type;
    cl_uchar unused[17], bus, device, function;
} amd_topology;

static int find_khr(cl_device_id device, pci_place *place) {
    size_t size = 0;
    return clGetDeviceInfo(device, PCI_BUS_INFO_KHR, sizeof *place, place, &size) == CL_SUCCESS &&
           size == sizeof *place;
}

static int find_amd(cl_device_id device, pci_place *place) {
    amd_topology found;
    size_t size = 0;
    if (clGetDeviceInfo(device, TOPOLOGY_AMD, sizeof found, &found, &size) != CL_SUCCESS) return 0;
    if (size != sizeof found || found.type != TOPOLOGY_PCIE) return 0;
    *place = (pci_place){0, found.bus, found.device, found.function};
    return 1;
}

void ocl_place_describe(cl_device_id device, char *text, size_t size) {
    pci_place place;
    text[0] = '\0';
    if (find_khr(device, &place) || find_amd(device, &place))
        snprintf(text, size, "PCI address %04X:%02X:%02X.%X", place.domain, place.bus, place.device,
                 place.function);
}
