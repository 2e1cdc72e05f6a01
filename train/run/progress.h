/* The progress of a training, or of pictures, on a stream: a live line on a terminal, plain lines now and
 * then elsewhere. What a step measured comes from its caller.
 */
#ifndef P2P_PROGRESS_H
#define P2P_PROGRESS_H

#include "metrics.h"

typedef struct progress progress;

/* `total_steps` and `total_epochs` are those of the whole training; `done_steps` were made before. NULL when
 * memory fails; the functions below ignore a NULL progress. */
progress *progress_create(FILE *stream, int64_t total_steps, int64_t total_epochs, int64_t done_steps);
void progress_step(progress *shown, const step_record *record);
/* Where steps are pictures: so many are done since progress_create. */
void progress_pictures(progress *shown, int64_t done);
/* Take the live line away before something else is written to the terminal. */
void progress_hide(progress *shown);
/* A whole line that stays, e.g. an epoch's result. */
void progress_line(progress *shown, const char *format, ...) P2P_PRINTF(2, 3);
void progress_destroy(progress *shown);

#endif
