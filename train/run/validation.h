/* Validation after an epoch: metrics over the validation set, and a grid of sample pictures.
 *
 * The grid (image/picture_grid.h) shows some of them. The caller records the metrics (metrics.h).
 */
#ifndef P2P_VALIDATION_H
#define P2P_VALIDATION_H

#include "data/dataset.h"
#include "ranks/ranks.h"
#include "use/evaluate.h"
#include "use/quality.h"

typedef struct validator validator;

/* Pairs that are left out (dataset_leaves_out) are not used; P2P_INPUT if none is left. The grid has
 * an empty column for each.
 *
 * Borrows both data sets. `validation` may be NULL: then the grid shows training pairs, and nothing is
 * measured. Measures the baseline: the L1 of a "generator" that always draws the mean of the first
 * VALIDATION_BASELINE_PAIRS training targets. Of several ranks (NULL: one) rank 0 does, and draws the grid.
 */
enum { VALIDATION_BASELINE_PAIRS = 256 };
p2p_status validation_create(validator **result, const dataset *training, const dataset *validation,
                             const pair_form *form, ranks *r);
void validation_destroy(validator *v); /* NULL is ignored */

/* The L1 between the mean training target and the validation targets; 0 without validation. */
double validation_baseline_l1(const validator *v);

/* Run the generator on the validation set, and draw the grid with a title (picture_grid.h). *mean is the mean
 * of the metrics between generated picture and target over all pairs, in all ranks; unchanged without
 * validation. P2P_STOPPED if a signal has requested a stop (sys.h), of any rank. */
p2p_status validation_run(validator *v, const evaluator *e, const char *title, quality *mean);
/* Run the generator on the pairs of the grid alone, and draw it. */
p2p_status validation_draw(validator *v, const evaluator *e, const char *title);
/* Write the grid of what was run or drawn last, with a label (picture_grid.h). Fails as picture_grid_save
 * does. Writes nothing if all pairs of the grid were left out. */
p2p_status validation_save_grid(validator *v, const char *path, const char *label);

/* The number of validation pairs that the last validation_run left out, in all ranks. *reason receives that
 * of the first, which is valid until pictures are drawn again. */
int64_t validation_left_out(const validator *v, const char **reason);

#endif
