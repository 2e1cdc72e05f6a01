/* The course of a training, from its log, in bounded memory: curves (curve.h), the best epoch, times.
 *
 * A history is filled with the lines of metrics.jsonl in their order, while they are written or from the
 * file. Lines of older versions lack some fields.
 */
#ifndef P2P_HISTORY_H
#define P2P_HISTORY_H

#include "p2p_status.h"

#include <jansson.h>
#include <stdint.h>

typedef struct history history;

p2p_status history_create(history **result);
void history_destroy(history *past); /* NULL is ignored */

/* Add a line of the log. Lines and fields that it cannot use have no effect. A NULL history is ignored. */
void history_add(history *past, const json_t *line);

/* Called while a file is read: after each megabyte, and at the end. `done` and `size` are bytes. */
typedef struct {
    void (*show)(void *context, uint64_t done, uint64_t size);
    void *context;
} history_watch;

/* Add the lines of a file, one after the other, each of which is read once. Lines that are not JSON objects,
 * or are longer than HISTORY_LINE_BYTES, are left out, and a last line without its end. P2P_UNREADABLE if the
 * file can't be read. *run receives the identity in the first line, or "". */
enum { HISTORY_LINE_BYTES = 8192, HISTORY_RUN_BYTES = 33 };
p2p_status history_read(history *past, const char *path, const history_watch *watch, /* NULL: none */
                        char run[HISTORY_RUN_BYTES]);

/* The rate of single steps varies, and more so in short epochs, after each of which the device is idle. So
 * each point of "images_per_s" is the mean rate of steps that took at least this long together, or of all if
 * all took less. */
enum { HISTORY_RATE_SECONDS = 5 };

/* The epochs that have ended, and the steps until the end of the last one; 0: none has. */
void history_position(const history *past, int64_t *epochs, int64_t *steps);

/* {"steps": N, "epochs": N, "rate_seconds": HISTORY_RATE_SECONDS, "began": TIME, "ended": TIME,
 * "seconds": X, "best": {"epoch": N, "step": N, "l1": X}, "mean_target": X, "curves": {NAME: CURVE, ...}}.
 * Absent: what is not known; "ended" is the time of the last line, "seconds" the duration without what lies
 * before lines with "resumed". A curve has the name of its field; those of the means over an epoch begin with
 * "epoch_". NULL if memory runs out. */
json_t *history_to_json(const history *past);

#endif
