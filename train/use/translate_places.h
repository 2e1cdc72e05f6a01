/* Where pictures lie and where their results go: no result becomes a picture of a later run, or overwrites a
 * picture of this one. Private to translate_list.c. Every path is compared as sys_path_real returns it, so
 * links and other spellings make no difference.
 *
 * Results may go into a folder inside a folder of pictures; pictures in that folder are results and are not
 * translated. They may not go anywhere else in a folder of pictures.
 */
#ifndef P2P_TRANSLATE_PLACES_H
#define P2P_TRANSLATE_PLACES_H

#include "host/sys.h"

typedef struct {
    const char *named; /* --out as it was given; borrowed */
    char *out;         /* the folder of the results */
    sys_names folders; /* of pictures, outside of `out` or around it */
} translate_places;

/* `out` is the folder of the results, which need not exist. Call translate_places_close() in any case. */
p2p_status translate_places_open(translate_places *places, const char *out);
void translate_places_close(translate_places *places);

/* Add a folder of pictures, and drop those of `names`, paths relative to it, that lie in a folder of results
 * inside it. *dropped is their number. P2P_USAGE if it is the folder of the results itself. */
p2p_status translate_places_add(translate_places *places, const char *folder, sys_names *names,
                                size_t *dropped);

/* Whether the folder of the results lies in a folder that was added. */
bool translate_places_nested(const translate_places *places);

/* Two paths of a picture. */
typedef struct {
    const char *source, *result;
} translate_pair;

/* P2P_USAGE if a result would be written over one of the pictures, into a folder of pictures, or beside its
 * picture under the same name but for the suffix. The message names both. */
p2p_status translate_places_check(const translate_places *places, const translate_pair *pairs, size_t count);

#endif
