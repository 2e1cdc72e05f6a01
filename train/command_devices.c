/* `p2p devices`; the choice of a device, and the networks on it, for the other commands. */
#include "command.h"
#include "metrics.h"
#include "sys.h"
#include "trainer.h"

#include <stdlib.h>
#include <string.h>

p2p_status command_no_arguments(const settings *all, const char *name) {
    if (!all->arguments || !all->arguments[0]) return P2P_OK;
    p2p_fail(P2P_USAGE, "'%s': p2p %s takes options only", all->arguments[0], name);
    return p2p_hint(P2P_USAGE, "p2p help %s shows them", name);
}

static void print_entry(const p2p_device_entry *entry) {
    printf("%c %-14s %s", entry->is_default ? '*' : ' ', entry->address, entry->name);
    if (entry->unusable[0]) {
        printf("\n    can't be used: %s\n", entry->unusable);
        return;
    }
    printf("\n    %s", entry->driver[0] ? entry->driver : "no driver");
    if (entry->type[0]) printf(", %s", entry->type);
    if (entry->compute_units > 0) printf(", %d compute units", entry->compute_units);
    if (entry->memory_bytes > 0)
        printf(", %.1f GiB of memory, %.1f GiB in one piece", (double)entry->memory_bytes / (1 << 30),
               (double)entry->max_alloc_bytes / (1 << 30));
    if (entry->no_bf16[0])
        printf("\n    precision fp32; no bf16: %s\n", entry->no_bf16);
    else
        printf("\n    precision fp32 or bf16 (%s)\n",
               entry->stores_bf16 ? "activations are stored in bf16" : "convolutions multiply in bf16");
}

p2p_status command_devices(settings *all) {
    P2P_TRY(command_no_arguments(all, "devices"));
    p2p_device_entry *entries;
    int count;
    P2P_TRY(p2p_device_list(&entries, &count));
    for (int i = 0; i < count; i++) print_entry(&entries[i]);
    printf("\n* is what --backend auto takes.\n");
    free(entries);
    return P2P_OK;
}

p2p_status command_open_device(const settings *all, p2p_device **device) {
    const char *address = all->device ? all->device : all->backend;
    size_t backend = strlen(all->backend);
    if (all->device && settings_given(all, "backend") && strcmp(all->backend, "auto") != 0 &&
        (strncmp(all->device, all->backend, backend) != 0 || all->device[backend] != ':'))
        return p2p_fail(P2P_USAGE, "--device %s contradicts --backend %s", all->device, all->backend);
    P2P_TRY(p2p_device_open(address, device));
    fprintf(stderr, "device: %s, %s\n", p2p_device_address(*device), p2p_device_name(*device));
    return P2P_OK;
}

/* ---- Sessions ------------------------------------------------------------------------------------------ */

const command_tuning command_tuning_train = {.automatic = P2P_TUNE_AUTO, .on = P2P_TUNE_MEASURE};
const command_tuning command_tuning_use = {.automatic = P2P_TUNE_STORED, .on = P2P_TUNE_MEASURE};

static p2p_status choose_mode(const settings *all, const command_tuning *tuning, p2p_tune *mode) {
    const bool on = all->tune && strcmp(all->tune, "on") == 0;
    if (all->deterministic && on)
        return p2p_fail(P2P_USAGE, "--deterministic contradicts --tune on, which measures");
    const bool off = all->deterministic || (all->tune && strcmp(all->tune, "off") == 0);
    *mode = off ? P2P_TUNE_OFF : on ? tuning->on : tuning->automatic;
    return P2P_OK;
}

/* Only where something is really measured: else choosing takes no time. */
static void show_measuring(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice) {
    (void)context, (void)op;
    if (choice->measured && done == 1)
        fprintf(stderr, "measuring how to compute %d convolutions, once on this device\n", total);
    if (choice->measured) progress_measuring(stderr, done, total);
}

p2p_status command_create_session(const settings *all, p2p_device *device, const command_tuning *tuning,
                                  p2p_session **session) {
    const bool bf16 = strcmp(all->precision, "bf16") == 0;
    p2p_session_options options = {
        .bf16 = bf16,
        .parallel = sys_parallel,
        .tuning = {.clock = sys_clock,
                   .progress = tuning->progress ? tuning->progress : show_measuring,
                   .context = tuning->context,
                   .imposed = tuning->imposed}};
    P2P_TRY(choose_mode(all, tuning, &options.tuning.mode));
    p2p_status status = p2p_session_create(&device, 1, &options, session);
    if (status != P2P_UNSUPPORTED || !bf16) return status;
    return p2p_hint(status, "--precision fp32 runs everywhere; p2p devices says what each device has");
}

p2p_status command_with_model(settings *all, const char *name, command_model_body *body) {
    P2P_TRY(command_no_arguments(all, name));
    pix2pix_config config;
    pix2pix *model = NULL;
    p2p_device *device = NULL;
    P2P_TRY(trainer_model_config(all, &config));
    p2p_status status = pix2pix_create(&model, &config);
    if (status == P2P_OK) status = command_open_device(all, &device);
    if (status == P2P_OK) status = body(all, model, device);
    p2p_device_close(device);
    pix2pix_destroy(model);
    return status;
}
