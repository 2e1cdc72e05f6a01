/* What `p2p translate` is to do: every picture that its arguments mean, where each result goes, and which of
 * them go through the generator together. Private to command_translate.c and its list.
 */
#ifndef P2P_TRANSLATE_LIST_H
#define P2P_TRANSLATE_LIST_H

#include "translator.h"

typedef struct {
    char *source, *result;
    int width, height; /* as the generator takes it: padded */
} translate_job;

/* Jobs of one padded size follow each other. */
typedef struct {
    translate_job *jobs;
    size_t count, capacity;
    size_t skipped; /* pictures that were left out */
} translate_list;

/* Whether a picture that failed like this is to be left out, by --on-bad-image; says so on stderr then. */
bool translate_skips(const translator *t, p2p_status status);

/* Walk folders, name results, read every picture's header and check all of it, before any work. P2P_INPUT
 * names the first bad picture; those that --on-bad-image skip leaves out are counted. */
p2p_status translate_list_make(const translator *t, translate_list *list);
void translate_list_free(translate_list *list);

#endif
