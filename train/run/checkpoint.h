/* Checkpoints: the complete state of a training in one safetensors file. A resumed training computes the same
 * bits as one that was not interrupted.
 *
 * OUT/checkpoints/step-NNNNNNNNN.safetensors has the parameters, Adam's moments and the running statistics of
 * both networks. Its metadata have the settings, the position in the data, and the epoch's sums so far. A
 * file appears complete or not at all. The newest CHECKPOINT_KEEP are kept. FORMATS.md lists the fields.
 */
#ifndef P2P_CHECKPOINT_H
#define P2P_CHECKPOINT_H

#include "metrics.h"
#include "pix2pix.h"

enum { CHECKPOINT_KEEP = 2 };

/* The position of a training. */
typedef struct {
    int64_t step; /* steps made */
    /* The next batch: the epoch, and the batch within it, both from 0. `batch` equals the number of batches
     * between an epoch's last step and the end of its validation. */
    int64_t epoch, batch;
    loss_values sums;   /* sum over the epoch's steps so far of losses times images */
    int64_t images;     /* the epoch's images so far */
    int64_t best_epoch; /* the epoch with the smallest validation L1, from 1; 0: none yet */
    double best_l1;
} training_position;

/* The identity of the training data, which must be equal when a training is resumed. */
typedef struct {
    int64_t pairs;
    uint64_t names_hash; /* FNV-1a of all relative paths in order */
} data_identity;

typedef struct {
    training_position position;
    data_identity data;
    json_t *settings; /* of settings_to_json; owned */
    char *choices;    /* of p2p_session_choices_text; owned; NULL: an older file without choices */
} checkpoint_info;

void checkpoint_info_free(checkpoint_info *info);

/* Write a checkpoint to the folder, then remove all but the newest CHECKPOINT_KEEP. The session is idle. */
p2p_status checkpoint_save(const char *folder, const checkpoint_info *info, p2p_session *session,
                           const pix2pix *model);

/* Find the newest checkpoint of the folder, or, with `newer` above 0, the one that has `newer` newer ones.
 * The caller frees *path; it is NULL if there is none. */
p2p_status checkpoint_find(const char *folder, int newer, char **path);

/* Find the newest checkpoint whose checksums are right. Newer ones that are damaged get the suffix
 * CHECKPOINT_DAMAGED, with a warning for each, so that they are not taken for checkpoints again. The caller
 * frees *path; it is NULL if the folder has no checkpoint. P2P_INPUT if none is intact, or if one can't be
 * opened: then nothing is renamed. */
#define CHECKPOINT_DAMAGED ".damaged"
p2p_status checkpoint_find_intact(const char *folder, char **path);

/* Read position, identity, settings and choices; needs no device. P2P_INPUT if the file is not a checkpoint
 * or is damaged. Call checkpoint_info_free() in any case. */
p2p_status checkpoint_read_info(const char *path, checkpoint_info *info);

/* Load the tensors into the session. P2P_INPUT, with the tensor's name in the message, if one is missing or
 * has the wrong shape. */
p2p_status checkpoint_load(const char *path, p2p_session *session, const pix2pix *model);

#endif
