/* Training: data, model, device and files brought together, and the loop over steps.
 *
 * One trainer is one run of `p2p train`. What a step computes is in models/pix2pix.c; options are parsed in
 * options.c; formats of the files that it writes are in metrics.c, checkpoint.c, report.c and model_file.c.
 */
#ifndef P2P_TRAINER_H
#define P2P_TRAINER_H

#include "options/options.h"

/* Train as the settings say, from the beginning or from the newest checkpoint. */
p2p_status trainer_run(settings *all);

#endif
