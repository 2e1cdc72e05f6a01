/* Model files: the weights of a network and the metadata to build it again, so that using one needs no
 * options. They do not contain optimiser state; checkpoints do.
 */
#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include "pix2pix.h"
#include "weights.h"

/* What a file records of the pictures that the training resized to the configuration's size. */
typedef enum {
    MODEL_SOURCE_UNKNOWN, /* nothing: a bare file, or one of an earlier version */
    MODEL_SOURCE_ONE,     /* all pictures had one size */
    MODEL_SOURCE_MIXED    /* pictures had several sizes */
} model_source;

/* The identity of a training: 32 hexadecimal digits and the terminator; "" if it is unknown. */
enum { MODEL_FILE_RUN_BYTES = 33 };

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
    model_source source;
    int source_width, source_height; /* of MODEL_SOURCE_ONE, in pixels; else 0 */
    /* The side to which training pictures were resized before the random crop to the configuration's size,
     * which is equal if there was no crop. 0 if `source` is MODEL_SOURCE_UNKNOWN. */
    int load_size;
    char run[MODEL_FILE_RUN_BYTES]; /* the training that wrote it; "" for files without the field */
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

/* Which state of which training a file of p2p's has. */
typedef struct {
    bool foreign;      /* a readable file that p2p did not write; the other fields are zero */
    bool is_generator; /* otherwise a discriminator */
    int64_t step, epoch;
    char run[MODEL_FILE_RUN_BYTES];
} model_file_identity;

/* Read the identity of a generator's or a discriminator's file. Tensors are not read. P2P_INPUT if the file
 * is damaged or of another format. */
p2p_status model_file_identify(const char *path, model_file_identity *identity);

/* The same after all of the file was read and compared with its checksum (safetensors_verify). */
p2p_status model_file_verify(const char *path, model_file_identity *identity);

/* Whether a text is an identity: 32 lower hexadecimal digits. */
bool model_file_is_run(const char *text);

/* Whether `found` is what damage can have made of the identity `run`: no identity, or one of which a few
 * digits differ. Those of two trainings differ in nearly all. */
bool model_file_run_is_damaged(const char *found, const char *run);

/* Copy an open file's weights into a session's network. */
p2p_status model_file_read(p2p_session *session, safetensors_file *file, p2p_network *network);

/* Check that the file holds the network: its kind if it describes itself, names and shapes of tensors. Needs
 * no device. P2P_INPUT names the path and the first error. */
p2p_status model_file_check(p2p_network *network, const char *path);

/* model_file_read from a path, with or without metadata: initial weights from p2p or PyTorch. */
p2p_status model_file_load(p2p_session *session, p2p_network *network, const char *path);

#endif
