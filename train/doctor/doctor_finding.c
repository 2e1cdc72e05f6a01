/* See doctor_finding.h. */
#include "doctor_finding.h"

#include "doctor_text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static bool append(doctor_findings *all, doctor_grade grade, const char *advice, const char *what) {
    doctor_finding *items = realloc(all->items, (size_t)(all->count + 1) * sizeof *items);
    if (!items) return false;
    all->items = items;
    items[all->count] = (doctor_finding){grade, strdup(what), advice ? strdup(advice) : NULL};
    return items[all->count++].what != NULL;
}

void doctor_find(doctor_findings *all, doctor_grade grade, const char *advice, const char *format, ...) {
    char what[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const bool kept = append(all, grade, advice, what);
    if (grade == DOCTOR_FAILS || !kept) all->fails++;
    if (!kept) all->incomplete = true;
}

void doctor_findings_free(doctor_findings *all) {
    for (int i = 0; i < all->count; i++) {
        free(all->items[i].what);
        free(all->items[i].advice);
    }
    free(all->items);
    *all = (doctor_findings){0};
}

/* ---- Printing ----------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_last_with_advice(const doctor_findings *all, int index) {
    for (int i = index + 1; i < all->count; i++)
        if (all->items[i].grade == all->items[index].grade &&
            same_text(all->items[i].advice, all->items[index].advice))
            return false;
    return true;
}

static void print_grade(const doctor_findings *all, doctor_grade grade, int most, FILE *stream) {
    static const char *const labels[] = {"works", "slow", "fails"};
    int shown = 0, hidden = 0;
    for (int i = 0; i < all->count; i++) {
        const doctor_finding *item = &all->items[i];
        if (item->grade != grade) continue;
        if (shown < most)
            doctor_line(stream, "  %-6s %s", shown++ == 0 ? labels[grade] : "",
                        item->what ? item->what : "?");
        else
            hidden++;
        if (item->advice && is_last_with_advice(all, i))
            doctor_line(stream, "         try: %s", item->advice);
    }
    if (hidden > 0) doctor_line(stream, "         and %d more; --report FILE lists all", hidden);
}

void doctor_findings_print(const doctor_findings *all, int most, FILE *stream) {
    print_grade(all, DOCTOR_WORKS, all->count, stream);
    print_grade(all, DOCTOR_SLOW, most, stream);
    print_grade(all, DOCTOR_FAILS, most, stream);
    if (all->incomplete) doctor_line(stream, "  fails  there was no memory for all findings");
}
