/* The files of a split: layouts, and the pairing of files. For dataset.c and pairs/. No file is opened here.
 */
#ifndef P2P_DATASET_FILES_H
#define P2P_DATASET_FILES_H

#include "dataset.h"
#include "image/picture_list.h"

/* Paths relative to the folders; `b` is NULL if A and B are side by side in one file. Owned. */
typedef struct {
    char *a, *b;
} dataset_names;

typedef struct {
    char *folders[2]; /* of A and B; the second is NULL if there is one folder only */
    dataset_names *pairs;
    size_t count;
    dataset_names *singles; /* files without a partner: either `a` or `b` is NULL */
    size_t single_count;
    unread_pictures unread[2]; /* of the folders */
    sys_names others[2]; /* if there are singles: the folders' files that aren't pictures by their names */
} dataset_files;

/* Full paths of a pair. */
typedef struct {
    char *a, *b; /* `b` may be NULL */
} dataset_paths;

/* See dataset_has_split. P2P_INPUT also for a file that has the name of one of its folders. */
p2p_status dataset_files_present(const char *dir, const char *split, bool *present);

/* P2P_USAGE, with both names in the message, if `path` is a folder of the split in any layout, or lies in
 * one: what is written there would be taken for pictures of the split. Neither needs to exist. */
p2p_status dataset_files_outside(const char *dir, const char *split, const char *option, const char *path);

/* Find the layout and list its files, as described at dataset_open. Call dataset_files_free() in any case. */
p2p_status dataset_files_list(dataset_files *files, const char *dir, const char *split,
                              dataset_pairing pairing);
void dataset_files_free(dataset_files *files);

/* List the pictures of a folder, each of which is a pair or a single picture, or pair those of two folders by
 * their names. `b` is NULL if there is one folder. P2P_INPUT if a folder has no pictures, or a name twice.
 * Call dataset_files_free() in any case. */
p2p_status dataset_files_list_folders(dataset_files *files, const char *a, const char *b);

/* Print a line on stderr for each folder with pictures in folders of thumbnails, or of formats that are not
 * read. */
void dataset_files_print_unread(const dataset_files *files);

/* The paths of pair `index`. The caller frees them; they are empty after a failure. */
p2p_status dataset_files_paths(const dataset_files *files, size_t index, dataset_paths *paths);
void dataset_paths_free(dataset_paths *paths);

/* Returns P2P_INPUT for a file without a partner. The message has its name, the folder that lacks the
 * partner, or the partner that is not a picture by its suffix, and the number of such files. */
p2p_status dataset_files_single(const dataset_files *files, size_t index);

/* Move pair `from` to `to` <= from, and drop the pair that was there. */
void dataset_files_move(dataset_files *files, size_t from, size_t to);
/* Drop all pairs but the first `count`. */
void dataset_files_shorten(dataset_files *files, size_t count);

#endif
