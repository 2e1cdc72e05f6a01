/* See picture_list.h. */
#include "picture_list.h"

#include "host/text.h"
#include "image.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool is_picture(const char *relative) {
    return image_is_listed(relative) || image_is_unread(relative) || image_is_thumbnail(relative);
}

/* Count a file, and keep the first name as the example. */
static void note(size_t *count, char **example, char *name) {
    if ((*count)++ == 0)
        *example = name;
    else
        free(name);
}

/* ---- Results ------------------------------------------------------------------------------------------ */

/* Whether the folder that is the first `length` bytes of `relative`, below `root`, has the mark. */
static p2p_status is_marked(const char *root, const char *relative, size_t length, bool *marked) {
    char *below = strndup(relative, length), *folder = NULL, *mark = NULL;
    p2p_status status =
        below ? sys_path_join(&folder, root, below) : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    if (status == P2P_OK) status = sys_path_join(&mark, folder, PICTURE_RESULTS);
    *marked = false;
    if (status == P2P_OK && strlen(mark) < PATH_MAX)
        status = sys_path_exists(mark, marked); /* longer: none */
    free(below);
    free(folder);
    free(mark);
    return status;
}

/* The folder of a file that was looked at, and how much of it is a marked folder. */
typedef struct {
    const char *file;    /* NULL: none yet */
    size_t length, mark; /* of the path's beginnings; 0: the root, no mark */
} looked_at;

static size_t folder_length(const char *relative) {
    const char *slash = strrchr(relative, '/');
    return slash ? (size_t)(slash - relative) : 0;
}

/* Sets looked->mark for a file. Files of one folder follow each other, so each folder is looked at about
 * once. */
static p2p_status look_for_mark(const char *root, const char *relative, looked_at *looked) {
    const size_t length = folder_length(relative);
    if (looked->file && looked->length == length && strncmp(looked->file, relative, length) == 0)
        return P2P_OK;
    *looked = (looked_at){.file = relative, .length = length};
    for (const char *slash = strchr(relative, '/'); slash && looked->mark == 0;
         slash = strchr(slash + 1, '/')) {
        const size_t above = (size_t)(slash - relative);
        bool marked;
        P2P_TRY(is_marked(root, relative, above, &marked));
        if (marked) looked->mark = above;
    }
    return P2P_OK;
}

static p2p_status note_result(unread_pictures *unread, const char *name, size_t length) {
    for (size_t i = unread->result_folders; i > 0; i--) {
        picture_results *known = &unread->results[i - 1];
        if (strlen(known->folder) != length || strncmp(known->folder, name, length) != 0) continue;
        known->count++;
        return P2P_OK;
    }
    const size_t count = unread->result_folders + 1;
    picture_results *grown = realloc(unread->results, count * sizeof *grown);
    if (grown) unread->results = grown;
    char *folder = grown ? strndup(name, length) : NULL;
    if (!folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a list of folders");
    unread->results[unread->result_folders++] = (picture_results){folder, 1};
    return P2P_OK;
}

p2p_status picture_list_mark(const char *folder, const char *command) {
    char *path, text[160];
    P2P_TRY(sys_path_join(&path, folder, PICTURE_RESULTS));
    snprintf(
        text, sizeof text,
        "p2p %s wrote into this folder: commands that search a folder around it leave its pictures out\n",
        command);
    const p2p_status status = sys_file_write(path, text, strlen(text));
    free(path);
    return status;
}

p2p_status picture_list_mark_inside(const char *folder, const char *source, const char *command) {
    bool inside, around;
    P2P_TRY(sys_path_inside(folder, source, &inside));
    P2P_TRY(sys_path_inside(source, folder, &around));
    if (!inside || around) return P2P_OK;
    P2P_TRY(sys_folder_make(folder));
    return picture_list_mark(folder, command);
}

/* ---- The list ----------------------------------------------------------------------------------------- */

typedef struct {
    const char *root;
    bool (*omit)(const char *relative);
    unread_pictures *unread;
    looked_at looked;
} sorting;

/* Sets *keep to whether a file is listed, or else counts it. */
static p2p_status sort_out(sorting *work, char *name, bool *keep) {
    *keep = false;
    if (work->omit && work->omit(name)) return P2P_OK;
    P2P_TRY(look_for_mark(work->root, name, &work->looked));
    if (work->looked.mark > 0) return note_result(work->unread, name, work->looked.mark);
    *keep = true;
    return P2P_OK;
}

p2p_status picture_list(sys_names *names, unread_pictures *unread, const char *folder,
                        bool (*omit)(const char *relative)) {
    size_t kept = 0;
    sorting work = {.root = folder, .omit = omit, .unread = unread};
    p2p_status status = P2P_OK;
    *unread = (unread_pictures){0};
    P2P_TRY(sys_folder_walk(names, folder, is_picture));
    bool *keep = calloc(names->count + 1, sizeof *keep);
    if (!keep) status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", names->count);
    for (size_t i = 0; i < names->count && status == P2P_OK; i++)
        status = sort_out(&work, names->names[i], &keep[i]);
    for (size_t i = 0; i < names->count && status == P2P_OK; i++) {
        char *name = names->names[i];
        if (!keep[i])
            free(name);
        else if (image_is_unread(name))
            note(&unread->count, &unread->example, name);
        else if (image_is_thumbnail(name))
            note(&unread->thumbnail_count, &unread->thumbnail, name);
        else
            names->names[kept++] = name;
    }
    free(keep);
    if (status == P2P_OK) {
        names->count = kept;
        return P2P_OK;
    }
    sys_names_free(names);
    unread_pictures_free(unread);
    return status;
}

void unread_pictures_free(unread_pictures *unread) {
    for (size_t i = 0; i < unread->result_folders; i++) free(unread->results[i].folder);
    free(unread->results);
    free(unread->example);
    free(unread->thumbnail);
    *unread = (unread_pictures){0};
}

/* What stands between a folder and what is in it. */
static const char *slash_after(const char *folder) {
    const size_t length = strlen(folder);
    return length > 0 && folder[length - 1] == '/' ? "" : "/";
}

static void print_results(const unread_pictures *unread, const char *folder) {
    for (size_t i = 0; i < unread->result_folders; i++) {
        const picture_results *found = &unread->results[i];
        const bool one = found->count == 1;
        text_line(stderr, "%zu picture%s in %s%s%s %s of p2p and left out", found->count, one ? "" : "s",
                  folder, slash_after(folder), found->folder, one ? "is a result" : "are results");
    }
}

static void print_thumbnails(const unread_pictures *unread, const char *folder) {
    if (unread->thumbnail_count == 0) return;
    text_line(stderr, "%s: left out %zu picture%s in folders of thumbnails, such as %s", folder,
              unread->thumbnail_count, unread->thumbnail_count == 1 ? "" : "s", unread->thumbnail);
}

void unread_pictures_print(const unread_pictures *unread, const char *folder) {
    print_results(unread, folder);
    print_thumbnails(unread, folder);
    if (unread->count == 0) return;
    const char *text = unread->count == 1
                           ? "%s: %zu picture has a suffix that is not read: %s; convert it to "
                             "PNG or JPEG"
                           : "%s: %zu pictures have suffixes that are not read, such as %s; "
                             "convert them to PNG or JPEG";
    text_line(stderr, text, folder, unread->count, unread->example);
}

p2p_status picture_list_empty(const unread_pictures *unread, const char *folder) {
    if (unread->count == 0 && unread->result_folders > 0) {
        p2p_fail(P2P_INPUT, "%s holds no pictures but results of p2p, such as those in %s%s%s", folder,
                 folder, slash_after(folder), unread->results[0].folder);
        return p2p_hint(P2P_INPUT, "results are read where their folder itself is named");
    }
    if (unread->count == 0 && unread->thumbnail_count > 0) {
        p2p_fail(P2P_INPUT, "%s holds no pictures but those in folders of thumbnails, such as %s", folder,
                 unread->thumbnail);
        return p2p_hint(P2P_INPUT, "rename that folder if they are none");
    }
    if (unread->count == 0) {
        p2p_fail(P2P_INPUT, "%s holds no pictures", folder);
        return p2p_hint(P2P_INPUT, "files ending in %s are expected there, in subfolders too",
                        IMAGE_SUFFIXES);
    }
    p2p_fail(P2P_INPUT, "%s holds no pictures by suffixes that are read, but %zu other%s, such as %s", folder,
             unread->count, unread->count == 1 ? "" : "s", unread->example);
    return p2p_hint(P2P_INPUT, "convert them to PNG or JPEG; files ending in %s are read", IMAGE_SUFFIXES);
}
