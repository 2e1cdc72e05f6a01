/* What the mutation test and the fuzzer do with arbitrary bytes: everything a program would do with a file.
 */
#ifndef SAFETENSORS_EXERCISE_H
#define SAFETENSORS_EXERCISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Open `bytes` as a safetensors file; if that works, read every tensor, and describe the file as a model.
 * Aborts when an open file breaks a promise of safetensors.h. Returns whether it opened. */
bool safetensors_exercise(const uint8_t *bytes, size_t size);

#endif
