/* Folders of the runs: copied, removed and compared. */
#ifndef TORTURE_FOLDERS_H
#define TORTURE_FOLDERS_H

#include <stdbool.h>
#include <stddef.h>

/* Succeeds if it does not exist. */
void folder_remove(const char *path);
void folder_make(const char *path);
/* Copies files and folders into a new folder. */
void folder_copy(const char *from, const char *to);

/* Whether the folder `other` has exactly the files of `whole`, with equal bytes; hidden files count. Numbers
 * that are measured are left out of metrics.jsonl. Of the older checkpoints, the number must be equal. If not
 * equal, `difference` receives the first difference. */
bool folder_equal(const char *whole, const char *other, char *difference, size_t size);

/* Whether every file of `other`, if any, has the bytes of that of `whole`: complete or absent. `difference`
 * likewise. */
bool folder_part(const char *whole, const char *other, char *difference, size_t size);

/* Whether there is a temporary file, *.tmp, in the folder; `difference` names it. */
bool folder_has_temporary(const char *path, char *difference, size_t size);

bool path_exists(const char *path);
/* Whether its name is that of a temporary file: hidden, with the suffix .tmp. */
bool path_is_temporary(const char *path);
/* The whole file as a string, to be freed; "" if there is none. */
char *file_text(const char *path);
bool file_equal(const char *a, const char *b);

#endif
