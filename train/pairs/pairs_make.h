/* `p2p pairs combine`, `resize`, `edges`, `grey`, `lowres` and `blank`: folders of pictures become a folder
 * of pictures of the same names. */
#ifndef P2P_PAIRS_MAKE_H
#define P2P_PAIRS_MAKE_H

#include "pairs_operation.h"

/* Make OUT/NAME for each picture NAME of the folder `a`, or for each pair of `a` and `b`, which is NULL
 * unless the operation joins. Everything is checked before the first picture. Nothing is overwritten: what an
 * earlier run of the same command has made is kept, in the folders of `p2p pairs split` too, and any other
 * picture of these names is P2P_USAGE. Prints what was made on stderr. P2P_INPUT, with the path in the
 * message, for the first picture that can't be used, unless --on-bad-image leaves it out. */
p2p_status pairs_make(const settings *all, const pairs_operation *operation, const char *a, const char *b,
                      const char *out);

#endif
