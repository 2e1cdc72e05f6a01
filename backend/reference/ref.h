/* What the files of the reference backend share: its objects, and the hand-over from ref.c, which moves
 * operands between their storage and plain arrays of doubles, to ref_ops.c and ref_norm.c, which compute.
 */
#ifndef P2P_REF_H
#define P2P_REF_H

#include "p2p_backend.h"

struct p2p_be_device {
    int index;
    p2p_ticket submitted; /* the last ticket given out */
};

struct p2p_be_buffer {
    size_t size;
    unsigned char *bytes;
};

/* One operation in logical terms. values[i] holds operand i's logical elements in (n, c, h, w) order, NULL
 * when it is absent. An output that accumulates holds its old values, any other output -0.0, the number that
 * adds nothing: so kernels add to outputs, and assign only those that never accumulate (statistics, sums) or
 * are updated in place. */
typedef struct {
    const p2p_op *op;
    double *values[P2P_MAX_OPERANDS];
    double *work; /* convolutions: as many elements as the output, content undefined */
    const p2p_step_block *step;
} p2p_ref_run;

typedef void (*p2p_ref_kernel)(const p2p_ref_run *run);

/* One kernel per kind; NULL for collectives. The normalisations' are in ref_norm.c. */
extern const p2p_ref_kernel p2p_ref_kernels[P2P_KIND_COUNT];
void p2p_ref_norm_stats(const p2p_ref_run *run);
void p2p_ref_norm_apply(const p2p_ref_run *run);
void p2p_ref_norm_bwd_stats(const p2p_ref_run *run);
void p2p_ref_norm_bwd_apply(const p2p_ref_run *run);

/* The dropout factor of one element, 0 or 1/(1-p); 1 when the operation drops nothing. */
double p2p_ref_mask(const p2p_ref_run *run, int64_t n, int64_t c, int64_t h, int64_t w);

/* Memory of a bound tensor, after a check that it lies inside its buffer; `what` names it in the message. */
p2p_status p2p_ref_locate(const p2p_tensor *tensor, const char *what, p2p_binding binding, void **raw);
/* Store logical elements; zeroes the padding lanes of filters and vectors. */
void p2p_ref_store(const p2p_tensor *tensor, const double *values, void *raw);

/* ref_comm.c */
p2p_status p2p_ref_comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                             p2p_be_comm **comm);
void p2p_ref_comm_close(p2p_be_comm *comm);
p2p_status p2p_ref_all_reduce(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                              p2p_ticket *done);
p2p_status p2p_ref_broadcast(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                             p2p_ticket *done);

extern const p2p_host *p2p_ref_host;

#endif
