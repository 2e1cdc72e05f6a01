/* Layouts and the pairing of files. See dataset_files.h. */
#include "dataset_files.h"
#include "host/sys.h"
#include "image/image.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Layouts ------------------------------------------------------------------------------------------ */

/* Folders of a split, whose name replaces %s; one folder if A and B are side by side. */
enum { SIDE_BY_SIDE, INSIDE };
static const char *const layouts[][2] = {[SIDE_BY_SIDE] = {"%s", NULL},
                                         [INSIDE] = {"%s/A", "%s/B"},
                                         {"%sA", "%sB"},
                                         {"%s_A", "%s_B"},
                                         {"A/%s", "B/%s"}};
enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

static p2p_status folder_of(int layout, int side, const char *dir, const char *split, char **folder) {
    const char *pattern = layouts[layout][side], *place = strchr(pattern, '%');
    const size_t size = strlen(pattern) + strlen(split) + 1;
    char *name = malloc(size);
    if (name == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a folder's name");
    snprintf(name, size, "%.*s%s%s", (int)(place - pattern), pattern, split, place + 2);
    p2p_status status = sys_path_join(folder, dir, name);
    free(name);
    return status;
}

static p2p_status folder_exists(int layout, int side, const char *dir, const char *split, bool *exists) {
    *exists = false;
    if (layouts[layout][side] == NULL) return P2P_OK;
    char *folder;
    P2P_TRY(folder_of(layout, side, dir, split, &folder));
    p2p_status status = sys_path_is_folder(folder, exists);
    free(folder);
    return status;
}

static bool layout_allowed(int layout, dataset_pairing pairing) {
    return pairing == DATASET_PAIRS_AUTO ||
           (pairing == DATASET_PAIRS_SIDE_BY_SIDE) == (layout == SIDE_BY_SIDE);
}

/* The allowed layouts of which at least one folder exists. The folders A and B within the split are a layout
 * if both exist; then the split's folder isn't another one. */
static p2p_status find_layouts(const char *dir, const char *split, dataset_pairing pairing, int *found,
                               int *count) {
    *count = 0;
    for (int layout = 0; layout < LAYOUTS; layout++) {
        bool first, second;
        P2P_TRY(folder_exists(layout, 0, dir, split, &first));
        P2P_TRY(folder_exists(layout, 1, dir, split, &second));
        const bool inside = layout == INSIDE && first && second;
        if (!layout_allowed(layout, pairing) || !(first || second) || (layout == INSIDE && !inside)) continue;
        if (inside && *count > 0) *count = 0; /* replaces SIDE_BY_SIDE, the only one before it */
        found[(*count)++] = layout;
    }
    return P2P_OK;
}

p2p_status dataset_files_present(const char *dir, const char *split, bool *present) {
    int found[LAYOUTS], count = 0;
    const p2p_status status = find_layouts(dir, split, DATASET_PAIRS_AUTO, found, &count);
    *present = count > 0;
    return status;
}

static p2p_status no_layout(const char *dir, const char *split) {
    bool exists;
    P2P_TRY(sys_path_is_folder(dir, &exists));
    if (!exists) return p2p_fail(P2P_INPUT, "there is no folder %s", dir);
    p2p_fail(P2P_INPUT, "there is no folder %s/%s", dir, split);
    return p2p_hint(
        P2P_INPUT,
        "pairs are expected there, as pictures with A on the left and B on the right, or as equal "
        "names in two folders: %sA and %sB, %s_A and %s_B, %s/A and %s/B, or A/%s and B/%s; p2p pairs makes "
        "such folders of photographs or of two folders (p2p help pairs)",
        split, split, split, split, split, split, split, split);
}

static p2p_status choose_layout(const char *dir, const char *split, dataset_pairing pairing, int *layout) {
    int found[LAYOUTS], count;
    P2P_TRY(find_layouts(dir, split, pairing, found, &count));
    if (count == 0) return no_layout(dir, split);
    *layout = found[0];
    if (count == 1) return P2P_OK;
    char *one, *other;
    P2P_TRY(folder_of(found[0], 0, dir, split, &one));
    p2p_status status = folder_of(found[1], 0, dir, split, &other);
    if (status == P2P_OK) {
        p2p_fail(P2P_INPUT, "both %s and %s exist: the layout is ambiguous", one, other);
        status = p2p_hint(P2P_INPUT, "keep one layout in the folder, and move the other elsewhere, or choose "
                                     "with --pairs side-by-side or two-folders");
        free(other);
    }
    free(one);
    return status;
}

static bool is_inside(const char *relative) {
    return strncmp(relative, "A/", 2) == 0 || strncmp(relative, "B/", 2) == 0;
}

/* P2P_INPUT if pictures lie in the split's folder beside its folders A and B. */
static p2p_status check_inside(const char *dir, const char *split) {
    char *folder;
    sys_names names = {0};
    unread_pictures unread = {0};
    P2P_TRY(folder_of(SIDE_BY_SIDE, 0, dir, split, &folder));
    p2p_status status = picture_list(&names, &unread, folder, is_inside);
    if (status == P2P_OK && names.count > 0) {
        p2p_fail(P2P_INPUT,
                 "%s holds the folders A and B, and pictures beside them, such as %s: the layout is "
                 "ambiguous",
                 folder, names.names[0]);
        status =
            p2p_hint(P2P_INPUT, "--pairs two-folders takes the pictures in A and B; --pairs side-by-side "
                                "takes every picture for a pair");
    }
    sys_names_free(&names);
    unread_pictures_free(&unread);
    free(folder);
    return status;
}

static p2p_status find_folders(dataset_files *files, const char *dir, const char *split,
                               dataset_pairing pairing) {
    int layout = 0;
    P2P_TRY(choose_layout(dir, split, pairing, &layout));
    if (layout == INSIDE && pairing == DATASET_PAIRS_AUTO) P2P_TRY(check_inside(dir, split));
    for (int side = 0; side < 2 && layouts[layout][side] != NULL; side++) {
        bool exists;
        P2P_TRY(folder_of(layout, side, dir, split, &files->folders[side]));
        P2P_TRY(sys_path_is_folder(files->folders[side], &exists));
        if (exists) continue;
        p2p_fail(P2P_INPUT, "there is no folder %s", files->folders[side]);
        return p2p_hint(P2P_INPUT, "pairs in two folders need both");
    }
    return P2P_OK;
}

p2p_status dataset_files_outside(const char *dir, const char *split, const char *option, const char *path) {
    for (int layout = 0; layout < LAYOUTS; layout++)
        for (int side = 0; side < 2 && layouts[layout][side] != NULL; side++) {
            char *folder;
            bool inside = false;
            P2P_TRY(folder_of(layout, side, dir, split, &folder));
            p2p_status status = sys_path_inside(path, folder, &inside);
            if (status == P2P_OK && inside) {
                p2p_fail(P2P_USAGE,
                         "%s %s lies in %s, which is read for pairs: results would be taken for input",
                         option, path, folder);
                status = p2p_hint(P2P_USAGE, "choose a folder outside of it");
            }
            free(folder);
            P2P_TRY(status);
        }
    return P2P_OK;
}

/* ---- Listing ------------------------------------------------------------------------------------------ */

static p2p_status list_folder(dataset_files *files, int side, sys_names *names) {
    const char *folder = files->folders[side];
    P2P_TRY(picture_list(names, &files->unread[side], folder, NULL));
    if (names->count == 0) return picture_list_empty(&files->unread[side], folder);
    if (names->count <= INT32_MAX) return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s holds %zu pictures; at most %d are accepted", folder, names->count,
                    (int)INT32_MAX);
}

/* The length of a path without its suffix, if it has one, in bytes. */
static int stem_length(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash == NULL ? path : slash, '.');
    return dot == NULL ? (int)strlen(path) : (int)(dot - path);
}

/* In byte order. A path precedes those of which it is a prefix. */
static int compare_stems(const char *left, const char *right) {
    int left_length = stem_length(left), right_length = stem_length(right);
    int shorter = left_length < right_length ? left_length : right_length;
    int order = memcmp(left, right, (size_t)shorter);
    return order != 0 ? order : left_length - right_length;
}

static int compare_entries(const void *left, const void *right) {
    return compare_stems(*(char *const *)left, *(char *const *)right);
}

static p2p_status sort_by_stem(sys_names *names, const char *folder) {
    qsort(names->names, names->count, sizeof *names->names, compare_entries);
    for (size_t i = 1; i < names->count; i++) {
        const char *one = names->names[i - 1], *other = names->names[i];
        if (compare_stems(one, other) != 0) continue;
        bool ordered = strcmp(one, other) < 0;
        return p2p_fail(P2P_INPUT, "%s holds both %s and %s: the partner of this name is ambiguous", folder,
                        ordered ? one : other, ordered ? other : one);
    }
    return P2P_OK;
}

/* Move a name out of a list. The caller owns it. */
static char *take(sys_names *names, size_t index) {
    char *name = names->names[index];
    names->names[index] = NULL;
    return name;
}

static p2p_status allocate(dataset_files *files, size_t pairs, size_t singles) {
    files->pairs = calloc(pairs + 1, sizeof *files->pairs);
    files->singles = calloc(singles + 1, sizeof *files->singles);
    if (files->pairs != NULL && files->singles != NULL) return P2P_OK;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the names of %zu pairs", pairs);
}

/* Merge the lists. Both are sorted by stem, without duplicates. */
static p2p_status pair_up(dataset_files *files, sys_names *a, sys_names *b) {
    P2P_TRY(allocate(files, a->count < b->count ? a->count : b->count, a->count + b->count));
    for (size_t i = 0, k = 0; i < a->count || k < b->count;) {
        int order = i == a->count ? 1 : k == b->count ? -1 : compare_stems(a->names[i], b->names[k]);
        dataset_names found = {.a = order <= 0 ? take(a, i++) : NULL, .b = order >= 0 ? take(b, k++) : NULL};
        if (order == 0)
            files->pairs[files->count++] = found;
        else
            files->singles[files->single_count++] = found;
    }
    return P2P_OK;
}

static bool is_not_listed(const char *relative) {
    return !image_is_listed(relative);
}

static p2p_status list_two(dataset_files *files, sys_names *a, sys_names *b) {
    P2P_TRY(list_folder(files, 0, a));
    P2P_TRY(list_folder(files, 1, b));
    P2P_TRY(sort_by_stem(a, files->folders[0]));
    P2P_TRY(sort_by_stem(b, files->folders[1]));
    P2P_TRY(pair_up(files, a, b));
    for (int side = 0; side < 2 && files->single_count > 0; side++) {
        sys_names *others = &files->others[side];
        P2P_TRY(sys_folder_walk(others, files->folders[side], is_not_listed));
        if (others->count > 0) qsort(others->names, others->count, sizeof *others->names, compare_entries);
    }
    return P2P_OK;
}

static p2p_status list_one(dataset_files *files, sys_names *names) {
    P2P_TRY(list_folder(files, 0, names));
    P2P_TRY(allocate(files, names->count, 0));
    for (; files->count < names->count; files->count++)
        files->pairs[files->count].a = take(names, files->count);
    return P2P_OK;
}

static p2p_status list_found(dataset_files *files) {
    sys_names a = {0}, b = {0};
    p2p_status status = files->folders[1] == NULL ? list_one(files, &a) : list_two(files, &a, &b);
    sys_names_free(&a);
    sys_names_free(&b);
    return status;
}

p2p_status dataset_files_list(dataset_files *files, const char *dir, const char *split,
                              dataset_pairing pairing) {
    *files = (dataset_files){0};
    P2P_TRY(find_folders(files, dir, split, pairing));
    return list_found(files);
}

p2p_status dataset_files_list_folders(dataset_files *files, const char *a, const char *b) {
    *files = (dataset_files){0};
    P2P_TRY(sys_path_join(&files->folders[0], "", a));
    if (b != NULL) P2P_TRY(sys_path_join(&files->folders[1], "", b));
    return list_found(files);
}

static void free_names(dataset_names *names) {
    free(names->a);
    free(names->b);
    *names = (dataset_names){0};
}

void dataset_files_free(dataset_files *files) {
    for (size_t i = 0; i < files->count; i++) free_names(&files->pairs[i]);
    for (size_t i = 0; i < files->single_count; i++) free_names(&files->singles[i]);
    free(files->pairs);
    free(files->singles);
    for (int side = 0; side < 2; side++) {
        free(files->folders[side]);
        unread_pictures_free(&files->unread[side]);
        sys_names_free(&files->others[side]);
    }
    *files = (dataset_files){0};
}

void dataset_files_print_unread(const dataset_files *files) {
    for (int side = 0; side < 2; side++) unread_pictures_print(&files->unread[side], files->folders[side]);
}

/* ---- Use ---------------------------------------------------------------------------------------------- */

p2p_status dataset_files_paths(const dataset_files *files, size_t index, dataset_paths *paths) {
    const dataset_names *names = &files->pairs[index];
    *paths = (dataset_paths){0};
    P2P_TRY(sys_path_join(&paths->a, files->folders[0], names->a));
    p2p_status status = names->b == NULL ? P2P_OK : sys_path_join(&paths->b, files->folders[1], names->b);
    if (status != P2P_OK) dataset_paths_free(paths);
    return status;
}

void dataset_paths_free(dataset_paths *paths) {
    free(paths->a);
    free(paths->b);
    *paths = (dataset_paths){0};
}

p2p_status dataset_files_single(const dataset_files *files, size_t index) {
    const dataset_names *names = &files->singles[index];
    const bool is_a = names->a != NULL;
    const char *own = files->folders[!is_a], *other = files->folders[is_a],
               *name = is_a ? names->a : names->b;
    const sys_names *others = &files->others[is_a];
    char **partner = others->count == 0 ? NULL
                                        : bsearch(&name, others->names, others->count, sizeof *others->names,
                                                  compare_entries);
    if (partner != NULL) {
        p2p_fail(P2P_INPUT,
                 "%s/%s has the partner %s/%s, which is no picture that can be read by its suffix "
                 "(%zu files without a partner in all)",
                 own, name, other, *partner, files->single_count);
        return p2p_hint(P2P_INPUT,
                        "convert it: pictures end in %s; --on-bad-image skip leaves single files out",
                        IMAGE_SUFFIXES);
    }
    p2p_fail(P2P_INPUT, "%s/%s has no partner of its name in %s (%zu such files in all)", own, name, other,
             files->single_count);
    return p2p_hint(P2P_INPUT,
                    "the names may differ in the suffix only; --on-bad-image skip leaves single files out");
}

void dataset_files_move(dataset_files *files, size_t from, size_t to) {
    if (from == to) return;
    free_names(&files->pairs[to]);
    files->pairs[to] = files->pairs[from];
    files->pairs[from] = (dataset_names){0};
}

void dataset_files_shorten(dataset_files *files, size_t count) {
    for (size_t i = count; i < files->count; i++) free_names(&files->pairs[i]);
    files->count = count;
}
