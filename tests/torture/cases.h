/* Which cases a sweep has. */
#ifndef TORTURE_CASES_H
#define TORTURE_CASES_H

#include "verdict.h"

typedef struct {
    torture_case *cases;
    size_t count, capacity;
} case_list;

/* What a sweep takes of all cases. SWEEP_WHOLE: all. SWEEP_USUAL: of each fault at each kind of file (numbers
 * in names do not count) and at each caller of an allocation a random call; all calls near the end of the
 * run. */
typedef enum { SWEEP_USUAL, SWEEP_WHOLE } sweep_depth;

typedef struct {
    sweep_depth depth;
    uint64_t seed;
    size_t most;          /* at random so many of the cases; 0: all */
    const subject *only;  /* NULL: all subjects */
    call_class only_call; /* CALL_NONE: all classes */
} sweep_options;

/* Runs each subject to count its calls. The cases are in random order. */
void cases_select(const torture_target *target, const sweep_options *options, case_list *list);
void case_list_free(case_list *list);

#endif
