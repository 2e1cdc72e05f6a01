/* Event files, which TensorBoard reads: records (TFRecord) of messages in the encoding of protocol buffers.
 * Only what a training needs: scalars, PNG pictures, hyper-parameters.
 *
 * TensorBoard reads a file while it grows. A file is never changed but by appending: a process writes one of
 * its own, and names the step from which its events replace those of older files.
 */
#ifndef P2P_EVENT_FILE_H
#define P2P_EVENT_FILE_H

#include "p2p_status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct event_file event_file;

/* Make a file in `folder`, which exists. Its name is new there, and contains `run`, the identity of the
 * training; "" for a training of an older version. The first event has the version; the second, if first_step
 * > 1, makes events of older files from that step on void. P2P_IO if it can't be written. */
p2p_status event_file_create(event_file **file, const char *folder, const char *run, int64_t first_step);
/* Whether a name is that of a file of such a training; *run is its identity, in `name`. */
bool event_file_run(const char *name, const char **run);
/* Close it. NULL is ignored. */
void event_file_close(event_file *file);

typedef struct {
    const char *tag;
    double value; /* left out unless it is finite */
} event_scalar;

/* Add an event with scalars. */
p2p_status event_file_scalars(event_file *file, int64_t step, const event_scalar *scalars, int count);
/* Add an event with a picture: the bytes of a PNG of RGB. */
p2p_status event_file_picture(event_file *file, int64_t step, const char *tag, int width, int height,
                              const uint8_t *png, size_t size);
/* Add the hyper-parameters: the strings, numbers and booleans of an object. `group` is a name of the
 * training. */
p2p_status event_file_settings(event_file *file, const json_t *settings, const char *group);
/* Hand what was added to the system. */
p2p_status event_file_flush(event_file *file);

/* The CRC-32C of bytes (Castagnoli's polynomial). */
uint32_t event_file_crc(const uint8_t *bytes, size_t size);

#endif
