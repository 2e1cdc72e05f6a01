/* Choices between ways of computing convolutions, made by measurement or imposed: a table in memory. */
#ifndef OCL_CHOICE_H
#define OCL_CHOICE_H

#include "ocl_way.h"

typedef struct {
    ocl_conv_way way;
    double seconds, default_seconds; /* of a run, and of a run by arithmetic's way; 0: not measured */
} ocl_choice;

typedef struct {
    p2p_op op;
    ocl_conv_way way;
} ocl_known_choice;

/* All zero is an empty table. */
struct ocl_choices {
    ocl_known_choice *known;
    int count, capacity;
};

/* What choices are made for: the plain convolution that `op` reduces to, with its filter as parameters are
 * stored. A filter derived for a way is another form of it, and no reason for another choice. */
p2p_op ocl_choice_key(const p2p_op *op);

/* The way chosen for what `op` reduces to. False where there is none, or it is arithmetic's. */
bool ocl_choice_find(const ocl_choices *choices, const p2p_op *op, ocl_conv_way *way);

/* Replaces the choice for what `op` reduces to. False when memory fails; then the table is unchanged. */
bool ocl_choice_remember(ocl_choices *choices, const p2p_op *op, const ocl_conv_way *way);

void ocl_choices_release(ocl_choices *choices);

#endif
