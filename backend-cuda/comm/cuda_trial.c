/* Collectives on trial. See cuda_trial.h. */
#include "cuda_trial.h"

#include "device/cuda_device.h"
#include "device/cuda_memory.h"
#include "device/cuda_ticket.h"
#include "device/cuda_transfer.h"

#include <stdlib.h>

/* NCCL takes trees, if any, for small sums; rings for large ones, and for broadcasts of any size. */
enum { SMALL = 256, LARGE = 1 << 20, PERIOD = 7 };

struct cuda_trial {
    p2p_be_device *const *devices;
    int count;
    p2p_be_buffer **buffers; /* of LARGE numbers each */
    float *numbers;          /* as many */
    p2p_contribution *replicas;
    p2p_ticket *done;
};

void cuda_trial_destroy(cuda_trial *trial) {
    if (!trial) return;
    for (int i = 0; trial->buffers && i < trial->count; i++)
        if (trial->buffers[i]) cuda_buffer_destroy(trial->devices[i], trial->buffers[i]);
    free(trial->buffers);
    free(trial->numbers);
    free(trial->replicas);
    free(trial->done);
    free(trial);
}

static p2p_status allocate(cuda_trial *trial) {
    const size_t count = (size_t)trial->count;
    trial->buffers = calloc(count, sizeof(p2p_be_buffer *));
    trial->numbers = malloc(LARGE * sizeof *trial->numbers);
    trial->replicas = calloc(count, sizeof *trial->replicas);
    trial->done = calloc(count, sizeof *trial->done);
    if (!trial->buffers || !trial->numbers || !trial->replicas || !trial->done)
        return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator");
    for (int i = 0; i < trial->count; i++)
        P2P_TRY(cuda_buffer_create(trial->devices[i], LARGE * sizeof *trial->numbers, &trial->buffers[i]));
    return P2P_OK;
}

p2p_status cuda_trial_create(p2p_be_device *const *devices, int count, cuda_trial **created) {
    cuda_trial *trial = calloc(1, sizeof *trial);
    *created = NULL;
    if (!trial) return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator");
    trial->devices = devices;
    trial->count = count;
    const p2p_status status = allocate(trial);
    if (status == P2P_OK)
        *created = trial;
    else
        cuda_trial_destroy(trial);
    return status;
}

/* Small whole numbers: their sums are exact in any order. */
static float contribution(int rank, int element) {
    return (float)(rank + 1 + element % PERIOD);
}

static float expected(const p2p_op *op, int world, int element) {
    if (op->kind == P2P_KIND_broadcast) return contribution((int)op->root, element);
    return (float)world * ((float)(world + 1) / 2 + (float)(element % PERIOD));
}

static p2p_status write(cuda_trial *trial, int i, int rank, int elements) {
    p2p_be_device *device = trial->devices[i];
    trial->replicas[i].binding = (p2p_binding){trial->buffers[i], 0};
    for (int e = 0; e < elements; e++) trial->numbers[e] = contribution(rank, e);
    P2P_TRY(cuda_buffer_write(device, trial->replicas[i].binding, trial->numbers,
                              (size_t)elements * sizeof *trial->numbers));
    P2P_TRY(cuda_submit(device, &trial->replicas[i].after));
    return cuda_wait(device, trial->replicas[i].after);
}

static p2p_status compare(cuda_trial *trial, int i, const p2p_op *op, int world, int elements) {
    p2p_be_device *device = trial->devices[i];
    p2p_ticket read = 0;
    P2P_TRY(cuda_wait(device, trial->done[i]));
    P2P_TRY(cuda_buffer_read(device, trial->replicas[i].binding, trial->numbers,
                             (size_t)elements * sizeof *trial->numbers));
    P2P_TRY(cuda_submit(device, &read));
    P2P_TRY(cuda_wait(device, read));
    for (int e = 0; e < elements; e++)
        if (trial->numbers[e] != expected(op, world, e))
            return cuda_host->fail(P2P_FAILED,
                                   "%s: NCCL's first %s is wrong: element %d of %d is %g instead of %g",
                                   device->queue.name, p2p_kind_name(op->kind), e, elements,
                                   (double)trial->numbers[e], (double)expected(op, world, e));
    return P2P_OK;
}

p2p_status cuda_trial_run(cuda_trial *trial, cuda_collective *start, p2p_be_comm *comm, int world,
                          int rank0) {
    const struct {
        p2p_kind kind;
        int elements;
    } collectives[] = {
        {P2P_KIND_all_reduce, SMALL}, {P2P_KIND_all_reduce, LARGE}, {P2P_KIND_broadcast, LARGE}};
    for (size_t c = 0; c < sizeof collectives / sizeof collectives[0]; c++) {
        const int elements = collectives[c].elements;
        p2p_op op = {.kind = collectives[c].kind};
        op.t[0] = p2p_tensor_flat(P2P_TYPE_f32, elements);
        if (op.kind == P2P_KIND_broadcast) op.root = world - 1;
        for (int i = 0; i < trial->count; i++) P2P_TRY(write(trial, i, rank0 + i, elements));
        P2P_TRY(start(comm, &op, trial->replicas, trial->done));
        for (int i = 0; i < trial->count; i++) P2P_TRY(compare(trial, i, &op, world, elements));
    }
    return P2P_OK;
}
