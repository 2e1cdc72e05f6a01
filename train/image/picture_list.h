/* The pictures of a folder, and those in it that can't be read, which would otherwise be missed in silence.
 */
#ifndef P2P_PICTURE_LIST_H
#define P2P_PICTURE_LIST_H

#include "host/sys.h"

/* Files whose suffix is that of a picture format that is not read, such as HEIC, WebP and TIFF, and pictures
 * in folders of thumbnails. */
typedef struct {
    size_t count;
    char *example; /* the first of them, below the folder; owned, NULL if there is none */
    /* The same for the files of image_is_thumbnail. */
    size_t thumbnail_count;
    char *thumbnail;
} unread_pictures;

/* List the pictures below a folder, as sys_folder_walk does: the files of image_is_listed, without those for
 * which `omit` returns true (NULL: none), and count those of image_is_unread and image_is_thumbnail. Fails as
 * sys_folder_walk. The caller frees both, which are empty after a failure. */
p2p_status picture_list(sys_names *names, unread_pictures *unread, const char *folder,
                        bool (*omit)(const char *relative));
void unread_pictures_free(unread_pictures *unread); /* sets it to {0}; no effect on {0} */

/* Print a line on stderr with the number and the example of each kind, if there are any. */
void unread_pictures_print(const unread_pictures *unread, const char *folder);

/* Returns P2P_INPUT with the message that the folder has no pictures, and a hint that names the suffixes, or
 * that the unread ones should be converted. */
p2p_status picture_list_empty(const unread_pictures *unread, const char *folder);

#endif
