/* Lines of fields, of which as many are shown as there is room for. */
#ifndef P2P_PROGRESS_LINE_H
#define P2P_PROGRESS_LINE_H

#include "p2p_status.h"

#include <stddef.h>

enum { PROGRESS_FIELDS = 12, PROGRESS_FIELD_BYTES = 48 };
enum { PROGRESS_LINE_BYTES = PROGRESS_FIELDS * (PROGRESS_FIELD_BYTES + 2) };

/* Fields of ASCII in the order of their importance. Initialise with {0}. */
typedef struct {
    int count;
    char texts[PROGRESS_FIELDS][PROGRESS_FIELD_BYTES];
    const char *spared; /* what the first field begins with, which is left out if `vital` fields do not fit
                           otherwise; NULL: nothing */
    int vital;
} progress_fields;

void progress_fields_add(progress_fields *fields, const char *format, ...) P2P_PRINTF(2, 3);

/* The fields from the first one on, as many as fit into `columns`, with two spaces between them. A first
 * field that does not fit is cut. Returns the length. */
size_t progress_fields_text(const progress_fields *fields, size_t columns, char text[PROGRESS_LINE_BYTES]);

#endif
