/* `p2p plan`: the operations and the memory of a step on a device. None of the memory is allocated. */
#include "command.h"
#include "setup/setup_memory.h"

static p2p_status make_graph(const settings *all, const pix2pix *model, p2p_graph **graph) {
    pix2pix_graph_options options = pix2pix_graph_options_for(model, all->batch);
    if (setup_mode_is_train(all)) return pix2pix_graph_train(model, &options, graph);
    return pix2pix_graph_evaluate(model, &options, false, graph);
}

/* Print the memory of the whole training or translation, of which the plan is a part; fail if there is not so
 * much. */
static p2p_status print_fit(const settings *all, const pix2pix *model, p2p_device *device) {
    const pix2pix_config *config = &model->config;
    memory_subject subject = {.all = all,
                              .device = device,
                              .format = {{(int)config->input_channels, 8}, {(int)config->output_channels, 8}},
                              .training = setup_mode_is_train(all)};
    const memory_question question = setup_memory_question(&subject);
    memory_fit fit;
    P2P_TRY(setup_memory_fit(&question, &fit));
    if (fit.fits) printf("%s\n", fit.text);
    return setup_memory_refuse(&fit);
}

static p2p_status print_plan(const settings *all, const pix2pix *model, p2p_device *device) {
    p2p_session *session = NULL;
    p2p_graph *graph = NULL;
    p2p_plan *plan;
    p2p_status status = setup_session_create(all, device, &setup_tuning_stored, &session);
    if (status == P2P_OK) status = make_graph(all, model, &graph);
    if (status == P2P_OK) status = p2p_session_plan(session, all->mode, &graph, &plan);
    if (status == P2P_OK) status = p2p_plan_print(plan, stdout);
    p2p_session_destroy(session);
    p2p_graph_destroy(graph);
    return status;
}

/* A plan with a part too large for the device fails; print_fit explains it. */
static p2p_status print_all(const settings *all, const pix2pix *model, p2p_device *device) {
    const p2p_status status = print_plan(all, model, device);
    const bool too_large = status == P2P_OUT_OF_MEMORY || status == P2P_UNSUPPORTED;
    return status == P2P_OK || too_large ? print_fit(all, model, device) : status;
}

p2p_status command_plan(settings *all) {
    return setup_with_model(all, "plan", print_all);
}
