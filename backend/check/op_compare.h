/* The comparison of one descriptor on a device with the reference.
 *
 * It runs with exact contents if the kind allows them, and with real ones twice, which must give equal bits.
 * The memory around operands is checked, too (op_check.h).
 */
#ifndef OP_COMPARE_H
#define OP_COMPARE_H

#include "op_execute.h"

/* The descriptor with its filter in the storage that the answer requests; `op` if it requests none. */
p2p_op op_with_requested_filter(const p2p_op *op, const p2p_query *query);
/* The same if the device reads the filter in that storage only, else `op`. */
p2p_op op_as_required(p2p_device *device, const p2p_op *op);

/* Compares a valid descriptor, which is op_as_required. P2P_UNSUPPORTED if the device refuses it, P2P_FAILED
 * with the first wrong byte or element as message. *query receives the device's answer ({0} if it refuses),
 * *used the largest ratio of error to bound with real contents. */
p2p_status op_compare(op_bench *device, op_bench *reference, const p2p_op *op, uint64_t seed,
                      p2p_query *query, double *used);

#endif
