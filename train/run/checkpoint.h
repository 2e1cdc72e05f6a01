/* Checkpoints: the complete state of a training in one safetensors file. A resumed training computes the same
 * bits as one that was not interrupted.
 *
 * OUT/checkpoints/step-NNNNNNNNN.safetensors has the parameters, Adam's moments and the running statistics of
 * both networks; of several replicas also those of each, if they differ. Its metadata have the settings, the
 * position in the data, and the epoch's sums so far. A file appears complete or not at all. The newest
 * CHECKPOINT_KEEP are kept. FORMATS.md lists the fields.
 */
#ifndef P2P_CHECKPOINT_H
#define P2P_CHECKPOINT_H

#include "data/dataset.h"
#include "metrics.h"
#include "origin.h"
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

/* The size of all pictures that a training has used, before they were resized. */
typedef struct {
    bool known;     /* false: an older file without it */
    pair_size size; /* {0, 0}: several sizes */
} training_source;

typedef struct {
    training_position position;
    training_origin origin; /* of an older file, the pairs and their names alone */
    training_source source;
    int replicas; /* with running statistics of their own in the file; 0: none. Set by checkpoint_save */
    char run[MODEL_FILE_RUN_BYTES]; /* the identity of the training; "": an older file */
    json_t *settings;               /* of settings_to_json; owned */
    char *choices; /* of p2p_session_choices_text; owned; NULL: an older file without choices */
} checkpoint_info;

void checkpoint_info_free(checkpoint_info *info);

/* Write a checkpoint to the folder, then checkpoint_prune. The session is idle. */
p2p_status checkpoint_save(const char *folder, const checkpoint_info *info, p2p_session *session,
                           const pix2pix *model);

/* Remove all checkpoints but the newest CHECKPOINT_KEEP. Those of another training than `run`, and damaged
 * ones, are left alone. */
p2p_status checkpoint_prune(const char *folder, const char *run);

/* Find the newest checkpoint of the folder, or, with `newer` above 0, the one that has `newer` newer ones.
 * The caller frees *path; it is NULL if there is none. */
p2p_status checkpoint_find(const char *folder, int newer, char **path);

/* Find the newest checkpoint whose checksums are right. Newer ones that are damaged are set aside
 * (sys_file_set_aside), with a warning for each. The caller frees *path; it is NULL if the folder has no
 * checkpoint. P2P_INPUT if none is intact. P2P_UNREADABLE if one can't be read. Then nothing is renamed. */
p2p_status checkpoint_find_intact(const char *folder, char **path);

/* Read position, identity, settings and choices; needs no device. P2P_INPUT if the file is not a checkpoint
 * or is damaged, P2P_UNREADABLE if it can't be read. Call checkpoint_info_free() in any case. */
p2p_status checkpoint_read_info(const char *path, checkpoint_info *info);

/* Load the tensors into the session. Replicas get the mean of the running statistics if their number is
 * another one than before. P2P_INPUT, with the tensor's name in the message, if one is missing or has the
 * wrong shape. */
p2p_status checkpoint_load(const char *path, p2p_session *session, const pix2pix *model);

#endif
