/* The data set of settings. See setup.h. */
#include "setup.h"

#include "data/pair_alpha.h"
#include "data/pair_seam.h"
#include "host/sys.h"
#include "host/text.h"
#include "image/image_limits.h"
#include "setup_sharing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void report_skipped(const char *split, const dataset *data) {
    const int64_t skipped = dataset_skipped(data);
    if (skipped == 0) return;
    text_line(stderr, "%s: %" PRId64 " left out as unusable%s", split, skipped,
              skipped > DATASET_REASONS ? ", the first of them:" : ":");
    for (int i = 0; i < skipped && i < DATASET_REASONS; i++)
        text_print_line("  ", dataset_skipped_reason(data, i), stderr);
}

/* One line, such as "train: 400 pairs of 256 x 256 pixels, side by side in the pictures in toys/train". */
static void report_pairs(const char *split, const dataset *data) {
    const dataset_summary found = dataset_summarise(data);
    const pair_size small = found.sizes.smallest, large = found.sizes.largest;
    char sizes[96] = "";
    if (found.sizes.different > 1)
        snprintf(sizes, sizeof sizes, "%" PRId64 " sizes, %d x %d to ", found.sizes.different, small.width,
                 small.height);
    text_line(stderr, "%s: %" PRId64 " pair%s of %s%d x %d pixels, %s%s%s%s", split, dataset_count(data),
              dataset_count(data) == 1 ? "" : "s", sizes, large.width, large.height,
              found.b == NULL ? "side by side in the pictures in " : "in ", found.a,
              found.b == NULL ? "" : " and ", found.b == NULL ? "" : found.b);
}

static void report_turned(const char *split, const dataset *data) {
    const int64_t turned = dataset_turned(data).pictures;
    if (turned > 0)
        text_line(stderr, "%s: %" PRId64 " picture%s turned upright by EXIF data", split, turned,
                  turned == 1 ? " is" : "s are");
}

/* Thumbnails also make sizes mixed, so that translate would resize each picture to a square. */
static void warn_of_tiny(const char *split, const dataset *data) {
    const dataset_tiny tiny = dataset_tiny_pairs(data);
    if (tiny.count == 0) return;
    text_line(stderr,
              "%s: warning: %" PRId64
              " pair%s as small as thumbnails of the others, such as %s of %d x %d pixels; "
              "move them elsewhere if they are thumbnails",
              split, tiny.count, tiny.count == 1 ? " is" : "s are", dataset_name(data, tiny.sample),
              tiny.size.width, tiny.size.height);
}

static void warn_of_seams(const settings *all, const char *split, const dataset *data) {
    if (dataset_pairing_named(all->pairs) != DATASET_PAIRS_AUTO || !pair_seam_all_go_on(data)) return;
    text_line(
        stderr,
        "%s: warning: the pictures continue across their middle, as single pictures do; a pair has A on the "
        "left and B on the right (--pairs side-by-side: they are pairs)",
        split);
}

static void warn_of_alpha(const char *split, const dataset *data) {
    pair_alpha found;
    if (!pair_alpha_find(data, &found)) return;
    text_line(
        stderr,
        "%s: warning: alpha is dropped, and %s of %s is transparent in places: the colours below, often "
        "black, become visible (p2p train --channels-%s 4 keeps alpha; else put it on a background)",
        split, found.target ? "the target" : "the input", dataset_name(data, found.sample),
        found.target ? "out" : "in");
}

p2p_status setup_split_open(const settings *all, const setup_split *wanted, dataset **data) {
    const bool skip = strcmp(all->on_bad_image, "skip") == 0, a_to_b = strcmp(wanted->direction, "AtoB") == 0;
    const dataset_options options = {.direction = a_to_b ? DATASET_A_TO_B : DATASET_B_TO_A,
                                     .pairing = dataset_pairing_named(all->pairs),
                                     .training = wanted->training,
                                     .channels_in = wanted->channels_in,
                                     .channels_out = wanted->channels_out,
                                     .side = wanted->side,
                                     .skip_bad = skip,
                                     .replace_bad = skip && wanted->replace_bad};
    P2P_TRY(dataset_open(data, all->data, wanted->split, &options));
    report_pairs(wanted->split, *data);
    report_skipped(wanted->split, *data);
    report_turned(wanted->split, *data);
    dataset_print_unread(*data);
    warn_of_tiny(wanted->split, *data);
    warn_of_alpha(wanted->split, *data);
    warn_of_seams(all, wanted->split, *data);
    return P2P_OK;
}

p2p_status setup_out_check(const settings *all) {
    const char *const splits[] = {"train", "val", "test", all->split};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (splits[i] != NULL) P2P_TRY(dataset_outside(all->data, splits[i], "--out", all->out));
    return P2P_OK;
}

_Static_assert((int)SETTINGS_MAX_PIXELS == (int)IMAGE_MAX_PIXELS, "--max-pixels allows any picture");

/* `half`: of the memory that is available, for a `--memory` that was not given. */
static p2p_status limit_pictures(const settings *all, uint64_t half) {
    if (all->max_pixels == 0) return P2P_OK; /* not an option of the command */
    const image_limits limits = {.max_pixels = (uint64_t)all->max_pixels,
                                 .memory = all->memory > 0 ? (uint64_t)all->memory : half};
    return image_limits_set(&limits);
}

p2p_status setup_pictures(const settings *all) {
    sys_memory available;
    return limit_pictures(all, sys_memory_available(&available) ? available.bytes / 2 : UINT64_MAX);
}

/* The least of all ranks, so that none leaves out a picture that another one reads. */
static p2p_status least_of(const ranks *r, uint64_t *bytes) {
    uint64_t *all = calloc((size_t)ranks_size(r), sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d ranks", ranks_size(r));
    const p2p_status status = ranks_gather(r, bytes, sizeof *bytes, all);
    for (int rank = 0; rank < ranks_size(r) && status == P2P_OK; rank++)
        if (all[rank] < *bytes) *bytes = all[rank];
    free(all);
    return status;
}

p2p_status setup_pictures_of_ranks(const settings *all, const ranks *r) {
    const setup_devices none = {.count = 0};
    memory_sharing sharing;
    if (ranks_size(r) == 1) return P2P_OK;
    P2P_TRY(setup_share_memory(r, &none, &sharing));
    const bool known = sharing.available.bytes != UINT64_MAX;
    uint64_t half = known ? sharing.available.bytes / 2 / (uint64_t)sharing.processes : UINT64_MAX;
    P2P_TRY(least_of(r, &half));
    return limit_pictures(all, half);
}
