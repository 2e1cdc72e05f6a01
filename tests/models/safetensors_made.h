/* Safetensors files made by hand. */
#ifndef SAFETENSORS_MADE_H
#define SAFETENSORS_MADE_H

#include <stddef.h>

/* The path of a file in the test's own folder, with this header text and `data_bytes` bytes of data, which
 * are small positive numbers in every dtype. */
const char *safetensors_made(const char *header, size_t data_bytes);

#endif
