/* OUT/report.html while a training runs: the page of report/run_page.h. Its cost is bounded whatever the
 * length of the training. A page that cannot be written does not end a training.
 */
#ifndef P2P_TRAINER_REPORT_H
#define P2P_TRAINER_REPORT_H

#include "trainer_setup.h"

/* Write the page after an epoch, unless it was written a few seconds ago. */
void trainer_report_epoch(trainer *t);
/* Write it at the end of the training, also an early one. */
void trainer_report_end(trainer *t);

#endif
