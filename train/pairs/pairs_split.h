/* `p2p pairs split`: the pictures of a folder move into its folders train, val and test.
 *
 * Which one a picture belongs to depends on a hash of its name and on the shares only, so pictures that are
 * added later move no other one.
 */
#ifndef P2P_PAIRS_SPLIT_H
#define P2P_PAIRS_SPLIT_H

#include "options/options.h"

/* Move the pictures of DIR that lie in no split yet. Those of its folders A and B are pairs, which stay
 * together: DIR/A/x.png moves to DIR/train/A/x.png. P2P_USAGE, before anything is moved, if a file of that
 * name exists already, for a link (moved, it would lead elsewhere), if DIR outside of its splits holds
 * results of `p2p train` or `p2p test` or a split of another data set, or unless --val and --test are shares
 * of at most 100 % together. */
p2p_status pairs_split(const settings *all, const char *dir);

/* Sets *exists to whether DIR/name exists, or has moved into a split. */
p2p_status pairs_split_exists(const char *dir, const char *name, bool *exists);

#endif
