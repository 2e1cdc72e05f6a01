/* Damages a safetensors file that p2p wrote, in every way of a list, and requires that each damage is found.
 */
#ifndef SAFETENSORS_DAMAGE_H
#define SAFETENSORS_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

/* Flips bits: every `data_step`th of the data and of the length in front, every `header_step`th of the
 * header; 1: all. A damaged file must be refused, by safetensors_open or safetensors_verify, or hold the same
 * metadata and tensors as the whole file. The same for every `cut_step`th shorter length, and for files with
 * up to 16 bytes more. Prints the numbers, and fails the test otherwise. */
void safetensors_damage(const char *path, size_t header_step, size_t data_step, size_t cut_step);

#endif
