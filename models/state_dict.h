/* State dictionaries of the published PyTorch code (latest_net_G.pth), saved as safetensors: files without
 * metadata about their network.
 *
 * Depth, filters, channels and the kind of normalisation are inferred from the names and shapes of tensors.
 * Settings that these do not determine have the published defaults. Values are not read, and the result is
 * not checked here: the caller declares the network and compares every tensor with it.
 */
#ifndef STATE_DICT_H
#define STATE_DICT_H

#include "pix2pix.h"
#include "safetensors.h"

/* The configuration of the generator that the file's tensors belong to. Names may begin with "module.".
 * Scales and shifts imply batch norm; biases without scales, instance norm; neither, no norm. Defaults are
 * dropout 0.5 in the middle blocks, eps 1e-5, slope 0.2, and images of side 2^depth, or 256 for a depth
 * below 7. P2P_INPUT names the path if the tensors are not those of a pix2pix U-Net. */
p2p_status state_dict_infer(const safetensors_file *file, pix2pix_config *config);

/* Whether the file has no biases but the outermost layer's, as a state dictionary without normalisation. The
 * network's other biases are then 0. */
bool state_dict_lacks_biases(const safetensors_file *file);

#endif
