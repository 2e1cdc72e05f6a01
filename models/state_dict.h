/* State dictionaries of the published PyTorch code (latest_net_G.pth), saved as safetensors: files that say
 * nothing about their network.
 *
 * Depth, filters, channels and the kind of normalisation follow from which tensors there are and from their
 * shapes. What leaves no trace in them gets the published defaults. Nothing is read but names and shapes, and
 * nothing is trusted: the network that comes out is checked by those who declare it and compare every tensor.
 */
#ifndef STATE_DICT_H
#define STATE_DICT_H

#include "pix2pix.h"
#include "safetensors.h"

/* The generator that the file's tensors belong to; names may begin with "module.". Channels normalised by
 * scale and shift mean batch norm; biases instead of those, instance norm; neither, none. Dropout 0.5 in the
 * middle blocks, eps 1e-5 and slope 0.2 are defaults, and so are the images' sides: 2^depth, but 256 for a
 * depth below 7. P2P_INPUT with the path when this is no U-Net of pix2pix. */
p2p_status state_dict_infer(const safetensors_file *file, pix2pix_config *config);

/* A state dictionary without normalisation has no biases but the outermost layer's: then the network's other
 * biases are 0. */
bool state_dict_lacks_biases(const safetensors_file *file);

#endif
