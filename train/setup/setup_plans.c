/* See setup_plans.h. */
#include "setup_plans.h"

p2p_type setup_picture_type(image_format format) {
    return format.bits == 16 ? P2P_TYPE_u16 : P2P_TYPE_u8;
}

static pix2pix_graph_options graph_options(const pix2pix *model, pair_format format, int64_t batch) {
    pix2pix_graph_options options = pix2pix_graph_options_for(model, batch);
    options.input_type = setup_picture_type(format.input);
    options.target_type = setup_picture_type(format.target);
    return options;
}

static p2p_status plan_training(p2p_session *session, const pix2pix *model,
                                const pix2pix_graph_options *options, const char *name, p2p_graph **graph,
                                p2p_plan **plan) {
    P2P_TRY(pix2pix_graph_train(model, options, graph));
    return p2p_session_plan(session, name, graph, plan);
}

p2p_status setup_plans_make(p2p_session *session, const pix2pix *model, pair_format format, int64_t batch,
                            int64_t pairs, setup_plans *plans) {
    *plans = (setup_plans){0};
    const pix2pix_graph_options whole = graph_options(model, format, batch);
    const pix2pix_graph_options tail = graph_options(model, format, pairs % batch);
    if (pairs >= batch)
        P2P_TRY(plan_training(session, model, &whole, "training step", &plans->step_graph, &plans->step));
    if (pairs % batch > 0)
        P2P_TRY(
            plan_training(session, model, &tail, "last step of an epoch", &plans->last_graph, &plans->last));
    P2P_TRY(pix2pix_graph_evaluate(model, &whole, false, &plans->evaluate_graph));
    return p2p_session_plan(session, "validation", &plans->evaluate_graph, &plans->evaluate);
}

void setup_plans_free(setup_plans *plans) {
    p2p_graph_destroy(plans->step_graph);
    p2p_graph_destroy(plans->last_graph);
    p2p_graph_destroy(plans->evaluate_graph);
    *plans = (setup_plans){0};
}
