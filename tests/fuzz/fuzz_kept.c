/* Choices of algorithms as the cache keeps them (p2p_tune.h). The first line is the descriptor
 * that is looked for, the rest is the text. */
#include "fuzz.h"

#include "p2p_tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A choice that was read can be written, and is read again. */
static void check_replacing(const char *text, const char *descriptor, const p2p_choice *choice) {
    p2p_choice again;
    char *replaced = p2p_tune_text_replace(text, descriptor, choice);
    fuzz_require(replaced != NULL, "memory for a text");
    fuzz_require(p2p_tune_text_find(replaced, descriptor, &again), "what was written is found");
    fuzz_require(strcmp(choice->name, again.name) == 0, "and is the same algorithm");
    free(replaced);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *text = fuzz_text(bytes, size);
    char *end = strchr(text, '\n');
    p2p_choice choice;
    if (end && end > text) {
        *end = '\0';
        if (p2p_tune_text_find(end + 1, text, &choice)) {
            fuzz_require(isfinite(choice.seconds) && choice.seconds > 0 && isfinite(choice.default_seconds) &&
                             choice.default_seconds > 0,
                         "times are positive and finite");
            check_replacing(end + 1, text, &choice);
        }
    }
    free(text);
    return 0;
}
