/* The commands under test, and a run of one of them with a fault. A small training writes every kind
 * of file: configuration, log, checkpoints (old ones removed), models, samples, epochs (old ones removed),
 * the best one.
 */
#ifndef TORTURE_SUBJECTS_H
#define TORTURE_SUBJECTS_H

#include "calls.h"
#include "malloc_faults.h"
#include "trace.h"

typedef struct {
    const char *name;
    const char *arguments[32]; /* after the program; NULL-terminated. Results are in "out" */
    const char *start;         /* the folder that is copied to "out" before, or NULL */
    bool trains;               /* it is continued with --resume, else run again with --force */
} subject;

extern const subject subjects[];
extern const int subject_count;
const subject *subject_named(const char *name); /* NULL if there is none */

/* The program and what is known about it. */
typedef struct {
    const char *program; /* absolute */
    const char
        *library;   /* malloc_faults.so, absolute; sanitized, the program with malloc_faults.c as a part */
    bool sanitized; /* faults only in allocations of p2p's own code, and in calls on files of the run */
} torture_target;

/* Names in the current folder. "whole-NAME" and "whole-NAME.txt" are the results and the output of an
 * undisturbed run. */
#define SUBJECT_OUT         "out"
#define SUBJECT_MOVED       "moved" /* "out" after FAULT_MOVE and FAULT_REPLACE */
#define SUBJECT_OTHER       "other" /* what FAULT_REPLACE puts in its place: a copy of the next */
#define SUBJECT_OTHER_WHOLE "whole-other"
#define SUBJECT_STDOUT      "stdout.txt"
#define SUBJECT_STDERR      "stderr.txt"

/* Draws the data in the current folder, trains, and keeps the results of an undisturbed run of each subject.
 */
void subjects_prepare(const torture_target *target, const char *pictures_tool);

/* Removes "moved", and empties "out" or fills it as before the subject's run. */
void subject_reset(const subject *s);

/* What to run: the subject's command, with `more` after it unless that is NULL. */
typedef struct {
    const char *words[40];
    trace_command command;
    char device_fault[64], library[4096];
    const char *environment[8];
} subject_run;
void subject_run_fill(subject_run *run, const torture_target *target, const subject *s, const char *more);

/* Runs the subject with the fault at its nth call. */
void subject_run_faulty(const torture_target *target, const subject *s, const fault *what, uint64_t nth,
                        trace_outcome *outcome);

/* The undisturbed run's calls; the number of the backend's calls; the callers of its allocations, of which
 * there are *count, to be freed. */
void subject_calls(const torture_target *target, const subject *s, trace_log *log);
uint64_t subject_device_calls(const torture_target *target, const subject *s);
uint64_t *subject_allocations(const torture_target *target, const subject *s, size_t *count);

#endif
