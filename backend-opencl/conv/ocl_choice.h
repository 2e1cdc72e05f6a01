/* The choices of how to compute convolutions, measured or imposed: a table in memory. */
#ifndef OCL_CHOICE_H
#define OCL_CHOICE_H

#include "ocl_algorithm.h"

typedef struct {
    ocl_conv_algorithm algorithm;
    double seconds, default_seconds; /* of a run, and of a run by the default choice; 0: not measured */
} ocl_choice;

typedef struct {
    p2p_op op;
    ocl_conv_algorithm algorithm;
} ocl_known_choice;

/* All zero is an empty table. */
struct ocl_choices {
    ocl_known_choice *known;
    int count, capacity;
};

/* The key of a choice: the plain convolution that `op` reduces to, with its filter in the layout of
 * parameters. A filter derived for an algorithm is another layout of it and does not change the key. */
p2p_op ocl_choice_key(const p2p_op *op);

/* Finds the algorithm chosen for the key of `op`. Returns false if there is none, or if it is the default
 * choice. */
bool ocl_choice_find(const ocl_choices *choices, const p2p_op *op, ocl_conv_algorithm *algorithm);

/* Sets the choice for the key of `op`. Returns false if memory is exhausted; the table is then unchanged. */
bool ocl_choice_remember(ocl_choices *choices, const p2p_op *op, const ocl_conv_algorithm *algorithm);

void ocl_choices_release(ocl_choices *choices);

#endif
