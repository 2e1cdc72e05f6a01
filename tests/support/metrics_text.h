/* The text of metrics.jsonl, for comparisons of two trainings. */
#ifndef P2P_TEST_METRICS_TEXT_H
#define P2P_TEST_METRICS_TEXT_H

#include <stddef.h>
#include <string.h>

/* Removes times and measured rates, in place; returns the new length. */
static inline size_t metrics_remove_rates(char *text) {
    static const char measured[] = ",\"time\":"; /* the first of them */
    char *to = text;
    for (const char *from = text; *from;) {
        if (strncmp(from, measured, strlen(measured)) == 0) from += strcspn(from, "}");
        *to++ = *from++;
    }
    *to = '\0';
    return (size_t)(to - text);
}

#endif
