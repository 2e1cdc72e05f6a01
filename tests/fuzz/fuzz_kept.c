/* The OpenCL backend's choices as its cache keeps them (ocl_choice_text.h). The first line is the descriptor
 * that is looked for, the rest is the text. */
#include "fuzz.h"

#include "conv/ocl_choice_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A choice that was read can be written, and is read again. */
static void check_replacing(const char *text, const char *descriptor, const ocl_choice *choice) {
    ocl_choice again;
    char before[P2P_CHOICE_NAME], after[P2P_CHOICE_NAME];
    char *replaced = ocl_choice_text_replace(text, descriptor, choice);
    fuzz_require(replaced != NULL, "memory for a text");
    fuzz_require(ocl_choice_text_find(replaced, descriptor, &again), "what was written is found");
    ocl_conv_way_print(&choice->way, before);
    ocl_conv_way_print(&again.way, after);
    fuzz_require(strcmp(before, after) == 0, "and is the same way");
    free(replaced);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *text = fuzz_text(bytes, size);
    char *end = strchr(text, '\n');
    ocl_choice choice;
    if (end && end > text) {
        *end = '\0';
        if (ocl_choice_text_find(end + 1, text, &choice)) {
            fuzz_require(isfinite(choice.seconds) && choice.seconds > 0 && isfinite(choice.default_seconds) &&
                             choice.default_seconds > 0,
                         "times are positive and finite");
            check_replacing(end + 1, text, &choice);
        }
    }
    free(text);
    return 0;
}
