/* The files of --init-generator and --init-discriminator: weights with which a new training starts. */
#ifndef P2P_INITIAL_WEIGHTS_H
#define P2P_INITIAL_WEIGHTS_H

#include "options/options.h"
#include "pix2pix.h"

/* The files; NULL if an option is not given. Owned. */
typedef struct {
    char *generator, *discriminator;
} initial_weights;

/* Find the files of the options and check them against the model's networks, which needs no device. Of a
 * training's folder the model is selected as for --model (use/run_models.h). P2P_INPUT with the option or the
 * file in the message. Call initial_weights_free() in any case. */
p2p_status initial_weights_find(initial_weights *files, const settings *all, const pix2pix *model);
void initial_weights_free(initial_weights *files);

/* Copy the files' weights into the networks. */
p2p_status initial_weights_load(const initial_weights *files, p2p_session *session, const pix2pix *model);

#endif
