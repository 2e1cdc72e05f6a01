/* `p2p plan`: the operations and the memory of a step on a device. None of the memory is allocated. */
#include "command.h"
#include "setup/setup_memory.h"

/* Print the memory of the whole training or translation, of which the plan is a part; fail if there is not so
 * much. */
static p2p_status print_fit(const settings *all, const pix2pix *model, const setup_devices *devices) {
    const pix2pix_config *config = &model->config;
    memory_subject subject = {.all = all,
                              .devices = devices,
                              .format = {{(int)config->input_channels, 8}, {(int)config->output_channels, 8}},
                              .training = setup_mode_is_train(all)};
    const memory_question question = setup_memory_question(&subject);
    memory_fit fit;
    P2P_TRY(setup_memory_fit(&question, &fit));
    if (fit.fits) printf("%s\n", fit.text);
    return setup_memory_refuse(&fit);
}

static p2p_status make_plan(const settings *all, const pix2pix *model, p2p_session *session,
                            setup_plan *made) {
    const int replicas = p2p_session_replicas(session);
    const bool training = setup_mode_is_train(all);
    pix2pix_graph_options options = pix2pix_graph_options_for(model, all->batch);
    options.parts = (int)all->grad_accumulate;
    const setup_planning planning = {
        .session = session, .model = model, .options = &options, .replicas = replicas, .training = training};
    const int64_t images = replicas * all->batch * (training ? all->grad_accumulate : 1);
    return setup_plan_make(&planning, all->mode, images, made);
}

static p2p_status print_plan(const settings *all, const pix2pix *model, const setup_devices *devices) {
    p2p_session *session = NULL;
    setup_plan made = {0};
    p2p_status status = setup_session_create(all, devices, &setup_tuning_stored, &session);
    if (status == P2P_OK) status = make_plan(all, model, session, &made);
    if (status == P2P_OK) status = p2p_plan_print(made.plan, stdout);
    p2p_session_destroy(session);
    setup_plan_free(&made);
    return status;
}

/* A plan with a part too large for the device fails; print_fit explains it. */
static p2p_status print_all(const settings *all, const pix2pix *model, const setup_devices *devices) {
    const p2p_status status = print_plan(all, model, devices);
    const bool too_large = status == P2P_OUT_OF_MEMORY || status == P2P_UNSUPPORTED;
    return status == P2P_OK || too_large ? print_fit(all, model, devices) : status;
}

p2p_status command_plan(settings *all) {
    return setup_with_model(all, "plan", print_all);
}
