/* OUT/report.html while a training runs: the page of report/run_page.h. Its cost is bounded whatever the
 * length of the training. A page that cannot be written does not end a training.
 */
#ifndef P2P_TRAINER_REPORT_H
#define P2P_TRAINER_REPORT_H

#include "trainer_setup.h"

/* Write the page: unless that was done within the last minute, after a step; unless that was done a few
 * seconds ago, after an epoch or a checkpoint, of which there may be many; in any case after a picture within
 * an epoch. */
typedef enum { REPORT_LATER, REPORT_SOON, REPORT_NOW } report_urgency;
void trainer_report(trainer *t, report_urgency urgency);
/* Write it at the end of the training, also an early one. */
void trainer_report_end(trainer *t);

#endif
