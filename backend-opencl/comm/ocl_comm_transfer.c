/* Transfers of a collective, on the communicator's queues, in its thread. Devices whose buffers are host
 * memory map them. Of others, a chunk is read while the one before is added and written.
 */
#include "ocl_comm_internal.h"

#include "device/ocl_queue.h"
#include "ocl_comm_sum.h"

#include <string.h>

/* From now on waits for devices are not counted, but for `counted`'s; NULL: for none's. */
static void hold_all_but(const p2p_be_comm *comm, const p2p_be_device *counted) {
    for (int r = 0; r < comm->count; r++)
        atomic_store(&comm->lanes[r].device->awaits_others, comm->lanes[r].device != counted);
}

static void release_all(const p2p_be_comm *comm) {
    for (int r = 0; r < comm->count; r++) atomic_store(&comm->lanes[r].device->awaits_others, false);
}

cl_int ocl_comm_wait(const p2p_be_comm *comm, int lane, cl_event event) {
    bool hung = false;
    const p2p_be_device *device = comm->lanes[lane].device;
    if (device->target.cpu) return clWaitForEvents(1, &event);
    hold_all_but(comm, device);
    const cl_int code = ocl_queue_poll(device, event, &hung);
    release_all(comm);
    return hung ? CL_DEVICE_NOT_AVAILABLE : code;
}

/* Waits for all commands of the communicator's queue. */
static cl_int finish(const p2p_be_comm *comm, int lane) {
    cl_event event;
    cl_int code = clEnqueueMarkerWithWaitList(comm->lanes[lane].queue, 0, NULL, &event);
    if (code != CL_SUCCESS) return code;
    code = clFlush(comm->lanes[lane].queue);
    if (code == CL_SUCCESS) code = ocl_comm_wait(comm, lane, event);
    clReleaseEvent(event);
    return code;
}

/* Combines `bytes` of all replicas, at `memories`, then over the processes. */
static cl_int combine(p2p_be_comm *comm, const p2p_op *op, size_t bytes, const char **what) {
    ocl_comm_combine(op, comm->memories, comm->count, bytes);
    if (!comm->processes) return CL_SUCCESS;
    *what = "the exchange with other processes";
    hold_all_but(comm, NULL); /* the others may be late, or lost */
    comm->exchange_failed =
        comm->processes->combine(comm->processes->context, op, comm->memories[0], bytes) != P2P_OK;
    release_all(comm);
    if (comm->exchange_failed) return CL_INVALID_OPERATION;
    for (int r = 1; r < comm->count; r++) memcpy(comm->memories[r], comm->memories[0], bytes);
    return CL_SUCCESS;
}

/* ---- In place ----------------------------------------------------------------------------------------- */

static cl_int unmap_all(p2p_be_comm *comm, const ocl_comm_job *job, const char **what, int *lane) {
    cl_int first = CL_SUCCESS;
    for (int r = 0; r < comm->count; r++) {
        cl_int code = CL_SUCCESS;
        if (!comm->memories[r]) continue;
        code = clEnqueueUnmapMemObject(comm->lanes[r].queue, job->parts[r].memory, comm->memories[r], 0, NULL,
                                       NULL);
        if (code == CL_SUCCESS) code = finish(comm, r);
        if (code == CL_SUCCESS || first != CL_SUCCESS) continue;
        first = code;
        *what = "clEnqueueUnmapMemObject";
        *lane = r;
    }
    return first;
}

static cl_int combine_in_place(p2p_be_comm *comm, const ocl_comm_job *job, size_t bytes, const char **what,
                               int *lane) {
    cl_int code = CL_SUCCESS;
    for (int r = 0; r < comm->count; r++) comm->memories[r] = NULL;
    for (int r = 0; r < comm->count && code == CL_SUCCESS; r++) {
        const ocl_comm_part *part = &job->parts[r];
        comm->memories[r] =
            clEnqueueMapBuffer(comm->lanes[r].queue, part->memory, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE,
                               part->offset, bytes, 0, NULL, NULL, &code);
        if (code == CL_SUCCESS) continue;
        comm->memories[r] = NULL;
        *what = "clEnqueueMapBuffer";
        *lane = r;
    }
    if (code == CL_SUCCESS) code = combine(comm, &job->op, bytes, what);
    const char *unmapping;
    int unmapped;
    const cl_int end = unmap_all(comm, job, &unmapping, &unmapped);
    if (code != CL_SUCCESS || end == CL_SUCCESS) return code;
    *what = unmapping;
    *lane = unmapped;
    return end;
}

/* ---- Through staging memory --------------------------------------------------------------------------- */

static size_t chunk_bytes(size_t bytes, size_t chunk) {
    const size_t first = chunk * OCL_COMM_CHUNK;
    return bytes - first < OCL_COMM_CHUNK ? bytes - first : OCL_COMM_CHUNK;
}

static unsigned char *slot_of(const ocl_comm_lane *lane, size_t chunk) {
    return lane->host + chunk % OCL_COMM_SLOTS * OCL_COMM_CHUNK;
}

/* Queues are in order: a chunk's slot is written from before the next chunk is read into it. */
static cl_int begin_reads(p2p_be_comm *comm, const ocl_comm_job *job, size_t bytes, size_t chunk,
                          cl_event *read, int *lane) {
    cl_int code = CL_SUCCESS;
    for (int r = 0; r < comm->count && code == CL_SUCCESS; r++) {
        const ocl_comm_lane *of = &comm->lanes[r];
        const ocl_comm_part *part = &job->parts[r];
        *lane = r;
        code = clEnqueueReadBuffer(of->queue, part->memory, CL_FALSE, part->offset + chunk * OCL_COMM_CHUNK,
                                   chunk_bytes(bytes, chunk), slot_of(of, chunk), 0, NULL, &read[r]);
        if (code == CL_SUCCESS) code = clFlush(of->queue);
    }
    return code;
}

static cl_int end_reads(const p2p_be_comm *comm, cl_event *read, int *lane) {
    cl_int first = CL_SUCCESS;
    for (int r = 0; r < comm->count; r++) {
        if (!read[r]) continue;
        const cl_int code = ocl_comm_wait(comm, r, read[r]);
        if (code != CL_SUCCESS && first == CL_SUCCESS) {
            first = code;
            *lane = r;
        }
        clReleaseEvent(read[r]);
        read[r] = NULL;
    }
    return first;
}

static cl_int write_chunk(p2p_be_comm *comm, const ocl_comm_job *job, size_t bytes, size_t chunk, int *lane) {
    cl_int code = CL_SUCCESS;
    for (int r = 0; r < comm->count && code == CL_SUCCESS; r++) {
        const ocl_comm_lane *of = &comm->lanes[r];
        const ocl_comm_part *part = &job->parts[r];
        *lane = r;
        code = clEnqueueWriteBuffer(of->queue, part->memory, CL_FALSE, part->offset + chunk * OCL_COMM_CHUNK,
                                    chunk_bytes(bytes, chunk), slot_of(of, chunk), 0, NULL, NULL);
    }
    return code;
}

static cl_int finish_lanes(p2p_be_comm *comm, int *lane) {
    cl_int first = CL_SUCCESS;
    for (int r = 0; r < comm->count; r++) {
        const cl_int code = finish(comm, r);
        if (code == CL_SUCCESS || first != CL_SUCCESS) continue;
        first = code;
        *lane = r;
    }
    return first;
}

static cl_int combine_chunk(p2p_be_comm *comm, const ocl_comm_job *job, size_t bytes, size_t chunk,
                            const char **what) {
    for (int r = 0; r < comm->count; r++) comm->memories[r] = slot_of(&comm->lanes[r], chunk);
    return combine(comm, &job->op, chunk_bytes(bytes, chunk), what);
}

static cl_int combine_staged(p2p_be_comm *comm, const ocl_comm_job *job, size_t bytes, const char **what,
                             int *lane) {
    const size_t chunks = (bytes + OCL_COMM_CHUNK - 1) / OCL_COMM_CHUNK;
    cl_event *read = comm->reads;
    *what = "clEnqueueReadBuffer";
    cl_int code = begin_reads(comm, job, bytes, 0, read, lane);
    for (size_t c = 0; c < chunks && code == CL_SUCCESS; c++) {
        *what = "clEnqueueReadBuffer";
        code = end_reads(comm, read, lane);
        if (code == CL_SUCCESS && c + 1 < chunks) code = begin_reads(comm, job, bytes, c + 1, read, lane);
        if (code == CL_SUCCESS) code = combine_chunk(comm, job, bytes, c, what);
        if (code != CL_SUCCESS) break;
        *what = "clEnqueueWriteBuffer";
        code = write_chunk(comm, job, bytes, c, lane);
    }
    int other = *lane;
    const cl_int ended = end_reads(comm, read, &other), finished = finish_lanes(comm, &other);
    if (code != CL_SUCCESS) return code;
    *lane = other;
    return ended != CL_SUCCESS ? ended : finished;
}

cl_int ocl_comm_transfer(p2p_be_comm *comm, const ocl_comm_job *job, const char **what, int *lane) {
    const size_t bytes = p2p_tensor_bytes(&job->op.t[0]);
    *lane = 0;
    return comm->lanes[0].in_host ? combine_in_place(comm, job, bytes, what, lane)
                                  : combine_staged(comm, job, bytes, what, lane);
}
