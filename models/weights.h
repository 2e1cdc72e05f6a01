/* A session's parameters as named tensors of a safetensors file, and back.
 *
 * A network's parameters have the names and layouts of PyTorch's state dictionary, with one exception:
 * running statistics are one parameter here ("x.running") and three tensors there ("x.running_mean",
 * "x.running_var", and the count "x.num_batches_tracked"). Adam's moments have the same names after a prefix.
 * The kinds of files are defined in model_file.h and train/run/checkpoint.h.
 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "safetensors.h"

/* One part of one network, as a group of tensors whose names begin with `prefix`. */
typedef struct {
    p2p_network *network;
    p2p_state_part part;  /* running statistics belong to P2P_STATE_VALUE alone */
    const char *prefix;   /* including its dot: "moment1."; "" for none */
    int64_t passes;       /* num_batches_tracked (pix2pix_passes); written with values, never read */
    bool biases_may_lack; /* when reading, a bias absent from the file is 0 (state_dict.h) */
    bool any_device;      /* when reading: numbers must fit float32, also on a device that stores f64 */
    int replica;  /* above 0: the running statistics of replica number `replica` - 1, and nothing else */
    bool ignored; /* when reading: its tensors are in the file, and are not used */
} weights_group;

/* Declare and write all tensors of the groups. The caller adds metadata before and commits afterwards. `type`
 * is f32, or f64 to keep every bit of a device that computes in double precision. P2P_DIVERGED names a
 * parameter that contains an infinity or NaN. */
p2p_status weights_write(p2p_session *session, safetensors_writer *writer, const weights_group *groups,
                         int count, p2p_type type);

/* The tensor of this name, or of "module.<name>", as PyTorch's parallel wrappers save it; NULL if there is
 * neither. */
const safetensors_entry *weights_find(const safetensors_file *file, const char *name);

/* Check that the file contains exactly the groups' tensors. P2P_INPUT names the first tensor that is missing,
 * has another shape (the message has both), or belongs to no group. Old files are accepted:
 * num_batches_tracked may be missing, and running statistics may be present for normalisations that have none
 * (PyTorch once kept them for instance norm; they are ignored). Needs no device. */
p2p_status weights_check(const safetensors_file *file, const weights_group *groups, int count);

/* weights_check, then copy every tensor to every replica of the session, then safetensors_verify. P2P_INPUT,
 * besides their errors, names the first tensor whose elements are not all finite, are too large for the
 * session's type or, with any_device, for float32, or are negative in a variance or a second moment, and
 * counts them. After a failure the session's parameters are undefined. */
p2p_status weights_read(p2p_session *session, safetensors_file *file, const weights_group *groups, int count);

#endif
