/* See progress_line.h. */
#include "progress_line.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { SPACES = 2 };

void progress_fields_add(progress_fields *fields, const char *format, ...) {
    va_list args;
    if (fields->count == PROGRESS_FIELDS) return;
    va_start(args, format);
    vsnprintf(fields->texts[fields->count++], PROGRESS_FIELD_BYTES, format, args);
    va_end(args);
}

/* The columns of the first `count` fields. */
static size_t columns_of(const progress_fields *fields, int count) {
    size_t columns = 0;
    for (int i = 0; i < count; i++) columns += strlen(fields->texts[i]) + (i > 0 ? SPACES : 0);
    return columns;
}

/* The first field, without what is spared if that makes room for the vital ones. */
static const char *first_field(const progress_fields *fields, size_t columns) {
    const char *text = fields->texts[0];
    const size_t spared = fields->spared ? strlen(fields->spared) : 0;
    const int vital = fields->vital < fields->count ? fields->vital : fields->count;
    const bool narrow = columns_of(fields, vital) > columns;
    return narrow && spared > 0 && strncmp(text, fields->spared, spared) == 0 ? text + spared : text;
}

size_t progress_fields_text(const progress_fields *fields, size_t columns, char text[PROGRESS_LINE_BYTES]) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < fields->count; i++) {
        const char *field = i == 0 ? first_field(fields, columns) : fields->texts[i];
        const size_t length = strlen(field) + (i > 0 ? SPACES : 0);
        if (i > 0 && used + length > columns) break;
        snprintf(text + used, PROGRESS_LINE_BYTES - used, "%s%s", i > 0 ? "  " : "", field);
        used += length;
    }
    if (used > columns) text[used = columns] = '\0';
    return used;
}
