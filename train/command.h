/* The commands of the program: one file each, all of one form. main.c chooses; nothing here prints errors.
 */
#ifndef P2P_COMMAND_H
#define P2P_COMMAND_H

#include "dataset.h"
#include "options.h"
#include "p2p.h"
#include "pix2pix.h"

typedef struct {
    const char *name;
    unsigned bit; /* COMMAND_* of options.h */
    const char *summary;
    const char *usage;    /* the line after "usage: " */
    const char *examples; /* lines for --help, each ending in a newline */
    const char *notes;    /* likewise, below the options; NULL: none */
    /* Results go to stdout, all else to stderr. */
    p2p_status (*run)(settings *all);
} command;

p2p_status command_train(settings *all);
p2p_status command_translate(settings *all);
p2p_status command_test(settings *all);
p2p_status command_devices(settings *all);
p2p_status command_plan(settings *all);
p2p_status command_sample_data(settings *all);
p2p_status command_bench(settings *all);
p2p_status command_tune(settings *all);

/* The device that --backend and --device ask for, opened; says on stderr which one "auto" took. P2P_USAGE
 * when the two contradict each other. */
p2p_status command_open_device(const settings *all, p2p_device **device);

/* What a command without arguments does with the networks of its settings on a device: both are made before
 * `body` and released after it. `name` is the command's, for messages. */
typedef p2p_status command_model_body(const settings *all, const pix2pix *model, p2p_device *device);
p2p_status command_with_model(settings *all, const char *name, command_model_body *body);

/* A split of --data, with --on-bad-image; what is left out is told on stderr. `direction` is AtoB or BtoA;
 * `replace_bad` as in dataset_options, where bad pairs are skipped at all. */
p2p_status command_open_split(const settings *all, const char *split, const char *direction, bool replace_bad,
                              dataset **data);

/* How a command's convolutions are chosen. */
typedef struct {
    p2p_tune automatic, on; /* what --tune auto and --tune on mean */
    const char *imposed;    /* an earlier session's choices; NULL: none */
    /* As p2p_tuning has it; NULL: a line on stderr. */
    void (*progress)(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice);
    void *context;
} command_tuning;

/* What trains measures where that is worth its time, what uses a model takes what is there. */
extern const command_tuning command_tuning_train, command_tuning_use;

/* A session on the device in the precision that --precision asks for, with convolutions chosen as --tune and
 * --deterministic say; P2P_UNSUPPORTED where the device hasn't that precision. */
p2p_status command_create_session(const settings *all, p2p_device *device, const command_tuning *tuning,
                                  p2p_session **session);

/* A command that takes no arguments beside options refuses them by name. */
p2p_status command_no_arguments(const settings *all, const char *name);

#endif
