/* All uses of a safetensors file, on arbitrary bytes, for the mutation test and the fuzzer. */
#ifndef SAFETENSORS_EXERCISE_H
#define SAFETENSORS_EXERCISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens `bytes` as a safetensors file. If that succeeds, reads every tensor and the file's description as a
 * model. Aborts if an open file violates safetensors.h. Returns whether the file was opened. */
bool safetensors_exercise(const uint8_t *bytes, size_t size);

#endif
