/* The plans of a training's session. */
#ifndef P2P_SETUP_PLANS_H
#define P2P_SETUP_PLANS_H

#include "data/dataset.h"
#include "pix2pix.h"
#include "setup_devices.h"

/* The type of a plan's pictures of the format: u8 or u16. */
p2p_type setup_picture_type(image_format format);

/* A plan over all replicas of a session. */
typedef struct {
    p2p_graph *larger, *smaller; /* by the replica's share; the latter NULL if all are equal */
    p2p_plan *plan;              /* NULL: none */
    int64_t images;              /* of all replicas of all processes */
} setup_plan;

typedef struct {
    p2p_session *session;
    const pix2pix *model;
    const pix2pix_graph_options *options; /* local_batch, global_batch and world are set for each share */
    int replicas;                         /* of this process */
    int world, first; /* of all processes, and the number of this one's first; world 0: this one has all */
    bool training;    /* a training step; else the generator alone, without a target */
} setup_planning;

/* Plan the graphs of all shares of `images`. After a failure, and when the session was destroyed,
 * setup_plan_free. */
p2p_status setup_plan_make(const setup_planning *planning, const char *name, int64_t images,
                           setup_plan *made);
void setup_plan_free(setup_plan *made);

/* What the plans of a training depend on. */
typedef struct {
    const pix2pix *model;
    pair_format format;
    int replicas;       /* of this process */
    int world, first;   /* as in setup_planning */
    int64_t batch;      /* of a replica */
    int64_t accumulate; /* batches of a replica per step */
    int64_t pairs;      /* per epoch */
    int64_t begun;      /* of the first epoch, those of earlier steps */
} setup_shape;

/* Images per step of all replicas of all processes. */
int64_t setup_global_batch(const setup_shape *shape);

enum { SETUP_STEP_PLANS = 3 };

typedef struct {
    setup_plan
        steps[SETUP_STEP_PLANS]; /* a step; an epoch's last step; the first epoch's, if it is another */
    setup_plan evaluate;         /* validation, a batch per replica; without a target or a collective */
} setup_plans;

/* Plan a training. The types of inputs match the format's bits. Call setup_plans_free() in any case, after
 * the session was destroyed. */
p2p_status setup_plans_make(p2p_session *session, const setup_shape *shape, setup_plans *plans);
void setup_plans_free(setup_plans *plans);
/* The plan of a step over this number of images; NULL if there is none. */
p2p_plan *setup_plans_find(const setup_plans *plans, int64_t images);

#endif
