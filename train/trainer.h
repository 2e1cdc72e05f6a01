/* Training: data, model, device and files brought together, and the loop over steps.
 *
 * One trainer is one run of `p2p train`. What a step computes is in models/pix2pix.c; options are parsed in
 * options.c; formats of the files that it writes are in metrics.c, checkpoint.c, report.c and model_file.c.
 */
#ifndef P2P_TRAINER_H
#define P2P_TRAINER_H

#include "options.h"
#include "pix2pix.h"

/* The model that the settings describe, checked. P2P_USAGE names the option at fault. Shared with `p2p plan`.
 */
p2p_status trainer_model_config(const settings *all, pix2pix_config *config);

/* Train as the settings say, from the beginning or from the newest checkpoint. */
p2p_status trainer_run(settings *all);

#endif
