/* The progress of a training, or of a list of pictures, on a stream: a line that is redrawn on a terminal,
 * and a plain line every ten seconds elsewhere.
 */
#ifndef P2P_PROGRESS_H
#define P2P_PROGRESS_H

#include "metrics.h"

typedef struct progress progress;

/* `total_steps` and `total_epochs` are those of the whole training. `done_steps` were made before it was
 * resumed. For a list of pictures, `total_steps` is their number and the others are 0. NULL if memory runs
 * out; all functions ignore a NULL progress. */
progress *progress_create(FILE *stream, int64_t total_steps, int64_t total_epochs, int64_t done_steps);
void progress_step(progress *shown, const step_record *record);
/* `done` pictures are finished since progress_create. */
void progress_pictures(progress *shown, int64_t done);
/* Erase the live line before other output to the terminal. */
void progress_hide(progress *shown);
/* Print a line that is not redrawn, e.g. the result of an epoch. */
void progress_line(progress *shown, const char *format, ...) P2P_PRINTF(2, 3);
void progress_destroy(progress *shown);

#endif
