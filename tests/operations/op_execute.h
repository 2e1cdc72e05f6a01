/* Running one descriptor on one device with given contents, in memory surrounded by guards.
 *
 * All operands lie in one buffer with guard bands between them, whose whole image is kept before and after,
 * so that op_check.c can look at every byte; or, on a bench that keeps them apart, in one buffer each. What
 * an operation must not read or must overwrite is NaN.
 */
#ifndef OP_EXECUTE_H
#define OP_EXECUTE_H

#include "device/device.h"
#include "op_contents.h"

/* A device and its memory for one operation after the other; grows as needed. */
typedef struct {
    p2p_device *device;
    p2p_buffer *memory, *scratch;
    /* Every operand in a buffer of its own that ends where the operand does: a simulator that watches buffers
     * then sees reads beside operands, which leave no trace otherwise. */
    bool apart;
} op_bench;

p2p_status op_bench_open(const char *address, op_bench *bench);
void op_bench_close(op_bench *bench);

/* Where operands lie; everything outside of them is guard. */
typedef struct {
    size_t offset[P2P_MAX_OPERANDS]; /* of present operands */
    size_t total;
} op_placement;

/* The part [first, first + bytes) of the image that lies in one buffer. */
typedef struct {
    p2p_buffer *buffer;
    size_t first, bytes;
} op_piece;

/* One descriptor prepared on a bench. */
typedef struct {
    op_bench *bench;
    p2p_op op;
    p2p_query query;
    op_placement placement;
    op_piece pieces[P2P_MAX_OPERANDS];
    int piece_count;
    size_t scratch_offset;
    p2p_operation *operation;
    unsigned char *before, *after; /* images of placement.total bytes */
} op_execution;

/* P2P_UNSUPPORTED when the device refuses the descriptor. */
p2p_status op_execution_create(op_bench *bench, const p2p_op *op, op_execution *execution);
void op_execution_destroy(op_execution *execution);
/* Compose `before` from the contents, run once, and read the image back into `after`. P2P_FAILED when the
 * operation wrote beside its scratch memory. */
p2p_status op_execution_run(op_execution *execution, const op_contents *contents);

/* What a guard consists of, repeated. As f32 a NaN that no computation produces. */
enum { OP_GUARD_WORD_LOW = 0xCAFE, OP_GUARD_WORD_HIGH = 0xFFFF };

/* The truth: the operation on the reference with every number in f64, plain and whole. results[i]: logical
 * elements of every operand that the operation writes, NULL for others; the caller frees them with
 * op_results_free. */
p2p_status op_truth(op_bench *reference, const p2p_op *op, const op_contents *contents,
                    double *results[P2P_MAX_OPERANDS]);
void op_results_free(double *results[P2P_MAX_OPERANDS]);

#endif
