/* A generator's file, ready for pictures: what `p2p translate` and `p2p test` share.
 *
 * Pictures of one size need a session of their own; it stays until another size is asked for, so callers take
 * sizes one after the other. Which pictures, and what becomes of the results, is not known here.
 */
#ifndef P2P_TRANSLATOR_H
#define P2P_TRANSLATOR_H

#include "evaluate.h"
#include "model_file.h"
#include "options/options.h"

typedef struct {
    const settings *all;
    char *path; /* of the generator's file */
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    pair_format format; /* of the model's pictures */
    p2p_device *device;
    p2p_graph *graph;
    p2p_session *session;
    evaluator evaluator; /* of the session; batch 0: none yet */
} translator;

/* Find and check what --model, --epoch and --norm-stats ask for; opens no device. Call translator_close() in
 * any case. */
p2p_status translator_open(translator *t, const settings *all);
p2p_status translator_open_device(translator *t);
void translator_close(translator *t);

/* "image" or "running", "on" or "off": how the generator runs. */
const char *translator_norm_stats(const translator *t);
const char *translator_dropout(const translator *t);

/* Both sides of a picture must be multiples of this. */
int translator_unit(const translator *t);

/* Make translator.evaluator one for runs of `batch` pictures of width x height, as --norm-stats and
 * --test-dropout say. */
p2p_status translator_prepare(translator *t, int width, int height, int batch);

#endif
