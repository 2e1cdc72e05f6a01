/* The plans of a training's session. */
#ifndef P2P_SETUP_PLANS_H
#define P2P_SETUP_PLANS_H

#include "data/dataset.h"
#include "pix2pix.h"

/* The type of a plan's pictures of the format: u8 or u16. */
p2p_type setup_picture_type(image_format format);

typedef struct {
    p2p_graph *step_graph, *last_graph, *evaluate_graph;
    p2p_plan *step;     /* NULL: there are fewer pairs than a batch */
    p2p_plan *last;     /* of an epoch's tail batch; NULL: all batches are equal */
    p2p_plan *evaluate; /* validation, in the batch of a step; without a target */
} setup_plans;

/* Plan a training with batches of `batch` of `pairs` pairs. The types of inputs match the format's bits. Call
 * setup_plans_free() in any case, after the session was destroyed. */
p2p_status setup_plans_make(p2p_session *session, const pix2pix *model, pair_format format, int64_t batch,
                            int64_t pairs, setup_plans *plans);
void setup_plans_free(setup_plans *plans);

#endif
