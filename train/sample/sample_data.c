/* The splits of a generated data set. See sample_data.h. The contents of the pictures are in sample_scene.c
 * and sample_render.c. */
#include "sample_data.h"
#include "host/folder_lock.h"
#include "host/sys.h"
#include "p2p_file.h"
#include "sample_render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A set as it is asked for. */
typedef struct {
    const char *dir;
    int64_t count;
    int size;
    uint64_t seed;
} sample_set;

/* In the order in which they are drawn: `train` is last, so a set that lacks none of its pictures is
 * complete. */
enum { VAL, TEST, TRAIN, SPLITS };
static const char *const split_names[SPLITS] = {"val", "test", "train"};

static int64_t split_count(const sample_set *set, int split) {
    if (split == TRAIN) return set->count;
    return set->count / 4 > 0 ? set->count / 4 : 1;
}

/* The number of a split's first pair. */
static uint64_t split_first(const sample_set *set, int split) {
    if (split == TRAIN) return 0;
    return (uint64_t)(set->count + (split == TEST ? split_count(set, VAL) : 0));
}

static p2p_status draw_pair(const sample_set *set, int split, int64_t index, image *pair) {
    return sample_data_pair(set->size, set->seed, split_first(set, split) + (uint64_t)index, pair);
}

enum { NAME_BYTES = 32 };
static void name_pair(int64_t index, char name[NAME_BYTES]) {
    snprintf(name, NAME_BYTES, "%05lld.jpg", (long long)index + 1);
}

/* ---- Existing files ------------------------------------------------------------------------------------ */

static p2p_status refuse(const char *path) {
    return p2p_hint(p2p_fail(P2P_USAGE, "%s exists already", path),
                    "remove it or name another folder: nothing is overwritten");
}

/* Which of the split's pairs has this name; -1: none. */
static int64_t index_of(const sample_set *set, int split, const char *name) {
    char own[NAME_BYTES];
    const int64_t index = strtoll(name, NULL, 10) - 1;
    if (index < 0 || index >= split_count(set, split)) return -1;
    name_pair(index, own);
    return strcmp(name, own) == 0 ? index : -1;
}

/* P2P_USAGE unless the file has the name and, if `drawn`, the contents of what would be drawn in its place.
 */
static p2p_status check_file(const sample_set *set, int split, const char *folder, const char *name,
                             bool drawn) {
    char *path;
    const int64_t index = index_of(set, split, name);
    bool same = index >= 0 && !drawn;
    P2P_TRY(sys_path_join(&path, folder, name));
    p2p_status status = P2P_OK;
    if (index >= 0 && drawn) {
        image pair;
        status = draw_pair(set, split, index, &pair);
        if (status == P2P_OK) status = image_is_saved(path, &pair, &same);
        image_free(&pair);
    }
    if (status == P2P_OK && !same) status = refuse(path);
    free(path);
    return status;
}

static bool is_any(const char *relative) {
    (void)relative;
    return true;
}

static p2p_status check_files(const sample_set *set, int split, const char *folder, bool drawn) {
    sys_names names;
    P2P_TRY(sys_folder_walk(&names, folder, is_any));
    const bool complete = split == TRAIN && names.count > 0 && (int64_t)names.count >= set->count;
    p2p_status status = complete ? refuse(folder) : P2P_OK;
    for (size_t i = 0; i < names.count && status == P2P_OK; i++) {
        status = sys_stop_check();
        if (status == P2P_OK) status = check_file(set, split, folder, names.names[i], drawn);
    }
    sys_names_free(&names);
    return status;
}

/* P2P_USAGE if the split is complete, or has a file that an interrupted run of the same command did not draw:
 * by its name alone, or also by its contents. */
static p2p_status check_split(const sample_set *set, int split, bool drawn) {
    char *folder;
    P2P_TRY(sys_path_join(&folder, set->dir, split_names[split]));
    sys_path_kind kind = SYS_PATH_ABSENT;
    p2p_status status = sys_folder_check_links(set->dir, folder);
    if (status == P2P_OK) status = sys_path_kind_of(folder, &kind);
    if (status == P2P_OK && kind == SYS_PATH_FOLDER)
        status = check_files(set, split, folder, drawn);
    else if (status == P2P_OK && kind != SYS_PATH_ABSENT)
        status = refuse(folder);
    free(folder);
    return status;
}

/* ---- Drawing ------------------------------------------------------------------------------------------ */

/* Draw a pair, unless its file exists. */
static p2p_status draw_file(const sample_set *set, int split, const char *folder, int64_t index) {
    char name[NAME_BYTES], *path;
    bool exists;
    image pair = {0};
    name_pair(index, name);
    P2P_TRY(sys_path_join(&path, folder, name));
    p2p_status status = sys_path_exists(path, &exists);
    if (status == P2P_OK && !exists) status = draw_pair(set, split, index, &pair);
    if (status == P2P_OK && !exists) status = image_save_new(path, &pair);
    image_free(&pair);
    free(path);
    return status;
}

static p2p_status draw_split(const sample_set *set, int split, int64_t *drawn) {
    char *folder;
    P2P_TRY(sys_path_join(&folder, set->dir, split_names[split]));
    p2p_status status = sys_folder_check_links(set->dir, folder);
    if (status == P2P_OK) status = sys_folder_make(folder);
    if (status == P2P_OK) status = p2p_atomic_sweep(folder);
    for (int64_t i = 0; i < split_count(set, split) && status == P2P_OK; i++) {
        status = sys_stop_check();
        if (status == P2P_OK) status = draw_file(set, split, folder, i);
        if (status == P2P_OK) (*drawn)++;
    }
    free(folder);
    return status;
}

static p2p_status draw_all(const sample_set *set) {
    int64_t drawn = 0, all = 0;
    p2p_status status = P2P_OK;
    for (int split = 0; split < SPLITS; split++) all += split_count(set, split);
    for (int split = 0; split < SPLITS && status == P2P_OK; split++) status = draw_split(set, split, &drawn);
    if (status != P2P_STOPPED) return status;
    p2p_fail(status, "stopped by %s after %lld of %lld pictures, which are complete", sys_stop_name(),
             (long long)drawn, (long long)all);
    return p2p_hint(status, "the same command draws the rest");
}

/* In the order in which a folder is judged: the pictures to train on first. */
static p2p_status check_splits(const sample_set *set, bool drawn) {
    for (int split = SPLITS - 1; split >= 0; split--) P2P_TRY(check_split(set, split, drawn));
    return P2P_OK;
}

p2p_status sample_data_draw(const char *dir, int64_t count, int size, uint64_t seed) {
    const sample_set set = {.dir = dir, .count = count, .size = size, .seed = seed};
    if (count < 1 || count > SAMPLE_DATA_MAX_COUNT)
        return p2p_fail(P2P_USAGE, "--count %lld is not within 1 to %d", (long long)count,
                        SAMPLE_DATA_MAX_COUNT);
    P2P_TRY(check_size(size));          /* before anything is written */
    P2P_TRY(check_splits(&set, false)); /* before the folder is made */
    sys_lock *lock;
    sys_stop_listen("picture");
    P2P_TRY(folder_lock_take(&lock, dir));
    p2p_status status = check_splits(&set, true);
    if (status == P2P_OK) status = draw_all(&set);
    sys_lock_release(lock);
    return status;
}
