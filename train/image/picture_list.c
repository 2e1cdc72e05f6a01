/* See picture_list.h. */
#include "picture_list.h"

#include "host/text.h"
#include "image.h"

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

p2p_status picture_list(sys_names *names, unread_pictures *unread, const char *folder,
                        bool (*omit)(const char *relative)) {
    size_t kept = 0;
    *unread = (unread_pictures){0};
    P2P_TRY(sys_folder_walk(names, folder, is_picture));
    for (size_t i = 0; i < names->count; i++) {
        char *name = names->names[i];
        if (omit && omit(name))
            free(name);
        else if (image_is_unread(name))
            note(&unread->count, &unread->example, name);
        else if (image_is_thumbnail(name))
            note(&unread->thumbnail_count, &unread->thumbnail, name);
        else
            names->names[kept++] = name;
    }
    names->count = kept;
    return P2P_OK;
}

void unread_pictures_free(unread_pictures *unread) {
    free(unread->example);
    free(unread->thumbnail);
    *unread = (unread_pictures){0};
}

static void print_thumbnails(const unread_pictures *unread, const char *folder) {
    if (unread->thumbnail_count == 0) return;
    text_line(stderr, "%s: left out %zu picture%s in folders of thumbnails, such as %s", folder,
              unread->thumbnail_count, unread->thumbnail_count == 1 ? "" : "s", unread->thumbnail);
}

void unread_pictures_print(const unread_pictures *unread, const char *folder) {
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
