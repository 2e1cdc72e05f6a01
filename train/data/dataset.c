/* Pictures, order and bad pairs of a data set. See dataset.h. Layouts and the pairing of files are in
 * dataset_files.c. */
#include "dataset.h"
#include "dataset_files.h"
#include "host/sys.h"
#include "p2p_philox.h"

#include <stdlib.h>
#include <string.h>

struct dataset {
    dataset_options options;
    dataset_files files;
    int bits[2]; /* of A and B: the maximum over the files */
    int64_t skipped;
    char *reasons[DATASET_REASONS];
};

bool dataset_has_split(const char *dir, const char *split) {
    return dataset_files_present(dir, split);
}

/* ---- Bad pairs ---------------------------------------------------------------------------------------- */

/* Whether a failure is due to the pair's files, not to this process. */
static bool is_bad_pair(p2p_status status) {
    return status == P2P_INPUT || status == P2P_IO;
}

/* Count an omitted pair. Its reason is the calling thread's message. */
static p2p_status note_skipped(dataset *data) {
    if (data->skipped < DATASET_REASONS) {
        data->reasons[data->skipped] = strdup(p2p_message());
        if (data->reasons[data->skipped] == NULL)
            return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to keep a message");
    }
    data->skipped++;
    return P2P_OK;
}

int64_t dataset_skipped(const dataset *data) {
    return data->skipped;
}

const char *dataset_skipped_reason(const dataset *data, int i) {
    return data->reasons[i];
}

static p2p_status check_width(const char *path, int width) {
    if (width % 2 == 0) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is %d pixels wide: an odd width can't be split into two halves", path, width);
    return p2p_hint(P2P_INPUT, "a pair is one picture with A on the left and B, equally large, on the right");
}

static p2p_status check_equal(const char *a, int a_width, int a_height, const char *b, int b_width,
                              int b_height) {
    if (a_width == b_width && a_height == b_height) return P2P_OK;
    return p2p_fail(P2P_INPUT,
                    "%s is %d x %d pixels, but %s is %d x %d: a pair's pictures must be equally large", a,
                    a_width, a_height, b, b_width, b_height);
}

/* ---- Opening ------------------------------------------------------------------------------------------ */

static p2p_status probe_pair(const dataset_paths *paths, image_header headers[2]) {
    P2P_TRY(image_probe(paths->a, &headers[0]));
    headers[1] = headers[0];
    if (paths->b == NULL) return check_width(paths->a, headers[0].width);
    P2P_TRY(image_probe(paths->b, &headers[1]));
    return check_equal(paths->a, headers[0].width, headers[0].height, paths->b, headers[1].width,
                       headers[1].height);
}

static p2p_status check_pair(dataset *data, size_t index) {
    dataset_paths paths;
    image_header headers[2];
    P2P_TRY(dataset_files_paths(&data->files, index, &paths));
    p2p_status status = probe_pair(&paths, headers);
    dataset_paths_free(&paths);
    for (int side = 0; status == P2P_OK && side < 2; side++)
        if (headers[side].bits > data->bits[side]) data->bits[side] = headers[side].bits;
    return status;
}

/* Read every pair's headers. A bad pair is a failure, or is omitted. */
static p2p_status check_pairs(dataset *data) {
    size_t kept = 0;
    for (size_t i = 0; i < data->files.count; i++) {
        p2p_status status = check_pair(data, i);
        if (status == P2P_OK)
            dataset_files_move(&data->files, i, kept++);
        else if (data->options.skip_bad && is_bad_pair(status))
            P2P_TRY(note_skipped(data));
        else
            return status;
    }
    dataset_files_shorten(&data->files, kept);
    return P2P_OK;
}

/* A file without a partner is a failure, or is omitted. */
static p2p_status check_singles(dataset *data) {
    for (size_t i = 0; i < data->files.single_count; i++) {
        p2p_status status = dataset_files_single(&data->files, i);
        if (!data->options.skip_bad) return status;
        P2P_TRY(note_skipped(data));
    }
    return P2P_OK;
}

static p2p_status check_some_left(const dataset *data, const char *dir, const char *split) {
    if (data->files.count > 0) return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s has no usable pair for %s: all %lld were left out; the first: %s", dir,
                    split, (long long)data->skipped, data->reasons[0]);
}

p2p_status dataset_open(dataset **result, const char *dir, const char *split,
                        const dataset_options *options) {
    *result = NULL;
    dataset *data = calloc(1, sizeof *data);
    if (data == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a data set");
    data->options = *options;
    data->bits[0] = data->bits[1] = 8;
    p2p_status status = dataset_files_list(&data->files, dir, split);
    if (status == P2P_OK) status = check_singles(data);
    if (status == P2P_OK) status = check_pairs(data);
    if (status == P2P_OK) status = check_some_left(data, dir, split);
    if (status != P2P_OK) {
        dataset_close(data);
        return status;
    }
    *result = data;
    return P2P_OK;
}

void dataset_close(dataset *data) {
    if (data == NULL) return;
    dataset_files_free(&data->files);
    for (int i = 0; i < DATASET_REASONS; i++) free(data->reasons[i]);
    free(data);
}

int64_t dataset_count(const dataset *data) {
    return (int64_t)data->files.count;
}

pair_format dataset_format(const dataset *data, int channels_in, int channels_out) {
    bool b_to_a = data->options.direction == DATASET_B_TO_A;
    return (pair_format){.input = {channels_in, data->bits[b_to_a]},
                         .target = {channels_out, data->bits[!b_to_a]}};
}

const char *dataset_name(const dataset *data, int64_t sample) {
    return data->files.pairs[sample].a;
}

p2p_status dataset_pair_paths(const dataset *data, int64_t sample, char **a, char **b) {
    dataset_paths paths;
    P2P_TRY(dataset_files_paths(&data->files, (size_t)sample, &paths));
    *a = paths.a;
    *b = paths.b;
    return P2P_OK;
}

/* ---- Loading ------------------------------------------------------------------------------------------ */

void image_pair_free(image_pair *pair) {
    for (int i = 0; i < 4; i++) image_free(&pair->pictures[i]);
    *pair = (image_pair){0};
}

/* If the view has another format, replace it by a view of a converted copy in `storage`. */
static p2p_status convert_view(image_view *view, image_format format, image *storage) {
    if (image_format_equal(image_view_format(*view), format)) return P2P_OK;
    P2P_TRY(image_convert(*view, format, storage));
    *view = image_view_of(storage);
    return P2P_OK;
}

static image_view half(const image *both, bool right) {
    int width = both->width / 2;
    return image_view_crop(image_view_of(both), right ? width : 0, 0, width, both->height);
}

/* A and B in the formats of their files. Sizes are checked again, because files may have changed since the
 * set was opened. */
static p2p_status load_sides(const dataset_paths *paths, image *pictures, image_view sides[2]) {
    P2P_TRY(image_load(paths->a, &pictures[0]));
    if (paths->b == NULL) {
        P2P_TRY(check_width(paths->a, pictures[0].width));
        sides[0] = half(&pictures[0], false);
        sides[1] = half(&pictures[0], true);
        return P2P_OK;
    }
    P2P_TRY(image_load(paths->b, &pictures[1]));
    P2P_TRY(check_equal(paths->a, pictures[0].width, pictures[0].height, paths->b, pictures[1].width,
                        pictures[1].height));
    sides[0] = image_view_of(&pictures[0]);
    sides[1] = image_view_of(&pictures[1]);
    return P2P_OK;
}

static p2p_status load_exactly(const dataset *data, int64_t sample, pair_format format, image_pair *pair) {
    bool b_to_a = data->options.direction == DATASET_B_TO_A;
    dataset_paths paths;
    image_view sides[2];
    *pair = (image_pair){.sample = sample};
    P2P_TRY(dataset_files_paths(&data->files, (size_t)sample, &paths));
    p2p_status status = load_sides(&paths, pair->pictures, sides);
    dataset_paths_free(&paths);
    if (status == P2P_OK) {
        pair->input = sides[b_to_a];
        pair->target = sides[!b_to_a];
        status = convert_view(&pair->input, format.input, &pair->pictures[2]);
    }
    if (status == P2P_OK) status = convert_view(&pair->target, format.target, &pair->pictures[3]);
    if (status != P2P_OK) image_pair_free(pair);
    return status;
}

p2p_status dataset_load(const dataset *data, int64_t sample, pair_format format, image_pair *pair) {
    int64_t count = dataset_count(data), tries = data->options.replace_bad ? count : 1;
    p2p_status status = P2P_OK;
    for (int64_t i = 0; i < tries; i++) {
        status = load_exactly(data, (sample + i) % count, format, pair);
        if (!is_bad_pair(status)) return status;
    }
    return status;
}

void dataset_order(int64_t *order, int64_t count, bool shuffle, uint64_t seed, int64_t epoch) {
    for (int64_t i = 0; i < count; i++) order[i] = i;
    if (!shuffle) return;
    p2p_draw draw = {.seed = seed, .stream = p2p_name_hash("shuffle"), .epoch = (uint32_t)epoch};
    for (int64_t last = count - 1; last > 0; last--) {
        int64_t chosen = p2p_draw_below(&draw, (uint64_t)last, (uint32_t)last + 1);
        int64_t moved = order[last];
        order[last] = order[chosen];
        order[chosen] = moved;
    }
}
