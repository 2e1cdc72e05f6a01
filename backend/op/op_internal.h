/* Private to op/: the table of a descriptor's numeric fields, over which comparison, printing, parsing and
 * range checks loop.
 */
#ifndef P2P_OP_INTERNAL_H
#define P2P_OP_INTERNAL_H

#include "p2p_op.h"

/* P2P_FIELD_stride and so on; integer fields come first. */
typedef enum {
#define X(name, default_value) P2P_FIELD_##name,
    P2P_OP_INT_LIST(X) P2P_OP_REAL_LIST(X)
#undef X
        P2P_FIELD_COUNT
} p2p_field;

typedef struct {
    const char *name;
    size_t offset;
    bool is_real;
    int64_t default_value; /* what zero means */
} p2p_field_info;

extern const p2p_field_info p2p_field_table[P2P_FIELD_COUNT];

int64_t *p2p_op_int(p2p_op *op, p2p_field field);
double *p2p_op_real(p2p_op *op, p2p_field field);
/* The value of a field, with the default substituted for zero. */
int64_t p2p_op_int_value(const p2p_op *op, p2p_field field);
double p2p_op_real_value(const p2p_op *op, p2p_field field);

/* Reads a decimal number with an optional minus sign at *text and advances *text past it. Returns false, and
 * changes nothing, if there is none or it does not fit int64_t. */
bool p2p_scan_int64(const char **text, int64_t *value);

#endif
