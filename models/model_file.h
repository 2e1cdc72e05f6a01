/* Model files: a network's weights with all that is needed to build it again, so that using one needs no
 * flags. Optimiser state is not in them: a checkpoint holds that.
 */
#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include "pix2pix.h"
#include "weights.h"

/* What a file says beside the configuration. */
typedef struct {
    bool bare; /* it says nothing: a state dictionary of PyTorch's (state_dict.h) */
    char
        direction[8]; /* "AtoB" or "BtoA": which half of a training pair was the input; AtoB of a bare file */
    int64_t step, epoch; /* of training when it was written; 0 of a bare file */
    /* Of the samples that it was trained with, 8 or 16; 8 of a bare file and of one that doesn't say. */
    int input_bits, output_bits;
    char resize[8]; /* "bicubic" or "nearest": how they were brought to size; bicubic where it isn't said */
} model_file_info;

/* Write `network`, one of the model's two, to `path`, atomically. */
p2p_status model_file_save(p2p_session *session, const pix2pix *model, p2p_network *network,
                           const model_file_info *info, const char *path);

/* What an open generator's file is for translation: read its metadata, or infer what they would say from the
 * tensors of a file without, declare its network, check every tensor against it. Needs no device. P2P_INPUT
 * with the path and the first thing that is wrong. The model is the caller's to destroy. */
p2p_status model_file_describe(const safetensors_file *file, pix2pix **model, model_file_info *info);

/* Open and describe. The file is the caller's to close. */
p2p_status model_file_open(const char *path, safetensors_file **file, pix2pix **model, model_file_info *info);

/* Copy an open file's weights into a session's network. */
p2p_status model_file_read(p2p_session *session, safetensors_file *file, p2p_network *network);

/* The same from a path, with or without metadata: initial weights, made by p2p or by PyTorch. */
p2p_status model_file_load(p2p_session *session, p2p_network *network, const char *path);

#endif
