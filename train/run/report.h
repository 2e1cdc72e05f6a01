/* What a training shows of itself after an epoch: the validation's numbers and a grid of pictures.
 *
 * The grid has a column per sample and three rows: input, generated, target. Numbers go to the caller; the
 * log is metrics.c.
 */
#ifndef P2P_REPORT_H
#define P2P_REPORT_H

#include "data/dataset.h"
#include "use/evaluate.h"
#include "use/quality.h"

typedef struct report report;

/* `validation` may be NULL: then the grid shows training pairs and nothing is measured. The mean training
 * target, the baseline that a generator must beat, is taken over at most REPORT_BASELINE_PAIRS pairs. */
enum { REPORT_BASELINE_PAIRS = 256 };
p2p_status report_create(report **result, const dataset *training, const dataset *validation,
                         const pair_form *form);
void report_destroy(report *shown); /* NULL is ignored */

/* L1 of the mean training target against the validation targets; 0 without validation. */
double report_baseline_l1(const report *shown);

/* Run the validation set; *mean is the mean over pairs of what quality.h measures between the generated
 * picture and the target, untouched without validation. Writes the grid to `grid_path`. P2P_STOPPED, with
 * nothing written, where a signal asks to stop (sys.h). */
p2p_status report_run(report *shown, const evaluator *e, const char *grid_path, quality *mean);

#endif
