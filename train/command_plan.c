/* `p2p plan`: the operations and the memory of a step on a device. None of the memory is allocated. */
#include "command.h"
#include "setup/setup.h"

static p2p_status make_graph(const settings *all, const pix2pix *model, p2p_graph **graph) {
    pix2pix_graph_options options = pix2pix_graph_options_for(model, all->batch);
    if (setup_mode_is_train(all)) return pix2pix_graph_train(model, &options, graph);
    return pix2pix_graph_evaluate(model, &options, false, graph);
}

static p2p_status print_plan(const settings *all, const pix2pix *model, p2p_device *device) {
    p2p_session *session = NULL;
    p2p_graph *graph = NULL;
    p2p_plan *plan;
    const setup_tuning never_measured = {.automatic = P2P_TUNE_STORED, .on = P2P_TUNE_STORED};
    p2p_status status = setup_session_create(all, device, &never_measured, &session);
    if (status == P2P_OK) status = make_graph(all, model, &graph);
    if (status == P2P_OK) status = p2p_session_plan(session, all->mode, &graph, &plan);
    if (status == P2P_OK) status = p2p_plan_print(plan, stdout);
    p2p_session_destroy(session);
    p2p_graph_destroy(graph);
    return status;
}

p2p_status command_plan(settings *all) {
    return setup_with_model(all, "plan", print_plan);
}
