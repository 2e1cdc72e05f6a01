/* Collectives between the reference backend's devices: sums and moments in double precision, always in
 * replica order, so that results do not depend on timing. Other processes are reached through the core's
 * table.
 */
#include "ref.h"

#include <stdlib.h>

struct p2p_be_comm {
    int count;
    const p2p_processes *processes; /* NULL: none but this one */
    p2p_be_device **devices;
    double *total, *part; /* `capacity` elements each: those of the largest tensor so far */
    int64_t capacity;
};

void p2p_ref_comm_close(p2p_be_comm *comm) {
    if (comm == NULL) return;
    free(comm->devices);
    free(comm->total);
    free(comm->part);
    free(comm);
}

p2p_status p2p_ref_comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                             const p2p_processes *processes, p2p_be_comm **comm) {
    if (!processes && (world != count || rank0 != 0))
        return p2p_ref_host->fail(P2P_UNSUPPORTED, "reference: replicas in several processes (%d of %d here)",
                                  count, world);
    p2p_be_comm *opened = calloc(1, sizeof *opened);
    if (opened != NULL) opened->devices = calloc((size_t)count, sizeof(p2p_be_device *));
    if (opened == NULL || opened->devices == NULL) {
        p2p_ref_comm_close(opened);
        return p2p_ref_host->fail(P2P_OUT_OF_MEMORY, "reference: no memory for a communicator of %d", count);
    }
    opened->count = count;
    opened->processes = processes;
    for (int i = 0; i < count; i++) opened->devices[i] = devices[i];
    *comm = opened;
    return P2P_OK;
}

static p2p_status grow(p2p_be_comm *comm, int64_t elements) {
    if (elements <= comm->capacity) return P2P_OK;
    free(comm->total);
    free(comm->part);
    comm->capacity = 0;
    comm->total = calloc((size_t)elements, sizeof(double));
    comm->part = calloc((size_t)elements, sizeof(double));
    if (comm->total == NULL || comm->part == NULL)
        return p2p_ref_host->fail(P2P_OUT_OF_MEMORY, "reference: no memory to reduce %lld elements",
                                  (long long)elements);
    comm->capacity = elements;
    return P2P_OK;
}

/* Checks, before anything is written, that every contribution is complete and within its buffer. */
static p2p_status check(const p2p_be_comm *comm, const p2p_tensor *y, const p2p_contribution *replicas) {
    for (int i = 0; i < comm->count; i++) {
        void *raw = NULL;
        P2P_TRY(p2p_ref_locate(y, "a replica's tensor", replicas[i].binding, &raw));
        if (replicas[i].after > comm->devices[i]->submitted)
            return p2p_ref_host->fail(P2P_INVALID, "reference:%d: ticket %llu was never submitted",
                                      comm->devices[i]->index, (unsigned long long)replicas[i].after);
    }
    return P2P_OK;
}

/* It has every collective. */
p2p_status p2p_ref_comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op) {
    (void)devices, (void)count, (void)world, (void)op;
    return P2P_OK;
}

static void *memory_of(const p2p_contribution *replica) {
    return replica->binding.buffer->bytes + replica->binding.offset;
}

/* Chan's formula: the moments (count, mean, sum of squared deviations) of the union of two samples. An empty
 * sample has no mean and does not change the other. */
static void combine(double *a, const double *b, int64_t stride) {
    double count_a = a[0], count_b = b[0], count = count_a + count_b;
    if (count_b == 0) return;
    if (count_a == 0) {
        for (int row = 0; row < 3; row++) a[row * stride] = b[row * stride];
        return;
    }
    double delta = b[stride] - a[stride];
    a[0] = count;
    a[stride] += delta * count_b / count;
    a[2 * stride] += b[2 * stride] + delta * delta * count_a * count_b / count;
}

/* Reduces part into total. */
static void reduce(const p2p_op *op, double *total, const double *part) {
    const p2p_tensor *y = &op->t[P2P_AT_all_reduce_y];
    if (op->reduction == P2P_REDUCE_SUM) {
        for (int64_t e = 0, count = p2p_tensor_elements(y); e < count; e++) total[e] += part[e];
        return;
    }
    for (int64_t g = 0; g < y->n; g++)
        for (int64_t c = 0; c < y->w; c++) combine(&total[g * 3 * y->w + c], &part[g * 3 * y->w + c], y->w);
}

/* Combines the total with those of the other processes, and writes it to every replica. */
static p2p_status spread(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                         p2p_ticket *done) {
    const p2p_tensor *y = &op->t[0];
    const p2p_processes *others = comm->processes;
    p2p_op plain = *op;
    plain.t[0] = p2p_tensor_activation(P2P_TYPE_f64, y->n, y->c, y->h, y->w); /* as `total` has it */
    if (others) P2P_TRY(others->combine(others->context, &plain, comm->total, p2p_tensor_bytes(&plain.t[0])));
    for (int i = 0; i < comm->count; i++) {
        p2p_ref_store(y, comm->total, memory_of(&replicas[i]));
        done[i] = ++comm->devices[i]->submitted;
    }
    return P2P_OK;
}

p2p_status p2p_ref_all_reduce(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                              p2p_ticket *done) {
    const p2p_tensor *y = &op->t[P2P_AT_all_reduce_y];
    P2P_TRY(check(comm, y, replicas));
    P2P_TRY(grow(comm, p2p_tensor_elements(y)));
    p2p_tensor_unpack(y, memory_of(&replicas[0]), comm->total, P2P_TYPE_f64);
    for (int i = 1; i < comm->count; i++) {
        p2p_tensor_unpack(y, memory_of(&replicas[i]), comm->part, P2P_TYPE_f64);
        reduce(op, comm->total, comm->part);
    }
    return spread(comm, op, replicas, done);
}

/* Every type converts to double and back exactly. */
p2p_status p2p_ref_broadcast(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                             p2p_ticket *done) {
    const p2p_tensor *y = &op->t[P2P_AT_broadcast_y];
    if (op->root >= (comm->processes ? 1 : comm->count))
        return p2p_ref_host->fail(P2P_INVALID, "reference: replica %lld can't broadcast to %d replicas",
                                  (long long)op->root, comm->count);
    P2P_TRY(check(comm, y, replicas));
    P2P_TRY(grow(comm, p2p_tensor_elements(y)));
    p2p_tensor_unpack(y, memory_of(&replicas[op->root]), comm->total, P2P_TYPE_f64);
    return spread(comm, op, replicas, done);
}
