/* Pictures, order and bad pairs of a data set. See dataset.h. Layouts and the pairing of files are in
 * dataset_files.c. */
#include "dataset.h"
#include "dataset_files.h"
#include "image/image_limits.h"
#include "image/resize.h"
#include "p2p_checksum.h"
#include "p2p_philox.h"

#include <stdlib.h>
#include <string.h>

struct dataset {
    dataset_options options;
    dataset_files files;
    int bits[2]; /* of A and B: the maximum over the files */
    pair_sizes sizes;
    dataset_tiny tiny;
    uint64_t pair_bytes; /* the most memory that loading a pair takes */
    dataset_turns turns;
    dataset_alpha alpha[2]; /* of inputs and targets */
    int64_t skipped;
    char *reasons[DATASET_REASONS];
};

dataset_pairing dataset_pairing_named(const char *name) {
    if (strcmp(name, "side-by-side") == 0) return DATASET_PAIRS_SIDE_BY_SIDE;
    return strcmp(name, "two-folders") == 0 ? DATASET_PAIRS_TWO_FOLDERS : DATASET_PAIRS_AUTO;
}

p2p_status dataset_has_split(const char *dir, const char *split, bool *has) {
    return dataset_files_present(dir, split, has);
}

p2p_status dataset_outside(const char *dir, const char *split, const char *option, const char *path) {
    return dataset_files_outside(dir, split, option, path);
}

/* ---- Bad pairs ---------------------------------------------------------------------------------------- */

/* Whether a failure is due to the pair's files, not to this process. */
static bool is_bad_pair(p2p_status status) {
    return status == P2P_INPUT || status == P2P_UNREADABLE || status == P2P_IO;
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

static bool judges(const dataset *data) {
    return data->options.pairing == DATASET_PAIRS_AUTO;
}

/* `b` is ignored if A and B are side by side in one file. */
static p2p_status check_sizes(const dataset *data, const dataset_paths *paths, pair_size a, pair_size b,
                              pair_size *size) {
    if (paths->b == NULL)
        P2P_TRY(pair_shape_of_halves(paths->a, a.width, a.height, judges(data), size));
    else
        P2P_TRY(pair_shape_of_two(paths->a, &a, paths->b, &b));
    if (paths->b != NULL) *size = a;
    if (!judges(data) || data->options.training == NULL) return P2P_OK;
    return pair_shape_like(paths->a, *size, &data->options.training->sizes);
}

/* ---- Memory ------------------------------------------------------------------------------------------- */

/* A pair's files: their headers, and the formats of A and B to which they are converted. */
typedef struct {
    bool side_by_side; /* then both facts are those of the one file */
    image_facts facts[2];
    image_format formats[2];
} pair_files;

/* The most bytes at once while a picture of both sides is converted: its halves are copied unless one format
 * fits both. */
static uint64_t halves_bytes(const pair_files *files) {
    const image_facts *facts = &files->facts[0];
    if (image_format_equal(files->formats[0], files->formats[1]))
        return image_load_bytes(facts, files->formats[0]);
    const image_format own = {facts->header.channels, facts->header.bits};
    uint64_t converting = image_pixels_bytes(&facts->header, own);
    for (int side = 0; side < 2; side++)
        converting += image_pixels_bytes(&facts->header, files->formats[side]) / 2;
    const uint64_t decoding = image_load_bytes(facts, own);
    return decoding > converting ? decoding : converting;
}

/* The most that a pair takes until it is freed, and resizing beside it. */
static uint64_t pair_bytes(const dataset *data, const pair_files *files) {
    uint64_t resizing = 0, loading = 0;
    for (int side = 0; side < 2; side++) {
        const image_header *header = &files->facts[side].header;
        const uint64_t one =
            resize_bytes(header->width, header->height, files->formats[side], data->options.side);
        if (one > resizing) resizing = one;
        if (!files->side_by_side) loading += image_load_bytes(&files->facts[side], files->formats[side]);
    }
    return resizing + (files->side_by_side ? halves_bytes(files) : loading);
}

/* Read the headers, and check the sizes of the pictures. */
static p2p_status inspect_pair(const dataset *data, const dataset_paths *paths, pair_files *files,
                               pair_size *size) {
    const image_header *a = &files->facts[0].header, *b = &files->facts[1].header;
    files->side_by_side = paths->b == NULL;
    P2P_TRY(image_inspect(paths->a, &files->facts[0]));
    files->facts[1] = files->facts[0];
    if (paths->b != NULL) P2P_TRY(image_inspect(paths->b, &files->facts[1]));
    return check_sizes(data, paths, (pair_size){a->width, a->height}, (pair_size){b->width, b->height}, size);
}

/* ---- Opening ------------------------------------------------------------------------------------------ */

/* The formats of a pair as far as they are known while the set is opened. *bits is raised to the files'. */
static void expect_formats(const dataset *data, pair_files *files, int bits[2]) {
    const bool b_to_a = dataset_is_b_to_a(data);
    const int channels[2] = {data->options.channels_in, data->options.channels_out};
    for (int side = 0; side < 2; side++) {
        const image_header *header = &files->facts[side].header;
        const int wanted = channels[side != b_to_a];
        if (header->bits > bits[side]) bits[side] = header->bits;
        files->formats[side] = (image_format){wanted > 0 ? wanted : header->channels, bits[side]};
    }
}

static p2p_status check_pair_at(const dataset *data, const dataset_paths *paths, pair_files *files,
                                int bits[2], pair_size *size) {
    P2P_TRY(inspect_pair(data, paths, files, size));
    expect_formats(data, files, bits);
    return image_memory_check(pair_bytes(data, files), paths->a);
}

/* Adds to the hash of the orientations of all files in order. */
static void note_turns(dataset_turns *turns, const pair_files *files) {
    for (int side = 0; side < (files->side_by_side ? 1 : 2); side++) {
        const unsigned char orientation = (unsigned char)files->facts[side].orientation;
        turns->hash = p2p_fnv1a(turns->hash, &orientation, 1);
        if (orientation != IMAGE_UPRIGHT) turns->pictures++;
    }
}

static void note_alpha(dataset *data, const pair_files *files, int64_t sample) {
    const int channels[2] = {data->options.channels_in, data->options.channels_out};
    for (int of = 0; of < 2; of++) {
        const int side = dataset_is_b_to_a(data) ? !of : of;
        const bool dropped = channels[of] % 2 != 0 && files->facts[side].header.channels % 2 == 0;
        dataset_alpha *alpha = &data->alpha[of];
        if (dropped && alpha->count < DATASET_ALPHA_SAMPLES) alpha->samples[alpha->count++] = sample;
    }
}

/* `kept` is the number of usable pairs before it. */
static p2p_status check_pair(dataset *data, size_t index, size_t kept, pair_size *size) {
    dataset_paths paths;
    pair_files files;
    int bits[2] = {data->bits[0], data->bits[1]};
    P2P_TRY(dataset_files_paths(&data->files, index, &paths));
    p2p_status status = check_pair_at(data, &paths, &files, bits, size);
    dataset_paths_free(&paths);
    P2P_TRY(status);
    memcpy(data->bits, bits, sizeof bits);
    const uint64_t bytes = pair_bytes(data, &files);
    if (bytes > data->pair_bytes) data->pair_bytes = bytes;
    note_turns(&data->turns, &files);
    note_alpha(data, &files, (int64_t)kept);
    return P2P_OK;
}

/* Summarise the sizes of the usable pairs. `sorted` has a place for each. */
static void summarise_sizes(dataset *data, const pair_size *sizes, size_t count, pair_size *sorted) {
    memcpy(sorted, sizes, count * sizeof *sizes);
    data->sizes = pair_sizes_of(sorted, count);
    for (size_t i = 0; i < count; i++)
        if (pair_size_is_tiny(sizes[i], &data->sizes) && data->tiny.count++ == 0) {
            data->tiny.sample = (int64_t)i;
            data->tiny.size = sizes[i];
        }
}

/* Read every pair's headers. A bad pair is a failure, or is omitted. `sizes` has two places for each. */
static p2p_status check_each(dataset *data, pair_size *sizes) {
    pair_size *sorted = sizes + data->files.count;
    size_t kept = 0;
    for (size_t i = 0; i < data->files.count; i++) {
        p2p_status status = check_pair(data, i, kept, &sizes[kept]);
        if (status == P2P_OK)
            dataset_files_move(&data->files, i, kept++);
        else if (data->options.skip_bad && is_bad_pair(status))
            P2P_TRY(note_skipped(data));
        else
            return status;
    }
    dataset_files_shorten(&data->files, kept);
    if (kept > 0) summarise_sizes(data, sizes, kept, sorted);
    return P2P_OK;
}

static p2p_status check_pairs(dataset *data) {
    pair_size *sizes = calloc(2 * data->files.count + 1, sizeof *sizes);
    if (sizes == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the sizes of pictures");
    p2p_status status = check_each(data, sizes);
    free(sizes);
    return status;
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
    data->turns.hash = P2P_FNV1A_START;
    p2p_status status = dataset_files_list(&data->files, dir, split, options->pairing);
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

dataset_summary dataset_summarise(const dataset *data) {
    return (dataset_summary){data->files.folders[0], data->files.folders[1], data->sizes, data->pair_bytes};
}

dataset_turns dataset_turned(const dataset *data) {
    return data->turns.pictures > 0 ? data->turns : (dataset_turns){0};
}

const dataset_alpha *dataset_alpha_of(const dataset *data, bool target) {
    return &data->alpha[target];
}

dataset_tiny dataset_tiny_pairs(const dataset *data) {
    return data->tiny;
}

void dataset_print_unread(const dataset *data) {
    dataset_files_print_unread(&data->files);
}

bool dataset_is_b_to_a(const dataset *data) {
    return data->options.direction == DATASET_B_TO_A;
}

pair_size dataset_one_size(const dataset *data) {
    return data->sizes.different == 1 ? data->sizes.smallest : (pair_size){0};
}

pair_format dataset_format(const dataset *data, int channels_in, int channels_out) {
    bool b_to_a = dataset_is_b_to_a(data);
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
    if (pair->taken > 0) image_memory_give(pair->taken);
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

/* Load both pictures, and convert whole files where all of a file gets one format: in place, if it can be. */
static p2p_status load_files(const dataset_paths *paths, const pair_files *files, image *pictures) {
    const bool one_format = image_format_equal(files->formats[0], files->formats[1]);
    P2P_TRY(image_load_inspected(paths->a, &files->facts[0], &pictures[0]));
    if (!files->side_by_side) P2P_TRY(image_reformat(&pictures[0], files->formats[0]));
    if (files->side_by_side) return one_format ? image_reformat(&pictures[0], files->formats[0]) : P2P_OK;
    P2P_TRY(image_load_inspected(paths->b, &files->facts[1], &pictures[1]));
    return image_reformat(&pictures[1], files->formats[1]);
}

/* `sides` are views of A and B in their formats. */
static p2p_status load_sides(const dataset_paths *paths, const pair_files *files, image_pair *pair,
                             image_view sides[2]) {
    P2P_TRY(load_files(paths, files, pair->pictures));
    for (int side = 0; side < 2; side++) {
        sides[side] =
            files->side_by_side ? half(&pair->pictures[0], side) : image_view_of(&pair->pictures[side]);
        P2P_TRY(convert_view(&sides[side], files->formats[side], &pair->pictures[2 + side]));
    }
    return P2P_OK;
}

/* Sizes are checked again, because files may have changed since the set was opened. */
static p2p_status load_paths(const dataset *data, const dataset_paths *paths, pair_files *files,
                             image_pair *pair, image_view sides[2]) {
    pair_size size;
    P2P_TRY(inspect_pair(data, paths, files, &size));
    const uint64_t bytes = pair_bytes(data, files);
    P2P_TRY(image_memory_take(bytes, paths->a));
    pair->taken = bytes;
    return load_sides(paths, files, pair, sides);
}

p2p_status dataset_load_exactly(const dataset *data, int64_t sample, pair_format format, image_pair *pair) {
    const bool b_to_a = dataset_is_b_to_a(data);
    pair_files files = {
        .formats = {b_to_a ? format.target : format.input, b_to_a ? format.input : format.target}};
    dataset_paths paths;
    image_view sides[2];
    *pair = (image_pair){.sample = sample};
    P2P_TRY(dataset_files_paths(&data->files, (size_t)sample, &paths));
    p2p_status status = load_paths(data, &paths, &files, pair, sides);
    dataset_paths_free(&paths);
    if (status == P2P_OK) {
        pair->input = sides[b_to_a];
        pair->target = sides[!b_to_a];
    } else {
        image_pair_free(pair);
    }
    return status;
}

p2p_status dataset_load(const dataset *data, int64_t sample, pair_format format, image_pair *pair) {
    int64_t count = dataset_count(data), tries = data->options.replace_bad ? count : 1;
    p2p_status status = P2P_OK;
    for (int64_t i = 0; i < tries; i++) {
        status = dataset_load_exactly(data, (sample + i) % count, format, pair);
        if (!is_bad_pair(status)) return status;
    }
    return status;
}

bool dataset_leaves_out(const dataset *data, p2p_status failure) {
    return data->options.skip_bad && is_bad_pair(failure);
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
