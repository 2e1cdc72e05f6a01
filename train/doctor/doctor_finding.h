/* What the doctor found: what works, what is slow, what fails, and what to try. */
#ifndef P2P_DOCTOR_FINDING_H
#define P2P_DOCTOR_FINDING_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stdio.h>

typedef enum {
    DOCTOR_WORKS,
    DOCTOR_SLOW, /* works, and takes longer than it could */
    DOCTOR_FAILS
} doctor_grade;

typedef struct {
    doctor_grade grade;
    char *what, *advice; /* owned; no advice: NULL */
} doctor_finding;

/* In the order in which they were found. A zeroed structure is empty. */
typedef struct {
    doctor_finding *items;
    int count, fails;
    bool incomplete; /* there was no memory for one, which counts as a failure */
} doctor_findings;

/* Appends a finding. `advice` is a sentence for a user, or NULL. */
void doctor_find(doctor_findings *all, doctor_grade grade, const char *advice, const char *format, ...)
    P2P_PRINTF(4, 5);
void doctor_findings_free(doctor_findings *all);

/* Prints what works, then what is slow, then what fails; of the latter two at most `most` each, and the
 * number of the others. An advice is printed once, below the last finding that has it. */
void doctor_findings_print(const doctor_findings *all, int most, FILE *stream);

#endif
