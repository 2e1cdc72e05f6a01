/* The work of `p2p translate`: all pictures of its arguments, the paths of their results, and their sizes.
 * Private to command_translate.c.
 */
#ifndef P2P_TRANSLATE_LIST_H
#define P2P_TRANSLATE_LIST_H

#include "picture_scale.h"
#include "translator.h"

typedef struct {
    char *source, *result;
    int picture_width, picture_height; /* as in the file */
    int scaled_width, scaled_height;   /* at the scale of picture_scale.h */
    int width, height;                 /* padded for the generator */
    uint64_t reading_bytes;            /* of memory, until it is padded */
} translate_job;

/* Jobs in order of their padded size. */
typedef struct {
    translate_job *jobs;
    size_t count, capacity;
    size_t skipped; /* bad pictures that were omitted */
    bool nested;    /* the folder of the results lies in a folder of pictures */
} translate_list;

/* Whether a picture that failed with `status` is omitted, according to --on-bad-image. Prints the thread's
 * message on stderr if so. */
bool translate_skips(const translator *t, p2p_status status);

/* List all pictures, name their results, read every header, and check all before any picture is translated.
 * Pictures in the folder of the results are omitted, and their number is printed on stderr.
 * P2P_INPUT, with the name in the message, for the first bad picture; with --on-bad-image skip bad pictures
 * are counted instead. Call translate_list_free() in any case. */
p2p_status translate_list_make(const translator *t, const picture_scale *scale, translate_list *list);
/* Check that each picture alone fits into memory. The devices must be open. P2P_INPUT, with the name in the
 * message, for one that does not, or with --on-bad-image skip it is omitted; P2P_OUT_OF_MEMORY if none would,
 * whatever its size. Sets t->picture_bytes to the most that reading one of the others takes. */
p2p_status translate_list_fit(translator *t, translate_list *list);
void translate_list_free(translate_list *list);

#endif
