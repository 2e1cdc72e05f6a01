/* Private to reference/: the backend's structures, and the interface between ref.c, which converts operands
 * to and from plain arrays of doubles, and the kernels in ref_ops.c and ref_norm.c.
 */
#ifndef P2P_REF_H
#define P2P_REF_H

#include "p2p_backend.h"

enum { REF_ALIGNMENT = 8 }; /* of offsets, in bytes */

struct p2p_be_device {
    int index;
    p2p_ticket submitted; /* the last ticket returned */
};

struct p2p_be_buffer {
    size_t size;
    unsigned char *bytes;
};

/* A row of a pair of planes under one element of a filter, in the roles of the forward convolution: offsets
 * of its first elements in their planes, and its length. Elements of y follow each other, those of x at
 * distances of the stride. */
typedef struct {
    int64_t x, w, y, count;
} p2p_ref_row;

/* An operation on logical elements. values[i] has operand i's elements in (n, c, h, w) order; NULL if it is
 * absent. On entry an output that accumulates has its old values, and any other output -0.0, the neutral
 * element of addition. Kernels therefore add to outputs. They assign only outputs that cannot accumulate
 * (statistics, sums) or are updated in place. */
typedef struct {
    const p2p_op *op;
    double *values[P2P_MAX_OPERANDS];
    double *work;      /* convolutions: as many elements as the output, undefined on entry */
    p2p_ref_row *rows; /* convolutions: those of p2p_ref_rows */
    int64_t row_count;
    const p2p_step_block *step;
} p2p_ref_run;

typedef void (*p2p_ref_kernel)(const p2p_ref_run *run);

/* The kernel of each kind; NULL for collectives. Those of normalisations are in ref_norm.c. */
extern const p2p_ref_kernel p2p_ref_kernels[P2P_KIND_COUNT];
void p2p_ref_norm_stats(const p2p_ref_run *run);
void p2p_ref_norm_apply(const p2p_ref_run *run);
void p2p_ref_norm_bwd_stats(const p2p_ref_run *run);
void p2p_ref_norm_bwd_apply(const p2p_ref_run *run);

/* The number of rows of a convolution, which are written to rows, unless it is NULL; 0 for other kinds. Their
 * order is that of all sums. */
int64_t p2p_ref_rows(const p2p_op *op, p2p_ref_row *rows);

/* ---- ref_operand.c ---- */

/* The dropout factor of an element: 0 or 1/(1-p); 1 if the operation has no dropout. */
double p2p_ref_mask(const p2p_ref_run *run, int64_t n, int64_t c, int64_t h, int64_t w);

/* Sets *memory to [offset, offset + bytes) of the bound buffer. P2P_INVALID if there is no buffer or it is
 * shorter; `what` names the range in the message. */
p2p_status p2p_ref_locate_bytes(p2p_binding at, size_t bytes, const char *what, void **memory);
/* Sets *raw to the memory of a bound tensor. P2P_INVALID if it is not aligned or not within its buffer;
 * `what` names it in the message. */
p2p_status p2p_ref_locate(const p2p_tensor *tensor, const char *what, p2p_binding binding, void **raw);
/* Stores logical elements, and zeros in the padding lanes of filters and vectors. */
void p2p_ref_store(const p2p_tensor *tensor, const double *values, void *raw);

/* ref_comm.c */
p2p_status p2p_ref_comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                             const p2p_processes *processes, p2p_be_comm **comm);
void p2p_ref_comm_close(p2p_be_comm *comm);
p2p_status p2p_ref_comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op);
p2p_status p2p_ref_all_reduce(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                              p2p_ticket *done);
p2p_status p2p_ref_broadcast(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                             p2p_ticket *done);

extern const p2p_host *p2p_ref_host;

#endif
