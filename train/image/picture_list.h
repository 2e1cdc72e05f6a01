/* The pictures of a folder, and those in it that are left out, which would otherwise be missed in silence:
 * files that can't be read, thumbnails, and results of p2p.
 *
 * A folder with the file PICTURE_RESULTS holds results. Commands that search a folder around it leave its
 * pictures out; if it is named itself, its pictures are listed.
 */
#ifndef P2P_PICTURE_LIST_H
#define P2P_PICTURE_LIST_H

#include "host/sys.h"

/* The mark of a folder of results: one line of text, of which only the presence matters. */
#define PICTURE_RESULTS ".p2p-results"

/* A folder of results below the one that is listed. */
typedef struct {
    char *folder; /* its path below the one that is listed; owned */
    size_t count; /* of pictures, those of formats that are not read included */
} picture_results;

/* What a list leaves out. */
typedef struct {
    size_t count;  /* of files whose suffix is that of a picture format that is not read: HEIC, WebP, TIFF */
    char *example; /* the first of them, below the folder; owned, NULL if there is none */
    size_t thumbnail_count; /* of pictures in folders of thumbnails */
    char *thumbnail;        /* the first of them, as `example` */
    picture_results *results;
    size_t result_folders;
} unread_pictures;

/* List the pictures below a folder, as sys_folder_walk does: the files of image_is_listed, without those for
 * which `omit` returns true (NULL: none) and those in marked folders below it. Counts those of
 * image_is_unread and image_is_thumbnail. Fails as sys_folder_walk and sys_path_exists. The caller frees
 * both, which are empty after a failure. */
p2p_status picture_list(sys_names *names, unread_pictures *unread, const char *folder,
                        bool (*omit)(const char *relative));
void unread_pictures_free(unread_pictures *unread); /* sets it to {0}; no effect on {0} */

/* Print a line on stderr with the number and the example of each kind, if there are any, and one for each
 * folder of results. */
void unread_pictures_print(const unread_pictures *unread, const char *folder);

/* Returns P2P_INPUT with the message that the folder has no pictures, and a hint that names the suffixes, or
 * that the unread ones should be converted, or where results are. */
p2p_status picture_list_empty(const unread_pictures *unread, const char *folder);

/* Mark a folder, which exists, as one of results that p2p COMMAND writes. P2P_IO if that is impossible. */
p2p_status picture_list_mark(const char *folder, const char *command);

/* The same if the folder lies in the folder `source` of pictures, and is not that folder. Makes it if need
 * be. */
p2p_status picture_list_mark_inside(const char *folder, const char *source, const char *command);

#endif
