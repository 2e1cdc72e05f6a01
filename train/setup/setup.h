/* What settings ask for, made: data, networks, a device, a session on it. Every command that computes begins
 * here. What is done with them is not decided here.
 */
#ifndef P2P_SETUP_H
#define P2P_SETUP_H

#include "data/dataset.h"
#include "options/options.h"
#include "p2p.h"
#include "pix2pix.h"

/* A split of --data, with --on-bad-image; what is left out is told on stderr. `direction` is AtoB or BtoA;
 * `replace_bad` as in dataset_options, where bad pairs are skipped at all. */
p2p_status setup_split_open(const settings *all, const char *split, const char *direction, bool replace_bad,
                            dataset **data);

/* The networks that the settings describe, checked. P2P_USAGE names the option at fault. setup_model.c */
p2p_status setup_model_config(const settings *all, pix2pix_config *config);

/* Whether --mode is train, the whole step; else it is translate, the generator alone. */
bool setup_mode_is_train(const settings *all);

/* The device that --backend and --device ask for, opened; says on stderr which one "auto" took. P2P_USAGE
 * when the two contradict each other. */
p2p_status setup_device_open(const settings *all, p2p_device **device);

/* What a command without arguments does with the networks of its settings on a device: both are made before
 * `body` and released after it. `name` is the command's, for messages. */
typedef p2p_status setup_model_body(const settings *all, const pix2pix *model, p2p_device *device);
p2p_status setup_with_model(settings *all, const char *name, setup_model_body *body);

/* How a command's convolutions are chosen. */
typedef struct {
    p2p_tune automatic, on; /* what --tune auto and --tune on mean */
    const char *imposed;    /* an earlier session's choices; NULL: none */
    /* As p2p_tuning has it; NULL: a line on stderr. */
    void (*progress)(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice);
    void *context;
} setup_tuning;

/* What trains measures where that is worth its time, what uses a model takes what is there. */
extern const setup_tuning setup_tuning_train, setup_tuning_use;

/* A session on the device in the precision that --precision asks for, with convolutions chosen as --tune and
 * --deterministic say; P2P_UNSUPPORTED where the device hasn't that precision. */
p2p_status setup_session_create(const settings *all, p2p_device *device, const setup_tuning *tuning,
                                p2p_session **session);

#endif
