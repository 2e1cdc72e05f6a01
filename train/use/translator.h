/* A generator loaded from a file and prepared for pictures, for `p2p translate` and `p2p test`.
 *
 * A session is for pictures of one size. It is kept until another size is prepared, so callers process
 * pictures size by size.
 */
#ifndef P2P_TRANSLATOR_H
#define P2P_TRANSLATOR_H

#include "evaluate.h"
#include "model_file.h"
#include "options/options.h"
#include "setup/setup_memory.h"

typedef struct {
    const settings *all;
    char *path; /* of the generator's file */
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    pair_format format; /* of the model's inputs and outputs */
    setup_devices devices;
    setup_plan planned;
    p2p_session *session;
    evaluator evaluator; /* of the session; batch 0: none yet */
    uint64_t
        picture_bytes; /* the most memory that reading a picture or a pair takes; they are read one by one */
    memory_change change; /* what the hint of translator_check_memory may propose */
} translator;

/* Open the file of --model and --epoch, and check --norm-stats. Opens no device. Call translator_close() in
 * any case. */
p2p_status translator_open(translator *t, const settings *all);
/* Pictures per run and device for `count` pictures: at most --batch. */
int64_t translator_batch(const translator *t, int64_t count);

/* Open the devices of --backend, --device and --gpus. */
p2p_status translator_open_device(translator *t);
void translator_close(translator *t);

/* Call it between batches. P2P_STOPPED if a signal has requested a stop after `done` of `count` pictures; the
 * message is for users. Otherwise handles these signals from now on. */
p2p_status translator_check_stop(const translator *t, int64_t done, int64_t count);

/* "image" or "running"; "on" or "off". */
const char *translator_norm_stats(const translator *t);
const char *translator_dropout(const translator *t);

/* The filter of --resize; by default that of the model's training. */
resize_filter translator_filter(const translator *t);

/* Both sides of a picture must be multiples of this number. */
int translator_unit(const translator *t);

/* P2P_OUT_OF_MEMORY, with what would fit as hint, if runs of `batch` pictures of width x height need more
 * memory than there is. The device must be open. Allocates nothing. */
p2p_status translator_check_memory(translator *t, int width, int height, int batch);

/* Whether a run of one picture of width x height fits, for a message about that picture. Fails as
 * setup_memory_fit. */
p2p_status translator_fit_picture(translator *t, int width, int height, memory_fit *fit);

/* Prepare translator.evaluator for runs of `batch` pictures of width x height, according to --norm-stats and
 * --test-dropout, if they fit into memory. No effect if it is prepared for them already. */
p2p_status translator_prepare(translator *t, int width, int height, int batch);

#endif
