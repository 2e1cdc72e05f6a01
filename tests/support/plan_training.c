/* See plan_training.h. */
#include "plan_training.h"

#include "plan/session.h"

#include <math.h>
#include <string.h>

const plan_net plan_training_net = {.in = 3, .out = 3, .filters = 4};

/* Makes steps until there are as many as the result has. */
static p2p_status run(plan_rig *rig, int made, plan_training *result) {
    static const char *const names[PLAN_TRAINING_LOSSES] = {"d_fake", "d_real", "g_gan", "g_l1"};
    for (int s = made; s < result->steps; s++) {
        P2P_TRY(plan_rig_step(rig, (uint32_t)s));
        for (int l = 0; l < PLAN_TRAINING_LOSSES; l++)
            P2P_TRY(p2p_plan_loss(rig->plan, names[l], &result->losses[s][l]));
    }
    const plan_part *part = &rig->plan->parts[0];
    for (int s = 0; s < part->step_count; s++) {
        result->collectives += part->steps[s].collective;
        result->statistics += part->steps[s].op.kind == P2P_KIND_norm_stats;
    }
    return plan_rig_parameters(rig, &result->parameters, &result->count);
}

p2p_status plan_train_steps(const char *backend, int first, int replicas, int64_t batch, int steps,
                            const plan_net_step *step, const p2p_session_options *options,
                            plan_training *result) {
    plan_rig rig;
    *result = (plan_training){.steps = steps};
    p2p_status status =
        plan_rig_open(&rig, backend, first, replicas, batch, &plan_training_net, step, options);
    if (status == P2P_OK) status = run(&rig, 0, result);
    plan_rig_close(&rig);
    return status;
}

p2p_status plan_train_two_lengths(const char *backend, int replicas, int64_t batch, const plan_net_step *step,
                                  plan_training *one_step, plan_training *all) {
    plan_rig rig;
    *one_step = (plan_training){.steps = 1};
    *all = (plan_training){.steps = PLAN_TRAINING_STEPS};
    p2p_status status = plan_rig_open(&rig, backend, 0, replicas, batch, &plan_training_net, step, NULL);
    if (status == P2P_OK) status = run(&rig, 0, one_step);
    memcpy(all->losses, one_step->losses, sizeof all->losses);
    if (status == P2P_OK) status = run(&rig, 1, all);
    plan_rig_close(&rig);
    return status;
}

p2p_status plan_train(const char *backend, int first, int replicas, bool sync,
                      const p2p_session_options *options, plan_training *result) {
    const plan_net_step step = {.sync = sync, .dropout = 0.5};
    return plan_train_steps(backend, first, replicas, PLAN_TRAINING_BATCH, PLAN_TRAINING_STEPS, &step,
                            options, result);
}

static double difference(double a, double b) {
    return fabs(a - b) / fmax(1, fabs(b));
}

double plan_training_distance(const plan_training *a, const plan_training *b) {
    double most = 0;
    if (a->count != b->count) return INFINITY;
    for (int s = 0; s < a->steps; s++)
        for (int l = 0; l < PLAN_TRAINING_LOSSES; l++)
            most = fmax(most, difference(a->losses[s][l], b->losses[s][l]));
    for (int64_t i = 0; i < a->count; i++) most = fmax(most, difference(a->parameters[i], b->parameters[i]));
    return most;
}

bool plan_training_equal(const plan_training *a, const plan_training *b) {
    return a->count == b->count && memcmp(a->losses, b->losses, sizeof a->losses) == 0 &&
           memcmp(a->parameters, b->parameters, (size_t)a->count * sizeof *a->parameters) == 0;
}
