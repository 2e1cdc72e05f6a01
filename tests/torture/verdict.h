/* A case: a subject, a fault, and the number of the call at which it occurs. Runs it, checks what is left,
 * runs the user's next command, and compares the results with those of an undisturbed run. */
#ifndef TORTURE_VERDICT_H
#define TORTURE_VERDICT_H

#include "subjects.h"

typedef struct {
    const subject *subject;
    const fault *what;
    uint64_t nth;
} torture_case;

typedef enum {
    VERDICT_BEYOND,    /* the run had fewer calls: nothing was provoked */
    VERDICT_WENT_ON,   /* exit code 0, and all results are complete */
    VERDICT_RECOVERED, /* it ended with a message or was killed; the next command reached the bits of an
                          undisturbed run */
    VERDICT_FAILED
} verdict_kind;

typedef struct {
    verdict_kind kind;
    int64_t steps_lost;                /* steps in the log that the next command had to make again */
    char where[TRACE_PATH_BYTES + 16]; /* the file or the caller */
    char reason[768];                  /* of VERDICT_FAILED */
} verdict;

/* In the current folder, which subjects_prepare() has filled. */
void case_run(const torture_target *target, const torture_case *one, verdict *result);

/* "train write 17 ENOSPC". Returns false if the text is not a case. */
bool case_parse(const char *text, torture_case *one);
void case_print(const torture_case *one, char *text, size_t size);

#endif
