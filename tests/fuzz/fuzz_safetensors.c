/* Safetensors files, and model files' metadata: see safetensors_exercise.h. test_model_file makes random
 * mutations of such files in every run. */
#include "fuzz.h"

#include "models/safetensors_exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    safetensors_exercise(bytes, size);
    return 0;
}
