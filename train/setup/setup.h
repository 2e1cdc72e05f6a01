/* The objects that settings describe: a data set, networks, a device, and a session on it. Every command that
 * computes creates them here. Settings are parsed in options.c.
 */
#ifndef P2P_SETUP_H
#define P2P_SETUP_H

#include "data/dataset.h"
#include "options/options.h"
#include "p2p.h"
#include "pix2pix.h"
#include "ranks/ranks.h"
#include "setup_devices.h"

/* ---- Data: setup_data.c ------------------------------------------------------------------------------- */

/* How a split is opened, beside --on-bad-image and --pairs. */
typedef struct {
    const char *split, *direction; /* the latter "AtoB" or "BtoA" */
    bool replace_bad;              /* see dataset_options; has an effect with --on-bad-image skip only */
    const dataset *training;       /* see dataset_options, as for the numbers below */
    int channels_in, channels_out, side;
} setup_split;

/* Open a split of --data. What was taken for pairs, and omitted pairs, are reported on stderr. */
p2p_status setup_split_open(const settings *all, const setup_split *wanted, dataset **data);

/* Set --max-pixels and --memory for the whole process: by default half of the memory that is available now.
 */
p2p_status setup_pictures(const settings *all);
/* Again when the ranks of a training are known, which all call it: the ranks of a machine share that half,
 * and all take what those of the smallest one get. */
p2p_status setup_pictures_of_ranks(const settings *all, const ranks *r);

/* P2P_USAGE if --out lies where pairs of --data are looked for: in train, val, test, or --split. */
p2p_status setup_out_check(const settings *all);

/* ---- Networks: setup_model.c -------------------------------------------------------------------------- */

/* The configuration of the networks, checked. P2P_USAGE, with the option's name in the message, if a value is
 * not usable. */
p2p_status setup_model_config(const settings *all, pix2pix_config *config);

/* Print a line with the networks' size, levels and parameters, and a note if the automatic number of the
 * generator's levels is small because --size is divisible by few powers of 2. */
void setup_print_networks(const settings *all, const pix2pix *model, FILE *stream);

/* Whether --mode is train, the whole step; otherwise it is translate, the generator alone. */
bool setup_mode_is_train(const settings *all);

/* Create the networks, open the devices, call `body`, and release all. P2P_USAGE if the command line has
 * arguments beside options. `name` is the command's name, for messages. */
typedef p2p_status setup_model_body(const settings *all, const pix2pix *model, const setup_devices *devices);
p2p_status setup_with_model(settings *all, const char *name, setup_model_body *body);

/* ---- Process and session: setup_session.c ---------------------------------------------------------- */

/* Set --cache, --device-timeout, --max-pixels and --memory for the whole process. Call it before any device
 * is opened. */
p2p_status setup_process(const settings *all);

/* How a command's convolution algorithms are chosen. */
typedef struct {
    p2p_tune automatic, on; /* the modes of --tune auto and --tune on */
    const char *imposed;    /* an earlier session's choices; NULL: none */
    /* As in p2p_tuning; NULL: a line on stderr. */
    void (*progress)(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice);
    void *context;
} setup_tuning;

/* With --tune auto, setup_tuning_train may measure (P2P_TUNE_AUTO: not on CPUs and CUDA); setup_tuning_use
 * takes stored choices only (P2P_TUNE_STORED). */
extern const setup_tuning setup_tuning_train, setup_tuning_use;

/* Whether --tune auto decides: neither a request nor --deterministic does. */
bool setup_tune_is_auto(const settings *all);

/* Create a session with a replica on each of the devices, in their precision, and with convolutions chosen
 * according to --tune and --deterministic. */
p2p_status setup_session_create(const settings *all, const setup_devices *devices, const setup_tuning *tuning,
                                p2p_session **session);

#endif
