/* Model files: the weights of a network and the metadata to build it again, so that using one needs no
 * options. They do not contain optimiser state; checkpoints do.
 */
#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include "pix2pix.h"
#include "weights.h"

/* The metadata of a file beside the configuration. */
typedef struct {
    bool bare; /* without metadata: a state dictionary of PyTorch's (state_dict.h) */
    /* "AtoB" or "BtoA": which half of a training pair was the input. AtoB for a bare file. */
    char direction[8];
    int64_t step, epoch; /* of the training when the file was written; 0 for a bare file */
    /* Bits of the training's samples, 8 or 16. 8 for a bare file and for files without the field. */
    int input_bits, output_bits;
    /* "bicubic" or "nearest": how the training resized pictures. bicubic for files without the field. */
    char resize[8];
} model_file_info;

/* Write `network`, one of the model's two, to `path`. The file appears complete or not at all. */
p2p_status model_file_save(p2p_session *session, const pix2pix *model, p2p_network *network,
                           const model_file_info *info, const char *path);

/* Read the metadata of an open generator file, or infer the configuration from its tensors if it has none;
 * declare the network and check every tensor against it. Needs no device. P2P_INPUT names the path and the
 * first error. The caller destroys the model. */
p2p_status model_file_describe(const safetensors_file *file, pix2pix **model, model_file_info *info);

/* safetensors_open, then model_file_describe. The caller closes the file. */
p2p_status model_file_open(const char *path, safetensors_file **file, pix2pix **model, model_file_info *info);

/* Copy an open file's weights into a session's network. */
p2p_status model_file_read(p2p_session *session, safetensors_file *file, p2p_network *network);

/* Check that the file holds the network: its kind if it describes itself, names and shapes of tensors. Needs
 * no device. P2P_INPUT names the path and the first error. */
p2p_status model_file_check(p2p_network *network, const char *path);

/* model_file_read from a path, with or without metadata: initial weights from p2p or PyTorch. */
p2p_status model_file_load(p2p_session *session, p2p_network *network, const char *path);

#endif
