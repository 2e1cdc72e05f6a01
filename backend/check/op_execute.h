/* Execution of one descriptor on one device with given contents, in memory surrounded by guards.
 *
 * All operands are in one buffer with guard bands between them, or, with `apart`, each in a buffer of its
 * own. The whole image is kept from before and after the run, and op_check.c checks every byte of it. Memory
 * that an operation must not read or must overwrite holds NaN.
 */
#ifndef OP_EXECUTE_H
#define OP_EXECUTE_H

#include "device/device.h"
#include "op_contents.h"

/* A device, and the memory that its operations use in turn. The memory grows as needed. */
typedef struct {
    p2p_device *device;
    p2p_buffer *memory, *scratch;
    /* Every operand has a buffer of its own that ends with the operand. A simulator that checks buffers then
     * reports reads beside operands, which no comparison of memory can find. */
    bool apart;
} op_bench;

p2p_status op_bench_open(const char *address, op_bench *bench);
/* Frees the memory and closes the device. */
void op_bench_close(op_bench *bench);
/* Frees the memory only. */
void op_bench_release(op_bench *bench);

/* The places of operands. All other bytes are guards. */
typedef struct {
    size_t offset[P2P_MAX_OPERANDS]; /* of present operands */
    size_t total;
} op_placement;

/* The part [first, first + bytes) of the image that one buffer holds. */
typedef struct {
    p2p_buffer *buffer;
    size_t first, bytes;
} op_piece;

/* Whether padding lanes of the tensor are zero on this device: in filters, and in activations of devices with
 * zero_padding. */
bool op_has_zero_padding(const op_bench *bench, const p2p_tensor *t);

/* A descriptor, its memory and its operation on a bench. */
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

/* Returns P2P_UNSUPPORTED if the device refuses the descriptor. */
p2p_status op_execution_create(op_bench *bench, const p2p_op *op, op_execution *execution);
void op_execution_destroy(op_execution *execution);
/* Composes `before` from the contents, runs once, and reads the image into `after`. Returns P2P_FAILED if the
 * operation wrote outside of its scratch memory. */
p2p_status op_execution_run(op_execution *execution, const op_contents *contents);

/* The repeated word of a guard. As f32 it is a NaN that no computation produces. */
enum { OP_GUARD_WORD_LOW = 0xCAFE, OP_GUARD_WORD_HIGH = 0xFFFF };

/* Runs the operation on the reference with every operand whole, in f64 and in a plain layout. results[i]: the
 * logical elements of each operand that the operation writes, NULL for others; the caller frees them with
 * op_results_free. */
p2p_status op_truth(op_bench *reference, const p2p_op *op, const op_contents *contents,
                    double *results[P2P_MAX_OPERANDS]);
void op_results_free(double *results[P2P_MAX_OPERANDS]);

#endif
