/* Whether a folder made by `p2p pairs` holds pairs of a shape that `p2p train` refuses by default. */
#ifndef P2P_PAIRS_SIDE_BY_SIDE_H
#define P2P_PAIRS_SIDE_BY_SIDE_H

#include "p2p_status.h"

#include <stdbool.h>

/* Sets *needed to whether `p2p train --data DIR` needs --pairs side-by-side: OUT/pairs.json shows that DIR
 * holds pairs side by side, of which the default refuses some in train or val, and this option none. So pairs
 * of portraits are not taken for single photographs. Reads the header of each picture. */
p2p_status pairs_need_side_by_side(const char *dir, bool *needed);

#endif
