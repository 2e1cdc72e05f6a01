/* Opening, closing and starting of collectives. See ocl_comm.h. */
#include "ocl_comm.h"

#include "device/ocl_error.h"
#include "device/ocl_queue.h"
#include "device/ocl_standstill.h"
#include "ocl_comm_internal.h"
#include "ocl_comm_sum.h"

#include <stdlib.h>

/* ---- Opening and closing ------------------------------------------------------------------------------ */

static bool all_in_host(p2p_be_device *const *devices, int count) {
    for (int i = 0; i < count; i++)
        if (!devices[i]->info.in_host_memory) return false;
    return true;
}

/* Memory from which the device transfers fast, mapped until the communicator is closed. */
static p2p_status create_staging(ocl_comm_lane *lane) {
    const size_t bytes = (size_t)OCL_COMM_SLOTS * OCL_COMM_CHUNK;
    cl_int code = CL_SUCCESS;
    lane->staging =
        clCreateBuffer(lane->device->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, bytes, NULL, &code);
    P2P_TRY(ocl_check(lane->device, code, "clCreateBuffer of memory for transfers"));
    lane->host = clEnqueueMapBuffer(lane->queue, lane->staging, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes,
                                    0, NULL, NULL, &code);
    return ocl_check(lane->device, code, "clEnqueueMapBuffer");
}

static p2p_status open_lane(ocl_comm_lane *lane, p2p_be_device *device, bool in_host) {
    cl_int code = CL_SUCCESS;
    P2P_TRY(ocl_check_alive(device));
    lane->device = device;
    lane->in_host = in_host;
    lane->queue = clCreateCommandQueue(device->context, device->id, 0, &code);
    P2P_TRY(ocl_check(device, code, "clCreateCommandQueue"));
    return in_host ? P2P_OK : create_staging(lane);
}

static p2p_status no_memory(int count) {
    return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator of %d devices", count);
}

static p2p_status allocate(p2p_be_comm *comm) {
    const size_t count = (size_t)comm->count;
    comm->lanes = calloc(count, sizeof *comm->lanes);
    comm->memories = calloc(count, sizeof(unsigned char *));
    comm->reads = calloc(count, sizeof(cl_event));
    comm->parts = calloc(OCL_COMM_JOBS * count, sizeof *comm->parts);
    if (!comm->lanes || !comm->memories || !comm->reads || !comm->parts) return no_memory(comm->count);
    for (int i = 0; i < OCL_COMM_JOBS; i++) comm->jobs[i].parts = &comm->parts[(size_t)i * count];
    return P2P_OK;
}

static p2p_status start_thread(p2p_be_comm *comm) {
    if (pthread_mutex_init(&comm->lock, NULL) != 0) return no_memory(comm->count);
    if (pthread_cond_init(&comm->changed, NULL) != 0) {
        pthread_mutex_destroy(&comm->lock);
        return no_memory(comm->count);
    }
    comm->has_lock = true;
    comm->has_thread = pthread_create(&comm->thread, NULL, ocl_comm_serve, comm) == 0;
    return comm->has_thread
               ? P2P_OK
               : ocl_host->fail(P2P_FAILED, "no thread for a communicator of %d devices", comm->count);
}

static p2p_status open_all(p2p_be_comm *comm, p2p_be_device *const *devices) {
    const bool in_host = all_in_host(devices, comm->count);
    P2P_TRY(allocate(comm));
    for (int i = 0; i < comm->count; i++) P2P_TRY(open_lane(&comm->lanes[i], devices[i], in_host));
    return start_thread(comm);
}

p2p_status ocl_comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                         const p2p_processes *processes, p2p_be_comm **comm) {
    *comm = NULL;
    if (!processes && (world != count || rank0 != 0))
        return ocl_host->fail(P2P_UNSUPPORTED, "opencl: replicas in several processes (%d of %d here)", count,
                              world);
    p2p_be_comm *opened = calloc(1, sizeof *opened);
    if (!opened) return no_memory(count);
    opened->count = count;
    opened->processes = processes;
    const p2p_status status = open_all(opened, devices);
    if (status != P2P_OK) {
        ocl_comm_close(opened);
        return status;
    }
    *comm = opened;
    return P2P_OK;
}

static void close_lane(ocl_comm_lane *lane) {
    if (!lane->device || lane->device->lost) return; /* some drivers hang then */
    if (lane->host) clEnqueueUnmapMemObject(lane->queue, lane->staging, lane->host, 0, NULL, NULL);
    if (lane->queue) clFinish(lane->queue);
    if (lane->staging) clReleaseMemObject(lane->staging);
    if (lane->queue) clReleaseCommandQueue(lane->queue);
}

/* The thread ends when it has ended all collectives. */
static void stop_thread(p2p_be_comm *comm) {
    if (!comm->has_thread) return;
    pthread_mutex_lock(&comm->lock);
    comm->stopping = true;
    pthread_cond_broadcast(&comm->changed);
    pthread_mutex_unlock(&comm->lock);
    pthread_join(comm->thread, NULL);
}

void ocl_comm_close(p2p_be_comm *comm) {
    stop_thread(comm);
    for (int i = 0; comm->lanes && i < comm->count; i++) close_lane(&comm->lanes[i]);
    if (comm->has_lock) {
        pthread_cond_destroy(&comm->changed);
        pthread_mutex_destroy(&comm->lock);
    }
    free(comm->lanes);
    free(comm->memories);
    free(comm->reads);
    free(comm->parts);
    free(comm);
}

p2p_status ocl_comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op) {
    const char *reason;
    (void)world;
    const bool whole = op->kind == P2P_KIND_all_reduce && op->reduction == P2P_REDUCE_MOMENTS;
    if (!ocl_comm_can(op, &reason))
        return ocl_host->fail(P2P_UNSUPPORTED, "opencl: %s can't be reduced", reason);
    if (!whole || all_in_host(devices, count) || p2p_tensor_bytes(&op->t[0]) <= OCL_COMM_CHUNK) return P2P_OK;
    return ocl_host->fail(P2P_UNSUPPORTED, "opencl: moments of more than %d bytes", (int)OCL_COMM_CHUNK);
}

double ocl_comm_waited(p2p_be_comm *comm) {
    double sum = 0;
    for (int i = 0; i < comm->count; i++) sum += ocl_standstill_seconds(comm->lanes[i].device);
    return sum / comm->count;
}

/* ---- Starting ----------------------------------------------------------------------------------------- */

/* Waits until a job is free. */
static ocl_comm_job *free_job(p2p_be_comm *comm) {
    pthread_mutex_lock(&comm->lock);
    while (comm->begun - comm->ended == OCL_COMM_JOBS) pthread_cond_wait(&comm->changed, &comm->lock);
    ocl_comm_job *job = &comm->jobs[comm->begun % OCL_COMM_JOBS];
    pthread_mutex_unlock(&comm->lock);
    return job;
}

static p2p_status fill_part(ocl_comm_lane *lane, const p2p_contribution *replica, ocl_comm_part *part) {
    cl_int code = CL_SUCCESS;
    *part = (ocl_comm_part){.memory = replica->binding.buffer->memory, .offset = replica->binding.offset};
    P2P_TRY(ocl_queue_event(lane->device, replica->after, &part->after));
    part->done = clCreateUserEvent(lane->device->context, &code);
    return ocl_check(lane->device, code, "clCreateUserEvent");
}

/* Gives every replica its ticket. */
static p2p_status prepare_job(p2p_be_comm *comm, ocl_comm_job *job, const p2p_op *op,
                              const p2p_contribution *replicas, p2p_ticket *done) {
    job->op = *op;
    for (int r = 0; r < comm->count; r++) job->parts[r] = (ocl_comm_part){0};
    for (int r = 0; r < comm->count; r++) P2P_TRY(fill_part(&comm->lanes[r], &replicas[r], &job->parts[r]));
    for (int r = 0; r < comm->count; r++)
        P2P_TRY(ocl_queue_adopt(comm->lanes[r].device, job->parts[r].done, &done[r]));
    return P2P_OK;
}

/* Ends the events of a job that is not started: some may have become tickets. */
static void clear_job(const p2p_be_comm *comm, const ocl_comm_job *job) {
    for (int r = 0; r < comm->count; r++) {
        const ocl_comm_part *part = &job->parts[r];
        if (part->after) clReleaseEvent(part->after);
        if (!part->done) continue;
        clSetUserEventStatus(part->done, CL_COMPLETE);
        clReleaseEvent(part->done);
    }
}

static p2p_status start(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                        p2p_ticket *done) {
    for (int r = 0; r < comm->count; r++) P2P_TRY(ocl_check_alive(comm->lanes[r].device));
    ocl_comm_job *job = free_job(comm);
    const p2p_status status = prepare_job(comm, job, op, replicas, done);
    if (status != P2P_OK) {
        clear_job(comm, job);
        return status;
    }
    pthread_mutex_lock(&comm->lock);
    comm->begun++;
    pthread_cond_broadcast(&comm->changed);
    pthread_mutex_unlock(&comm->lock);
    return P2P_OK;
}

p2p_status ocl_comm_all_reduce(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                               p2p_ticket *done) {
    return start(comm, op, replicas, done);
}

p2p_status ocl_comm_broadcast(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                              p2p_ticket *done) {
    if (op->root < (comm->processes ? 1 : comm->count)) return start(comm, op, replicas, done);
    return ocl_host->fail(P2P_INVALID, "opencl: replica %lld can't broadcast to %d replicas",
                          (long long)op->root, comm->count);
}
