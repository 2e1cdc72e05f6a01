/* See setup_plans.h. */
#include "setup_plans.h"

_Static_assert((int)SETTINGS_MAX_SHARES == (int)PIX2PIX_MOST_PARTS,
               "the option allows what a graph can have");

p2p_type setup_picture_type(image_format format) {
    return format.bits == 16 ? P2P_TYPE_u16 : P2P_TYPE_u8;
}

/* ---- A plan over all replicas ------------------------------------------------------------------------- */

static int world_of(int replicas, int world) {
    return world > 0 ? world : replicas;
}

static p2p_status build(const setup_planning *planning, int64_t images, int replica, p2p_graph **graph) {
    pix2pix_graph_options options = *planning->options;
    options.world = world_of(planning->replicas, planning->world);
    options.local_batch = pix2pix_share(images, options.world, planning->first + replica);
    options.global_batch = images;
    return planning->training ? pix2pix_graph_train(planning->model, &options, graph)
                              : pix2pix_graph_evaluate(planning->model, &options, false, graph);
}

p2p_status setup_plan_make(const setup_planning *planning, const char *name, int64_t images,
                           setup_plan *made) {
    const int replicas = planning->replicas, world = world_of(replicas, planning->world);
    const int larger = (int)(images % world) - planning->first; /* of this process */
    p2p_graph *graphs[SETUP_MOST_DEVICES];
    *made = (setup_plan){.images = images};
    P2P_TRY(build(planning, images, 0, &made->larger));
    if (larger > 0 && larger < replicas) P2P_TRY(build(planning, images, replicas - 1, &made->smaller));
    for (int r = 0; r < replicas; r++)
        graphs[r] = !made->smaller || r < larger ? made->larger : made->smaller;
    return p2p_session_plan(planning->session, name, graphs, &made->plan);
}

void setup_plan_free(setup_plan *made) {
    p2p_graph_destroy(made->larger);
    p2p_graph_destroy(made->smaller);
    *made = (setup_plan){0};
}

/* ---- A training --------------------------------------------------------------------------------------- */

int64_t setup_global_batch(const setup_shape *shape) {
    return world_of(shape->replicas, shape->world) * shape->batch * shape->accumulate;
}

static p2p_status plan_steps(setup_planning *planning, const setup_shape *shape, setup_plans *plans) {
    const int64_t whole = setup_global_batch(shape), last = shape->pairs % whole;
    const int64_t left = shape->pairs - shape->begun, first_last = left % whole;
    planning->training = true;
    if (shape->pairs >= whole) P2P_TRY(setup_plan_make(planning, "training step", whole, &plans->steps[0]));
    if (last > 0) P2P_TRY(setup_plan_make(planning, "last step of an epoch", last, &plans->steps[1]));
    if (first_last == 0 || first_last == last) return P2P_OK;
    return setup_plan_make(planning, "last step of the resumed epoch", first_last, &plans->steps[2]);
}

p2p_status setup_plans_make(p2p_session *session, const setup_shape *shape, setup_plans *plans) {
    pix2pix_graph_options options = pix2pix_graph_options_for(shape->model, shape->batch);
    setup_planning planning = {.session = session,
                               .model = shape->model,
                               .options = &options,
                               .replicas = shape->replicas,
                               .world = shape->world,
                               .first = shape->first};
    *plans = (setup_plans){0};
    options.input_type = setup_picture_type(shape->format.input);
    options.target_type = setup_picture_type(shape->format.target);
    options.parts = (int)shape->accumulate;
    P2P_TRY(plan_steps(&planning, shape, plans));
    planning.training = false;
    return setup_plan_make(&planning, "validation", world_of(shape->replicas, shape->world) * shape->batch,
                           &plans->evaluate);
}

void setup_plans_free(setup_plans *plans) {
    for (int i = 0; i < SETUP_STEP_PLANS; i++) setup_plan_free(&plans->steps[i]);
    setup_plan_free(&plans->evaluate);
    *plans = (setup_plans){0};
}

p2p_plan *setup_plans_find(const setup_plans *plans, int64_t images) {
    for (int i = 0; i < SETUP_STEP_PLANS; i++)
        if (plans->steps[i].plan && plans->steps[i].images == images) return plans->steps[i].plan;
    return NULL;
}
