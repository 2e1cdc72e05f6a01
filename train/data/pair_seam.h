/* Whether pictures side by side are single pictures cut in the middle, by their contents: a photograph goes
 * on across the seam, where A and B of a pair border on each other by chance. A heuristic, for a warning
 * only.
 */
#ifndef P2P_PAIR_SEAM_H
#define P2P_PAIR_SEAM_H

#include "dataset.h"

/* Whether `left` and `right`, of equal height and of 3 channels of 8 bits, continue across their seam: the
 * columns at the seam differ by at most twice as much as neighbours near it do. Uniform surroundings show
 * nothing. */
bool pair_seam_goes_on(image_view left, image_view right);

/* Whether that is true of each of PAIR_SEAM_SAMPLES pairs of the data set, spread over it, or of each of
 * fewer. False for a single pair, whose seam may go on by chance, and for pairs in two folders. Pairs that
 * can't be loaded are not counted. */
enum { PAIR_SEAM_SAMPLES = 8 };
bool pair_seam_all_go_on(const dataset *data);

#endif
