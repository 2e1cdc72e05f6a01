/* See picture_list.h. */
#include "picture_list.h"

#include "host/text.h"
#include "image.h"

#include <stdlib.h>
#include <string.h>

static bool is_picture(const char *relative) {
    return image_is_listed(relative) || image_is_unread(relative);
}

static void note_unread(unread_pictures *unread, char *name) {
    if (unread->count++ == 0)
        unread->example = name;
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
            note_unread(unread, name);
        else
            names->names[kept++] = name;
    }
    names->count = kept;
    return P2P_OK;
}

void unread_pictures_free(unread_pictures *unread) {
    free(unread->example);
    *unread = (unread_pictures){0};
}

void unread_pictures_print(const unread_pictures *unread, const char *folder) {
    if (unread->count == 0) return;
    const char *text = unread->count == 1
                           ? "%s: %zu picture has a suffix that is not read: %s; convert it to "
                             "PNG or JPEG"
                           : "%s: %zu pictures have suffixes that are not read, such as %s; "
                             "convert them to PNG or JPEG";
    text_line(stderr, text, folder, unread->count, unread->example);
}

p2p_status picture_list_empty(const unread_pictures *unread, const char *folder) {
    if (unread->count == 0) {
        p2p_fail(P2P_INPUT, "%s holds no pictures", folder);
        return p2p_hint(P2P_INPUT, "files ending in %s are expected there, in subfolders too",
                        IMAGE_SUFFIXES);
    }
    p2p_fail(P2P_INPUT, "%s holds no pictures by suffixes that are read, but %zu other%s, such as %s", folder,
             unread->count, unread->count == 1 ? "" : "s", unread->example);
    return p2p_hint(P2P_INPUT, "convert them to PNG or JPEG; files ending in %s are read", IMAGE_SUFFIXES);
}
