/* The table of choices. See ocl_choice.h. */
#include "ocl_choice.h"

#include <stdlib.h>

p2p_op ocl_choice_key(const p2p_op *op) {
    p2p_op key = p2p_op_plain_convolution(op);
    if (key.kind == P2P_KIND_conv_bwd_filter) return key;
    p2p_tensor *w = &key.t[P2P_AT_conv_fwd_w];
    if (w->layout == P2P_LAYOUT_plain) return key;
    w->type = P2P_TYPE_f32;
    w->layout = P2P_LAYOUT_ckrs;
    w->block = OCL_LANES;
    return key;
}

_Static_assert((int)P2P_AT_conv_fwd_w == (int)P2P_AT_conv_bwd_data_w,
               "ocl_choice_key assumes equal positions");

static ocl_known_choice *find(const ocl_choices *choices, const p2p_op *key) {
    for (int i = 0; i < choices->count; i++)
        if (p2p_op_equal(&choices->known[i].op, key)) return &choices->known[i];
    return NULL;
}

bool ocl_choice_find(const ocl_choices *choices, const p2p_op *op, ocl_conv_algorithm *algorithm) {
    if (!choices || choices->count == 0) return false;
    const p2p_op key = ocl_choice_key(op);
    const ocl_known_choice *known = find(choices, &key);
    if (!known || known->algorithm.family == OCL_CONV_AUTO) return false;
    *algorithm = known->algorithm;
    return true;
}

static bool grow(ocl_choices *choices) {
    const int capacity = 2 * choices->capacity + 64;
    ocl_known_choice *grown = realloc(choices->known, (size_t)capacity * sizeof *grown);
    if (!grown) return false;
    choices->known = grown;
    choices->capacity = capacity;
    return true;
}

/* A place for one more choice, or NULL without memory. */
static ocl_known_choice *add(ocl_choices *choices) {
    if (choices->count == choices->capacity && !grow(choices)) return NULL;
    return &choices->known[choices->count++];
}

bool ocl_choice_remember(ocl_choices *choices, const p2p_op *op, const ocl_conv_algorithm *algorithm) {
    const p2p_op key = ocl_choice_key(op);
    ocl_known_choice *known = find(choices, &key);
    if (!known) known = add(choices);
    if (!known) return false;
    *known = (ocl_known_choice){key, *algorithm};
    return true;
}

void ocl_choices_release(ocl_choices *choices) {
    free(choices->known);
    *choices = (ocl_choices){0};
}
