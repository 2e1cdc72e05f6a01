/* The length of a training and its learning rates, from --epochs, --epochs-decay, --steps and the --lr
 * options. The formula of the rate is in schedule.c.
 *
 * The length may change when a training is resumed, but not the learning rates of epochs that were trained
 * already. Therefore N steps and M more after a resume equal N + M steps.
 */
#include "trainer_setup.h"

#include <inttypes.h>
#include <string.h>

/* The published lengths: 200 epochs; with a linear schedule, 100 of them at the full rate. */
enum { CONSTANT_EPOCHS = 200, LINEAR_EPOCHS = 100 };

static bool is_linear(const settings *all) {
    return strcmp(all->lr_policy, "linear") == 0;
}

p2p_status trainer_complete_length(settings *all) {
    const bool epochs_given = settings_given(all, "epochs"), steps_given = settings_given(all, "steps");
    if (!is_linear(all) && settings_given(all, "epochs-decay"))
        return p2p_fail(P2P_USAGE, "--epochs-decay requires --lr-policy linear");
    if (all->resume && epochs_given && !steps_given) all->steps = 0;
    if (all->resume && steps_given && !epochs_given && !is_linear(all)) all->epochs = 0;
    if (all->epochs == 0 && is_linear(all)) all->epochs = LINEAR_EPOCHS;
    if (all->epochs == 0 && all->steps == 0) all->epochs = CONSTANT_EPOCHS;
    return P2P_OK;
}

static schedule schedule_of(const settings *all) {
    const int64_t batches = setup_replicas_asked(all) * all->grad_accumulate;
    return (schedule){.rate = schedule_scaled(all->lr, all->lr_scale, batches),
                      .linear = is_linear(all),
                      .epochs = all->epochs,
                      .decay = all->epochs_decay};
}

p2p_status trainer_check_schedule(const settings *all, const json_t *kept, const training_position *at,
                                  const char *file) {
    const schedule now = schedule_of(all);
    const char *policy = json_string_value(json_object_get(kept, "lr_policy"));
    const schedule before = {.rate = now.rate, /* --lr and --lr-scale can't change */
                             .linear = policy && strcmp(policy, "linear") == 0,
                             .epochs = json_integer_value(json_object_get(kept, "epochs")),
                             .decay = json_integer_value(json_object_get(kept, "epochs_decay"))};
    if (schedule_same_until(&now, &before, at->epoch + (at->batch > 0))) return P2P_OK;
    p2p_fail(P2P_USAGE,
             "--lr-policy, --epochs or --epochs-decay would change the learning rate of epochs that %s has "
             "trained already",
             file);
    return p2p_hint(P2P_USAGE, "leave them out to continue as before, or train into another --out");
}

void trainer_resolve_length(trainer *t) {
    const settings *all = t->all;
    const int64_t epochs = all->epochs + (is_linear(all) ? all->epochs_decay : 0);
    const int64_t before = t->at.step - t->at.batch; /* the epoch's first step */
    const int64_t later = epochs - t->at.epoch - 1;  /* epochs */
    t->schedule = schedule_of(all);
    t->total_steps = all->epochs > 0 ? before + t->epoch_batches + later * t->batches : INT64_MAX;
    if (all->steps > 0 && all->steps < t->total_steps) t->total_steps = all->steps;
    t->total_epochs = t->at.epoch + 1;
    if (t->total_steps > before + t->epoch_batches)
        t->total_epochs += (t->total_steps - before - t->epoch_batches + t->batches - 1) / t->batches;
    if (t->total_steps <= before) t->total_epochs = t->at.epoch;
}

p2p_status trainer_check_unfinished(const trainer *t) {
    if (t->at.step <= t->total_steps) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s is at step %" PRId64 ", beyond the total of %" PRId64 " steps", t->resumed_from,
             t->at.step, t->total_steps);
    return p2p_hint(P2P_USAGE, "--epochs and --steps are totals: increase them to continue");
}
