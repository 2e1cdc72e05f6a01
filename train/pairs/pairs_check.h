/* `p2p pairs check`: whether a folder of pairs is fit for training, as a table and as JSON. */
#ifndef P2P_PAIRS_CHECK_H
#define P2P_PAIRS_CHECK_H

#include "options/options.h"

/* Look at every pair of the splits train, val and test of DIR, in any layout of dataset.h. If DIR has none of
 * them: at those of its folders A and B, or at each of its pictures. Prints a table and the problems on
 * stdout, and writes all to --json, which must not exist. P2P_INPUT if there are problems. */
p2p_status pairs_check(const settings *all, const char *dir);

#endif
