/* Host memory for transfers: the device's own kind, or malloc's. */
#include "device_internal.h"

#include <stdlib.h>

p2p_status p2p_host_memory_alloc(p2p_device *device, size_t bytes, p2p_host_memory *memory) {
    const p2p_device_table *table = &device->module->device;
    *memory = (p2p_host_memory){0};
    if (bytes == 0) bytes = 1;
    if (table->host_alloc) {
        const p2p_status status =
            P2P_CALL("host_alloc", table->host_alloc(device->be, bytes, &memory->bytes));
        memory->of_device = status == P2P_OK;
        if (status != P2P_OUT_OF_MEMORY) return status;
        p2p_device_warn_slower(device, P2P_SLOWER_host_memory);
    }
    memory->bytes = calloc(1, bytes);
    if (memory->bytes) return P2P_OK;
    return p2p_fail(P2P_OUT_OF_MEMORY, "%s: no host memory for transfers of %zu bytes", device->address,
                    bytes);
}

void p2p_host_memory_free(p2p_device *device, p2p_host_memory *memory) {
    if (memory->of_device)
        device->module->device.host_free(device->be, memory->bytes);
    else
        free(memory->bytes);
    *memory = (p2p_host_memory){0};
}
