/* See folders.h. */
#define _GNU_SOURCE
#include "folders.h"
#include "../support/metrics_text.h"
#include "trace.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool path_exists(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0;
}

bool path_is_temporary(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const size_t length = strlen(name);
    return name[0] == '.' && length > 4 && strcmp(name + length - 4, ".tmp") == 0;
}

static int remove_entry(const char *path, const struct stat *about, int type, struct FTW *place) {
    (void)about, (void)type, (void)place;
    return remove(path);
}

void folder_remove(const char *path) {
    if (!path_exists(path)) return;
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        die("can't remove %s: %s", path, strerror(errno));
}

void folder_make(const char *path) {
    if (mkdir(path, 0777) != 0) die("can't make %s: %s", path, strerror(errno));
}

/* ---- Files -------------------------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *size) {
    struct stat about;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &about) != 0) die("can't read %s: %s", path, strerror(errno));
    *size = (size_t)about.st_size;
    char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) die("can't read %s", path);
    bytes[*size] = '\0';
    fclose(file);
    return bytes;
}

char *file_text(const char *path) {
    size_t size;
    char *text = path_exists(path) ? read_file(path, &size) : strdup("");
    if (!text) die("no memory for a file");
    return text;
}

static void write_file(const char *path, const char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) die("can't write %s", path);
}

bool file_equal(const char *a, const char *b) {
    size_t sizes[2];
    char *bytes[2] = {read_file(a, &sizes[0]), read_file(b, &sizes[1])};
    const char *suffix = strrchr(a, '.');
    for (int i = 0; i < 2 && suffix && strcmp(suffix, ".jsonl") == 0; i++)
        sizes[i] = metrics_remove_rates(bytes[i]);
    const bool equal = sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return equal;
}

/* ---- Walks -------------------------------------------------------------------------------------------- */

typedef bool (*visitor)(const char *a, const char *b, bool is_folder, char *difference, size_t size);

/* Calls `visit` with each entry of `a` and the path in `b` of the same name, until it returns false. */
static bool walk(const char *a, const char *b, visitor visit, char *difference, size_t size) {
    DIR *folder = opendir(a);
    if (!folder) die("can't open %s: %s", a, strerror(errno));
    bool goes_on = true;
    for (const struct dirent *entry; goes_on && (entry = readdir(folder));) {
        char from[PATH_MAX], to[PATH_MAX];
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(from, sizeof from, "%s/%s", a, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", b, entry->d_name);
        if (lstat(from, &about) != 0) die("can't read %s: %s", from, strerror(errno));
        const bool is_folder = S_ISDIR(about.st_mode);
        goes_on = visit(from, to, is_folder, difference, size) &&
                  (!is_folder || walk(from, to, visit, difference, size));
    }
    closedir(folder);
    return goes_on;
}

static bool copy_entry(const char *from, const char *to, bool is_folder, char *difference, size_t size) {
    (void)difference, (void)size;
    if (is_folder) {
        folder_make(to);
        return true;
    }
    size_t length;
    char *bytes = read_file(from, &length);
    write_file(to, bytes, length);
    free(bytes);
    return true;
}

void folder_copy(const char *from, const char *to) {
    folder_make(to);
    walk(from, to, copy_entry, NULL, 0);
}

static bool is_there(const char *a, const char *b, bool is_folder, char *difference, size_t size) {
    (void)is_folder;
    if (path_exists(b)) return true;
    snprintf(difference, size, "%s is there and %s is not", a, b);
    return false;
}

/* A training's report has times, and one that can't be written does not end the training. */
static bool is_report(const char *path) {
    return strstr(path, "/report.html") != NULL;
}

/* The lock of a process that has ended, or could not remove it, does not hinder the next one. */
static bool is_lock(const char *path) {
    const size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".lock") == 0;
}

static bool is_there_and_equal(const char *a, const char *b, bool is_folder, char *difference, size_t size) {
    if (is_report(a) || is_lock(a)) return true;
    if (!is_there(a, b, is_folder, difference, size)) return false;
    if (is_folder || file_equal(a, b)) return true;
    snprintf(difference, size, "%s and %s differ", a, b);
    return false;
}

bool folder_part(const char *whole, const char *other, char *difference, size_t size) {
    return !path_exists(other) || walk(other, whole, is_there_and_equal, difference, size);
}

static bool is_checkpoint(const char *path) {
    return strstr(path, "/checkpoints/step-") && !strstr(path, ".tmp");
}

static bool is_there_as_kept(const char *a, const char *b, bool is_folder, char *difference, size_t size) {
    return (is_checkpoint(a) && !path_exists(b)) || is_there_and_equal(a, b, is_folder, difference, size);
}

static bool is_expected(const char *a, const char *b, bool is_folder, char *difference, size_t size) {
    return is_lock(a) || is_report(a) || is_checkpoint(a) || is_there(a, b, is_folder, difference, size);
}

/* Checkpoints are compared by bytes if both have them, by the newest's name, and by their number: one more
 * may be left, if it could not be removed. */
static bool same_checkpoints(const char *whole, const char *other, char *difference, size_t size) {
    char names[2][NAME_MAX + 1] = {"", ""};
    int counts[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/checkpoints", i == 0 ? whole : other);
        DIR *folder = opendir(path);
        for (const struct dirent *entry; folder && (entry = readdir(folder));) {
            if (entry->d_name[0] == '.') continue;
            counts[i]++;
            if (strcmp(entry->d_name, names[i]) > 0) snprintf(names[i], sizeof names[i], "%s", entry->d_name);
        }
        if (folder) closedir(folder);
    }
    if (counts[1] >= counts[0] && counts[1] <= counts[0] + 1 && strcmp(names[0], names[1]) == 0) return true;
    snprintf(difference, size, "%d checkpoints up to %s, not %d up to %s", counts[1], names[1], counts[0],
             names[0]);
    return false;
}

bool folder_equal(const char *whole, const char *other, char *difference, size_t size) {
    if (!is_there(whole, other, true, difference, size)) return false;
    return walk(whole, other, is_there_as_kept, difference, size) &&
           walk(other, whole, is_expected, difference, size) &&
           same_checkpoints(whole, other, difference, size);
}

static bool is_lasting(const char *a, const char *b, bool is_folder, char *difference, size_t size) {
    (void)b, (void)is_folder;
    if (!path_is_temporary(a)) return true;
    snprintf(difference, size, "%s is left", a);
    return false;
}

bool folder_has_temporary(const char *path, char *difference, size_t size) {
    return path_exists(path) && !walk(path, path, is_lasting, difference, size);
}
