/* The process-wide settings, and opening a session by the settings. See setup.h. */
#include "setup.h"

#include "host/sys.h"
#include "setup_progress.h"

#include <string.h>

p2p_status setup_process(const settings *all) {
    if (all->cache) P2P_TRY(p2p_cache_folder_set(all->cache));
    P2P_TRY(setup_pictures(all));
    if (all->deterministic) P2P_TRY(p2p_limit_set("deterministic", 1));
    return settings_given(all, "device-timeout") ? p2p_limit_set("timeout", all->device_timeout) : P2P_OK;
}

/* ---- Sessions ------------------------------------------------------------------------------------------ */

const setup_tuning setup_tuning_train = {.automatic = P2P_TUNE_AUTO, .on = P2P_TUNE_MEASURE};
const setup_tuning setup_tuning_use = {.automatic = P2P_TUNE_STORED, .on = P2P_TUNE_MEASURE};

bool setup_tune_is_auto(const settings *all) {
    return !all->deterministic && (!all->tune || strcmp(all->tune, "auto") == 0);
}

static p2p_status choose_mode(const settings *all, const setup_tuning *tuning, p2p_tune *mode) {
    const bool on = all->tune && strcmp(all->tune, "on") == 0;
    if (all->deterministic && on)
        return p2p_fail(P2P_USAGE, "--deterministic contradicts --tune on, which measures");
    const bool off = all->deterministic || (all->tune && strcmp(all->tune, "off") == 0);
    *mode = off ? P2P_TUNE_OFF : on ? tuning->on : tuning->automatic;
    return P2P_OK;
}

/* Prints only if a choice was measured; other choices take no time. */
static void show_measuring(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice) {
    (void)context, (void)op;
    if (choice->measured && done == 1)
        fprintf(stderr, "measuring the algorithms of %d convolutions, once on this device\n", total);
    if (choice->measured) setup_show_measuring(stderr, done, total);
}

p2p_status setup_session_create(const settings *all, const setup_devices *devices, const setup_tuning *tuning,
                                p2p_session **session) {
    p2p_session_options options = {
        .parallel = sys_parallel,
        .processes = devices->processes,
        .precision = devices->precision,
        .tuning = {.clock = sys_clock,
                   .progress = tuning->progress ? tuning->progress : show_measuring,
                   .context = tuning->context,
                   .imposed = tuning->imposed}};
    P2P_TRY(choose_mode(all, tuning, &options.tuning.mode));
    return p2p_session_create(devices->list, devices->count, &options, session);
}
