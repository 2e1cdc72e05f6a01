/* See forked_processes.h. A transfer is in pieces: each process writes its own into the shared memory, all
 * wait for each other, and each reads what it needs. Sums are in float64, in the order of processes.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "forked_processes.h"

#include "p2p_moments.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 1 << 16 };

typedef struct {
    pthread_barrier_t barrier;
    unsigned char pieces[FORKED_MOST][PIECE];
} shared_memory;

/* The context of the functions. */
typedef struct {
    shared_memory *shared;
    int size, rank;
} member;

void *forked_memory(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    return memory;
}

static p2p_status gather(void *context, const void *mine, size_t size, void *all) {
    const member *m = context;
    for (size_t done = 0; done < size; done += PIECE) {
        const size_t piece = size - done < PIECE ? size - done : PIECE;
        memcpy(m->shared->pieces[m->rank], (const char *)mine + done, piece);
        pthread_barrier_wait(&m->shared->barrier);
        for (int i = 0; i < m->size; i++)
            memcpy((char *)all + (size_t)i * size + done, m->shared->pieces[i], piece);
        pthread_barrier_wait(&m->shared->barrier);
    }
    return P2P_OK;
}

static p2p_status share(void *context, void *bytes, size_t size) {
    const member *m = context;
    char *all = malloc((size_t)m->size * size);
    if (!all) abort();
    gather(context, bytes, size, all);
    memcpy(bytes, all, size);
    free(all);
    return P2P_OK;
}

static double number_at(const p2p_op *op, const unsigned char *tensor, int64_t index) {
    const p2p_tensor one = p2p_tensor_flat(op->t[0].type, 1);
    double value;
    p2p_tensor_unpack(&one, tensor + (size_t)index * p2p_type_bytes(one.type), &value, P2P_TYPE_f64);
    return value;
}

static void set_number(const p2p_op *op, unsigned char *tensor, int64_t index, double value) {
    const p2p_tensor one = p2p_tensor_flat(op->t[0].type, 1);
    p2p_tensor_pack(&one, &value, P2P_TYPE_f64, tensor + (size_t)index * p2p_type_bytes(one.type));
}

static void unite(const member *m, const p2p_op *op, const unsigned char *all, unsigned char *to,
                  size_t bytes) {
    const p2p_tensor *y = &op->t[0];
    for (int64_t g = 0; g < y->n; g++)
        for (int64_t c = 0; c < y->w; c++) {
            int64_t at[3];
            p2p_moments sum = {0};
            for (int row = 0; row < 3; row++) at[row] = p2p_tensor_index(y, g, row, 0, c);
            for (int i = 0; i < m->size; i++) {
                const unsigned char *one = all + (size_t)i * bytes;
                sum =
                    p2p_moments_unite(sum, (p2p_moments){number_at(op, one, at[0]), number_at(op, one, at[1]),
                                                         number_at(op, one, at[2])});
            }
            set_number(op, to, at[0], sum.count);
            set_number(op, to, at[1], sum.mean);
            set_number(op, to, at[2], sum.m2);
        }
}

static void add(const member *m, const p2p_op *op, const unsigned char *all, unsigned char *to,
                size_t bytes) {
    for (int64_t e = 0; e < (int64_t)(bytes / p2p_type_bytes(op->t[0].type)); e++) {
        double sum = 0;
        for (int i = 0; i < m->size; i++) sum += number_at(op, all + (size_t)i * bytes, e);
        set_number(op, to, e, sum);
    }
}

static p2p_status combine(void *context, const p2p_op *op, void *stored, size_t bytes) {
    const member *m = context;
    if (op->kind == P2P_KIND_broadcast) return share(context, stored, bytes);
    unsigned char *all = malloc((size_t)m->size * bytes);
    if (!all) abort();
    gather(context, stored, bytes, all);
    if (op->reduction == P2P_REDUCE_MOMENTS)
        unite(m, op, all, stored, bytes);
    else
        add(m, op, all, stored, bytes);
    free(all);
    return P2P_OK;
}

int forked_run(int size, int (*body)(const p2p_processes *processes, void *context), void *context) {
    pthread_barrierattr_t attributes;
    pid_t children[FORKED_MOST];
    int failed = 0;
    shared_memory *shared = forked_memory(sizeof *shared);
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->barrier, &attributes, (unsigned)size);
    for (int i = 0; i < size; i++) {
        member own = {shared, size, i};
        const p2p_processes processes = {
            .size = size, .rank = i, .share = share, .gather = gather, .combine = combine, .context = &own};
        children[i] = fork();
        if (children[i] == 0) _exit(body(&processes, context));
    }
    for (int i = 0; i < size; i++) {
        int status = 1;
        failed += waitpid(children[i], &status, 0) != children[i] || status != 0;
    }
    return failed;
}
