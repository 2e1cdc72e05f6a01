/* The splits of a generated data set. See sample_data.h. The contents of the pictures are in sample_scene.c
 * and sample_render.c. */
#include "sample_data.h"
#include "host/folder_lock.h"
#include "host/sys.h"
#include "sample_render.h"

#include <stdio.h>
#include <stdlib.h>

static p2p_status check_size(int size) {
    if (size >= SAMPLE_DATA_MIN_SIZE && size <= SAMPLE_DATA_MAX_SIZE) return P2P_OK;
    return p2p_fail(P2P_USAGE, "pictures of %d pixels can't be drawn; --size is within %d to %d", size,
                    SAMPLE_DATA_MIN_SIZE, SAMPLE_DATA_MAX_SIZE);
}

p2p_status sample_data_pair(int size, uint64_t seed, uint64_t number, image *pair) {
    *pair = (image){0};
    P2P_TRY(check_size(size));
    sample_random random = {.draw = {.seed = seed,
                                     .stream = p2p_name_hash("sample-data"),
                                     .item = (uint32_t)number,
                                     .epoch = (uint32_t)(number >> 32)}};
    sample_scene scene;
    sample_scene_compose(&scene, &random);
    return sample_render_pair(&scene, size, pair);
}

static p2p_status draw_file(const char *folder, int64_t index, int size, uint64_t seed, uint64_t number) {
    char name[32];
    snprintf(name, sizeof name, "%05lld.jpg", (long long)index + 1);
    char *path;
    P2P_TRY(sys_path_join(&path, folder, name));
    image pair;
    p2p_status status = sample_data_pair(size, seed, number, &pair);
    if (status == P2P_OK) status = image_save(path, &pair);
    image_free(&pair);
    free(path);
    return status;
}

/* Write `count` pairs to DIR/SPLIT, with the numbers from `first` on. */
static p2p_status draw_split(const char *dir, const char *split, int64_t count, int size, uint64_t seed,
                             uint64_t first) {
    char *folder;
    P2P_TRY(sys_path_join(&folder, dir, split));
    p2p_status status = sys_folder_make(folder);
    for (int64_t i = 0; i < count && status == P2P_OK; i++)
        status = draw_file(folder, i, size, seed, first + (uint64_t)i);
    free(folder);
    return status;
}

static p2p_status check_absent(const char *dir) {
    char *folder;
    P2P_TRY(sys_path_join(&folder, dir, "train"));
    sys_path_kind kind;
    p2p_status status = sys_path_kind_of(folder, &kind);
    if (status == P2P_OK && kind != SYS_PATH_ABSENT)
        status = p2p_hint(p2p_fail(P2P_USAGE, "%s exists already", folder),
                          "remove it or name another folder: nothing is overwritten");
    free(folder);
    return status;
}

static p2p_status draw_splits(const char *dir, int64_t count, int size, uint64_t seed) {
    const int64_t held_out = count / 4 > 0 ? count / 4 : 1;
    const uint64_t trained = (uint64_t)count;
    P2P_TRY(draw_split(dir, "val", held_out, size, seed, trained));
    P2P_TRY(draw_split(dir, "test", held_out, size, seed, trained + (uint64_t)held_out));
    return draw_split(dir, "train", count, size, seed, 0);
}

p2p_status sample_data_draw(const char *dir, int64_t count, int size, uint64_t seed) {
    if (count < 1 || count > SAMPLE_DATA_MAX_COUNT)
        return p2p_fail(P2P_USAGE, "--count %lld is not within 1 to %d", (long long)count,
                        SAMPLE_DATA_MAX_COUNT);
    P2P_TRY(check_size(size)); /* before anything is written */
    P2P_TRY(check_absent(dir));
    sys_lock *lock;
    P2P_TRY(folder_lock_take(&lock, dir));
    p2p_status status = check_absent(dir); /* again, after another command may have written there */
    if (status == P2P_OK) status = draw_splits(dir, count, size, seed);
    sys_lock_release(lock);
    return status;
}
