/* The training loop: the implementation of `p2p train`.
 *
 * The computation of a step is in models/pix2pix.c, the parsing of options in options.c. The formats of files
 * are in metrics.c, checkpoint.c, validation.c and model_file.c.
 */
#ifndef P2P_TRAINER_H
#define P2P_TRAINER_H

#include "options/options.h"
#include "ranks/ranks.h"

/* Train according to the settings, from the start or, with --resume, from the newest checkpoint. Prints the
 * path of the generator on stdout. All ranks call it (NULL: one); after a failure but P2P_STOPPED they must
 * end (ranks_fail): what others may still use is not released. */
p2p_status trainer_run(settings *all, ranks *r);

#endif
