/* libFuzzer over the safetensors reader and model files' metadata (CMake option P2P_FUZZ, clang only):
 *
 *     build/tests/fuzz_safetensors CORPUS_FOLDER
 *
 * A good initial corpus: tests/golden/batch3_*.safetensors, and the files of `p2p train --ngf 1 --ndf 1`.
 * test_safetensors makes random mutations in every test run; this fuzzer is guided by coverage.
 */
#include "safetensors_exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    safetensors_exercise(bytes, size);
    return 0;
}
