/* See cuda_time.h. */
#include "cuda_time.h"

#include "cuda_ticket.h"

static p2p_status create_events(p2p_be_device *device) {
    for (int i = 0; i < 2; i++)
        if (!device->timed[i]) CUDA_TRY(&device->queue, cuEventCreate, &device->timed[i], CU_EVENT_DEFAULT);
    return P2P_OK;
}

p2p_status cuda_time_begin(p2p_be_device *device) {
    P2P_TRY(cuda_enter(&device->queue));
    P2P_TRY(create_events(device));
    CUDA_TRY(&device->queue, cuEventRecord, device->timed[0], device->queue.stream);
    return P2P_OK;
}

p2p_status cuda_time_end(p2p_be_device *device, double *seconds) {
    float milliseconds = 0;
    P2P_TRY(cuda_enter(&device->queue));
    CUDA_TRY(&device->queue, cuEventRecord, device->timed[1], device->queue.stream);
    P2P_TRY(cuda_drain_all(device));
    CUDA_TRY(&device->queue, cuEventElapsedTime, &milliseconds, device->timed[0], device->timed[1]);
    *seconds = 1e-3 * (double)milliseconds;
    return P2P_OK;
}

void cuda_time_close(p2p_be_device *device) {
    for (int i = 0; i < 2; i++)
        if (device->timed[i]) CUDA_RELEASE(&device->queue, cuEventDestroy, device->timed[i]);
}
