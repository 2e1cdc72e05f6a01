/* What ranks that work together must have in common. */
#ifndef P2P_SETUP_SAME_H
#define P2P_SETUP_SAME_H

#include "p2p_status.h"

#include <jansson.h>

/* P2P_USAGE, with the option and both values, if an option of this rank has another value than in rank 0. The
 * names are those of recorded settings (settings_to_json). */
p2p_status setup_compare_options(json_t *own, const json_t *first);

#endif
