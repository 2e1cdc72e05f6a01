/* Everything a program does with a file, on arbitrary bytes: for the mutation test and the fuzzer. */
#ifndef SAFETENSORS_EXERCISE_H
#define SAFETENSORS_EXERCISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Open `bytes` as a safetensors file; if that works, read every tensor, and describe the file as a model.
 * Aborts if an open file violates safetensors.h. Returns whether the file opened. */
bool safetensors_exercise(const uint8_t *bytes, size_t size);

#endif
