/* The files of a split: layouts, and which files belong together. For dataset.c only; no file is opened here.
 */
#ifndef P2P_DATASET_FILES_H
#define P2P_DATASET_FILES_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>

/* Paths relative to the folders; `b` is NULL where A and B are side by side in one file. Owned. */
typedef struct {
    char *a, *b;
} dataset_names;

typedef struct {
    char *folders[2]; /* of A and B; the second is NULL where there is one only */
    dataset_names *pairs;
    size_t count;
    dataset_names *singles; /* files without a partner: one of `a` and `b` */
    size_t single_count;
} dataset_files;

/* Full paths of a pair. */
typedef struct {
    char *a, *b; /* `b` may be NULL */
} dataset_paths;

bool dataset_files_present(const char *dir, const char *split);

/* Find the layout and list it, as dataset_open says. Free the list in any case. */
p2p_status dataset_files_list(dataset_files *files, const char *dir, const char *split);
void dataset_files_free(dataset_files *files);

p2p_status dataset_files_paths(const dataset_files *files, size_t index, dataset_paths *paths);
void dataset_paths_free(dataset_paths *paths);

/* The failure that a single file is: its name, where its partner is missing, and how many there are. */
p2p_status dataset_files_single(const dataset_files *files, size_t index);

/* Keep a pair at a place, to <= from, whose own pair is dropped; then drop what comes after `count`. */
void dataset_files_move(dataset_files *files, size_t from, size_t to);
void dataset_files_shorten(dataset_files *files, size_t count);

#endif
