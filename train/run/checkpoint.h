/* Checkpoints: everything that a training needs to go on bit for bit, in one safetensors file.
 *
 * OUT/checkpoints/step-NNNNNNNNN.safetensors holds every parameter, Adam's moments and the running statistics
 * of both networks; its metadata hold the settings, the position in the data and the epoch's sums so far. A
 * file appears complete or not at all. The newest CHECKPOINT_KEEP stay.
 */
#ifndef P2P_CHECKPOINT_H
#define P2P_CHECKPOINT_H

#include "metrics.h"
#include "pix2pix.h"

enum { CHECKPOINT_KEEP = 2 };

/* Where a training stands. */
typedef struct {
    int64_t step;         /* steps made */
    int64_t epoch, batch; /* the next batch to train on: epoch from 0, batch within it from 0; the number of
                             batches where the epoch's steps are made and its validation is still to come */
    loss_values sums;     /* over the epoch's images so far, each step's losses times its images */
    int64_t images;       /* the epoch's images so far */
    int64_t best_epoch;   /* the ended epoch of the smallest validation L1, from 1; 0: none yet */
    double best_l1;
} training_position;

/* What identifies the training data: it must not change under a resumed training. */
typedef struct {
    int64_t pairs;
    uint64_t names_hash; /* of all relative paths in order */
} data_identity;

typedef struct {
    training_position position;
    data_identity data;
    json_t *settings; /* of settings_to_json; owned by whoever holds the checkpoint_info, */
    char *choices; /* and so is p2p_session_choices_text; NULL: the file is from before there were choices */
} checkpoint_info;

void checkpoint_info_free(checkpoint_info *info);

/* Write the next checkpoint of the folder, then remove all but the newest. */
p2p_status checkpoint_save(const char *folder, const checkpoint_info *info, p2p_session *session,
                           const pix2pix *model);

/* The newest checkpoint of the folder but `newer` others: *path is the caller's to free(), NULL when there is
 * none. */
p2p_status checkpoint_find(const char *folder, int newer, char **path);

/* Settings and position alone, before any device is opened. */
p2p_status checkpoint_read_info(const char *path, checkpoint_info *info);

/* Put a checkpoint's tensors into the session. P2P_INPUT names what is missing or of the wrong shape. */
p2p_status checkpoint_load(const char *path, p2p_session *session, const pix2pix *model);

#endif
