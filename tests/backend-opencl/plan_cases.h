/* Inputs of the planner tests: simulated targets, the operations of the full networks, and odd shapes. No
 * device, driver or ICD loader.
 */
#ifndef PLAN_CASES_H
#define PLAN_CASES_H

#include "conv/ocl_conv.h"
#include "ocl_planners.h"

/* ---- Simulated targets ----------------------------------------------------------------------------- */

enum {
    ALIGNMENT = 128, /* bytes, of the simulated product library's scratch memory */
    TARGETS = 15,
    GIB = 1 << 30,
};

/* A CPU with vectors of `width` floats and `units` processors; products by a simulated library. */
ocl_target cpu(int width, int units, ocl_bf16 bf16);
ocl_target gpu(int units, size_t group, size_t local_kib, bool subgroups);
/* CPUs and GPUs of many sizes, down to groups of one work-item and small buffers. */
void make_targets(ocl_target targets[TARGETS]);

/* ---- Operations ------------------------------------------------------------------------------------ */

enum { MOST_OPS = 1024 };

typedef struct {
    p2p_op op[MOST_OPS];
    int count;
} op_list;

extern const char *const odd[]; /* descriptors as text; the first two are convolutions */
extern op_list networks;        /* f32 */
extern op_list networks_bf16;   /* activations in bf16 */
extern op_list convolutions;    /* f32, with odd shapes */

/* Fills the lists. A setup function of cmocka. */
int read_operations(void **state);

/* Adds an operation that is not in the list yet. */
void add_op(op_list *ops, const p2p_op *op);
void add_odd(op_list *ops);
/* Adds the convolutions at another batch size. `alone`: with images = 1. */
void add_batch(op_list *ops, int batch, bool alone);

#endif
