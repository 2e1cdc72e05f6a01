/* The progress of a training, or of a list of pictures, on a stream: on a terminal a line that is redrawn,
 * also when the terminal's width changes; elsewhere a plain line every ten seconds.
 *
 * The line has fields in the order of their importance. It shows as many as the terminal has room for; other
 * lines of a training fit into PROGRESS_COLUMNS. Colours are used on a terminal only, and not if the variable
 * NO_COLOR of the environment is set.
 */
#ifndef P2P_PROGRESS_H
#define P2P_PROGRESS_H

#include "metrics.h"

typedef struct progress progress;

/* `total_steps` and `total_epochs` are those of the whole training. `done_steps` were made before it was
 * resumed. For a list of pictures, `total_steps` is their number and the others are 0. NULL if memory runs
 * out; all functions ignore a NULL progress. */
progress *progress_create(FILE *stream, int64_t total_steps, int64_t total_epochs, int64_t done_steps);
/* `seconds_left` until the end of the training. */
void progress_step(progress *p, const step_record *record, double seconds_left);
/* `done` pictures are finished since progress_create. */
void progress_pictures(progress *p, int64_t done);
/* The same for bytes that are read: `total_steps` is their number. */
void progress_bytes(progress *p, int64_t done);
/* Erase the live line before other output to the terminal. */
void progress_hide(progress *p);

typedef enum { PROGRESS_PLAIN, PROGRESS_GOOD, PROGRESS_WARNING } progress_look;

/* Print a line that is not redrawn. */
void progress_line(progress *p, const char *format, ...) P2P_PRINTF(2, 3);
/* The same in a colour. */
void progress_line_in(progress *p, progress_look look, const char *format, ...) P2P_PRINTF(3, 4);
/* Print the results of an epoch, as many as fit into PROGRESS_COLUMNS. */
enum { PROGRESS_COLUMNS = 80 };
void progress_epoch(progress *p, const epoch_record *record);
void progress_destroy(progress *p);

#endif
