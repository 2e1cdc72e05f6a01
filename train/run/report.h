/* Validation after an epoch: metrics over the validation set, and a grid of sample pictures.
 *
 * The grid has a column per sample and three rows: input, generated, target. The caller records the metrics
 * (metrics.h).
 */
#ifndef P2P_REPORT_H
#define P2P_REPORT_H

#include "data/dataset.h"
#include "ranks/ranks.h"
#include "use/evaluate.h"
#include "use/quality.h"

typedef struct report report;

/* Borrows both data sets. `validation` may be NULL: then the grid shows training pairs, and nothing is
 * measured. Measures the baseline: the L1 of a "generator" that always draws the mean of the first
 * REPORT_BASELINE_PAIRS training targets. Of several ranks (NULL: one) rank 0 does, and draws the grid. */
enum { REPORT_BASELINE_PAIRS = 256 };
p2p_status report_create(report **result, const dataset *training, const dataset *validation,
                         const pair_form *form, const ranks *together);
void report_destroy(report *shown); /* NULL is ignored */

/* The L1 between the mean training target and the validation targets; 0 without validation. */
double report_baseline_l1(const report *shown);

/* Run the generator on the validation set, and draw the grid. *mean is the mean of the metrics between
 * generated picture and target over all pairs, in all ranks; unchanged without validation. P2P_STOPPED if a
 * signal has requested a stop (sys.h), of any rank. */
p2p_status report_run(report *shown, const evaluator *e, quality *mean);
/* Write the grid of the last report_run, with a label (picture_grid.h). */
p2p_status report_save_grid(report *shown, const char *path, const char *label);

#endif
