/* Runs one operation on the reference backend for test_ref.c.
 *
 * Each operand gets a buffer of its own, filled with NaN wherever the operation must not read: outputs
 * that are overwritten, padding lanes, channels outside a range, memory around the tensor, scratch memory.
 * Memory that the operation must not write must keep its bytes.
 */
#ifndef P2P_TEST_REF_RUN_H
#define P2P_TEST_REF_RUN_H

#include "p2p_backend.h"

extern const p2p_module *ref_module;
extern p2p_be_device *ref_device;
extern bool ref_kind_was_run[P2P_KIND_COUNT];

/* cmocka fixtures around all tests. */
int ref_open_device(void **state);
int ref_close_device(void **state);

/* A descriptor with its operands' logical elements in (n, c, h, w) order, owned. */
typedef struct {
    p2p_op op;
    double *v[P2P_MAX_OPERANDS];
    p2p_step_block *step; /* seed 123, 456; step 7; sample keys 1000, 1003, ... of 16 images */
} run;

/* Operands hold small integers from -4 to 4. Fails the test if the descriptor is not valid. */
run run_of(const p2p_op *op);
run run_text(const char *text);
void run_free(run *r);
/* Runs r->op on r->v and reads its outputs back into r->v. */
void run_go(run *r);

double run_at(const run *r, int operand, int64_t n, int64_t c, int64_t h, int64_t w);
/* Fills an operand with normally distributed numbers. */
void run_normal(run *r, int operand, double mean, double deviation);
/* A random number in [0, bound), the same in every run of the program. */
int64_t run_below(int64_t bound);
/* |found - expected| <= tolerance * (1 + |expected|). */
void run_assert_near(double found, double expected, double tolerance);

#endif
