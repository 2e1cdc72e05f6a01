/* Names, order and halves of a data set's pairs; see dataset.h. */
#include "dataset.h"
#include "philox.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

struct dataset {
    char *folder; /* DIR/SPLIT */
    sys_names files;
    int bits; /* the most that any file has */
    dataset_direction direction;
};

bool dataset_has_split(const char *dir, const char *split) {
    char *folder;
    if (sys_path_join(&folder, dir, split) != P2P_OK) return false;
    bool found = sys_path_kind_of(folder) == SYS_PATH_FOLDER;
    free(folder);
    return found;
}

static p2p_status check_width(const char *path, int width) {
    if (width % 2 == 0) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is %d pixels wide: an odd width can't be split into two halves", path, width);
    return p2p_hint(P2P_INPUT, "a pair is one picture with A on the left and B, equally large, on the right");
}

static p2p_status check_folder(const char *folder, const char *dir, const char *split) {
    if (sys_path_kind_of(folder) == SYS_PATH_FOLDER) return P2P_OK;
    if (sys_path_kind_of(dir) != SYS_PATH_FOLDER) return p2p_fail(P2P_INPUT, "there is no folder %s", dir);
    p2p_fail(P2P_INPUT, "there is no folder %s", folder);
    return p2p_hint(
        P2P_INPUT,
        "pairs are expected in %s/%s, as JPEG or PNG pictures with A on the left and B on the right", dir,
        split);
}

static p2p_status check_headers(dataset *data) {
    data->bits = 8;
    for (size_t i = 0; i < data->files.count; i++) {
        char *path;
        image_header header;
        P2P_TRY(sys_path_join(&path, data->folder, data->files.names[i]));
        p2p_status status = image_probe(path, &header);
        if (status == P2P_OK) status = check_width(path, header.width);
        free(path);
        if (status != P2P_OK) return status;
        if (header.bits > data->bits) data->bits = header.bits;
    }
    return P2P_OK;
}

static p2p_status list_files(dataset *data, const char *dir, const char *split) {
    P2P_TRY(sys_path_join(&data->folder, dir, split));
    P2P_TRY(check_folder(data->folder, dir, split));
    P2P_TRY(sys_folder_walk(&data->files, data->folder, image_suffix_known));
    if (data->files.count == 0) {
        p2p_fail(P2P_INPUT, "%s holds no pictures", data->folder);
        return p2p_hint(P2P_INPUT,
                        "files ending in .jpg, .jpeg or .png are expected there, in subfolders too");
    }
    if (data->files.count > INT32_MAX)
        return p2p_fail(P2P_INPUT, "%s holds %zu pictures; at most %d are accepted", data->folder,
                        data->files.count, (int)INT32_MAX);
    return check_headers(data);
}

p2p_status dataset_open(dataset **result, const char *dir, const char *split, dataset_direction direction) {
    *result = NULL;
    dataset *data = calloc(1, sizeof *data);
    if (data == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a data set");
    data->direction = direction;
    p2p_status status = list_files(data, dir, split);
    if (status != P2P_OK) {
        dataset_close(data);
        return status;
    }
    *result = data;
    return P2P_OK;
}

void dataset_close(dataset *data) {
    if (data == NULL) return;
    sys_names_free(&data->files);
    free(data->folder);
    free(data);
}

int64_t dataset_count(const dataset *data) {
    return (int64_t)data->files.count;
}

pair_format dataset_format(const dataset *data, int channels_in, int channels_out) {
    return (pair_format){.input = {channels_in, data->bits}, .target = {channels_out, data->bits}};
}

const char *dataset_name(const dataset *data, int64_t sample) {
    return data->files.names[sample];
}

void image_pair_free(image_pair *pair) {
    for (int i = 0; i < 3; i++) image_free(&pair->pictures[i]);
    *pair = (image_pair){0};
}

/* Let a view look at a converted copy, kept in `storage`, where it has another format. */
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

/* Both pictures from one file. */
static p2p_status load_halves(const dataset *data, const char *path, image_pair *pair) {
    image *both = &pair->pictures[0];
    P2P_TRY(image_load(path, both));
    P2P_TRY(check_width(path, both->width)); /* it may have changed since it was listed */
    pair->input = half(both, data->direction == DATASET_B_TO_A);
    pair->target = half(both, data->direction == DATASET_A_TO_B);
    return P2P_OK;
}

p2p_status dataset_load(const dataset *data, int64_t sample, pair_format format, image_pair *pair) {
    *pair = (image_pair){0};
    char *path;
    P2P_TRY(sys_path_join(&path, data->folder, data->files.names[sample]));
    p2p_status status = load_halves(data, path, pair);
    if (status == P2P_OK) status = convert_view(&pair->input, format.input, &pair->pictures[1]);
    if (status == P2P_OK) status = convert_view(&pair->target, format.target, &pair->pictures[2]);
    if (status != P2P_OK) image_pair_free(pair);
    free(path);
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
