/* Names, order and halves of a data set's pairs; see dataset.h. */
#include "dataset.h"
#include "philox.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

struct dataset {
    char *folder; /* DIR/SPLIT */
    sys_names files;
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

static p2p_status check_headers(const dataset *data) {
    for (size_t i = 0; i < data->files.count; i++) {
        char *path;
        int width = 0, height;
        P2P_TRY(sys_path_join(&path, data->folder, data->files.names[i]));
        p2p_status status = image_probe(path, &width, &height);
        if (status == P2P_OK) status = check_width(path, width);
        free(path);
        if (status != P2P_OK) return status;
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

const char *dataset_name(const dataset *data, int64_t sample) {
    return data->files.names[sample];
}

p2p_status dataset_load(const dataset *data, int64_t sample, image *pair) {
    *pair = (image){0};
    char *path;
    P2P_TRY(sys_path_join(&path, data->folder, data->files.names[sample]));
    p2p_status status = image_load(path, pair);
    if (status == P2P_OK)
        status = check_width(path, pair->width); /* it may have changed since it was listed */
    if (status != P2P_OK) image_free(pair);
    free(path);
    return status;
}

static image_view half(const image *pair, bool right) {
    int width = pair->width / 2;
    return image_view_crop(image_view_of(pair), right ? width : 0, 0, width, pair->height);
}

image_view dataset_input(const dataset *data, const image *pair) {
    return half(pair, data->direction == DATASET_B_TO_A);
}

image_view dataset_target(const dataset *data, const image *pair) {
    return half(pair, data->direction == DATASET_A_TO_B);
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
