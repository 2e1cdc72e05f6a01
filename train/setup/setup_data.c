/* The data set of settings. See setup.h. */
#include "setup.h"

#include "host/sys.h"
#include "host/text.h"

#include <inttypes.h>
#include <string.h>

static void report_skipped(const char *split, const dataset *data) {
    const int64_t skipped = dataset_skipped(data);
    if (skipped == 0) return;
    text_line(stderr, "%s: %" PRId64 " left out as unusable%s", split, skipped,
              skipped > DATASET_REASONS ? ", the first of them:" : ":");
    for (int i = 0; i < skipped && i < DATASET_REASONS; i++)
        text_print_line("  ", dataset_skipped_reason(data, i), stderr);
}

p2p_status setup_split_open(const settings *all, const char *split, const char *direction, bool replace_bad,
                            dataset **data) {
    const bool skip = strcmp(all->on_bad_image, "skip") == 0;
    const dataset_options options = {.direction =
                                         strcmp(direction, "AtoB") == 0 ? DATASET_A_TO_B : DATASET_B_TO_A,
                                     .skip_bad = skip,
                                     .replace_bad = skip && replace_bad};
    P2P_TRY(dataset_open(data, all->data, split, &options));
    report_skipped(split, *data);
    return P2P_OK;
}
