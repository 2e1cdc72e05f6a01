/* See cases.h. A candidate is a case and its stratum; of each stratum a number of candidates is taken at
 * random. */
#define _GNU_SOURCE
#include "cases.h"
#include "folders.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void case_list_free(case_list *list) {
    free(list->cases);
    *list = (case_list){0};
}

static void add_case(case_list *list, const torture_case *one) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 1024;
        list->cases = realloc(list->cases, list->capacity * sizeof *list->cases);
        if (!list->cases) die("no memory for the cases");
    }
    list->cases[list->count++] = *one;
}

/* ---- Chance ------------------------------------------------------------------------------------------- */

/* SplitMix64. */
static uint64_t mix(uint64_t value) {
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static uint64_t mix_two(uint64_t a, uint64_t b) {
    return mix(mix(a) ^ b);
}

/* ---- Candidates --------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t stratum, chance;
    size_t picks; /* of its stratum */
    torture_case one;
} candidate;

typedef struct {
    const sweep_options *options;
    const subject *subject;
    candidate *all;
    size_t count, capacity;
} candidates;

static void consider(candidates *c, const fault *what, uint64_t nth, uint64_t stratum, size_t picks) {
    if (c->options->only_call != CALL_NONE && c->options->only_call != what->call) return;
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 4096;
        c->all = realloc(c->all, c->capacity * sizeof *c->all);
        if (!c->all) die("no memory for the cases");
    }
    const bool whole = c->options->depth == SWEEP_WHOLE;
    const uint64_t number = (uint64_t)(what - faults), place = mix_two(nth, number);
    c->all[c->count++] = (candidate){.stratum = whole ? c->count : mix_two(stratum, number),
                                     .chance = mix_two(c->options->seed, place),
                                     .picks = picks,
                                     .one = {.subject = c->subject, .what = what, .nth = nth}};
}

static int compare_candidates(const void *left, const void *right) {
    const candidate *a = left, *b = right;
    if (a->stratum != b->stratum) return a->stratum < b->stratum ? -1 : 1;
    return a->chance < b->chance ? -1 : a->chance > b->chance;
}

static void take(candidates *c, case_list *list) {
    size_t taken = 0;
    if (c->count > 0) qsort(c->all, c->count, sizeof *c->all, compare_candidates);
    for (size_t i = 0; i < c->count; i++) {
        taken = i > 0 && c->all[i].stratum == c->all[i - 1].stratum ? taken + 1 : 0;
        if (taken < c->all[i].picks) add_case(list, &c->all[i].one);
    }
    free(c->all);
}

/* ---- System calls ------------------------------------------------------------------------------------- */

enum { TAIL = 60 /* calls at the end of a run, each of which is hit */ };

/* A hash of the path without its digits; temporary names may be random, so of such only the folder counts. */
static uint64_t kind_of_path(const char *path) {
    const char *slash = strrchr(path, '/'), *end = path + strlen(path);
    const bool temporary = path_is_temporary(path);
    uint64_t hash = temporary;
    if (temporary) end = slash ? slash : path;
    for (; path < end; path++)
        if (!isdigit((unsigned char)*path)) hash = mix_two(hash, (unsigned char)*path);
    return hash;
}

static void consider_faults(candidates *c, const traced_call *call, uint64_t nth, uint64_t left) {
    for (int i = 0; i < fault_count; i++)
        if (faults[i].call == call->call)
            consider(c, &faults[i], nth, mix_two(call->call, kind_of_path(call->path)), 1);
    if (left >= TAIL || c->options->depth == SWEEP_WHOLE) return;
    const fault *chosen = NULL;
    uint64_t best = 0;
    for (int i = 0; i < fault_count; i++) {
        const uint64_t chance = mix_two(c->options->seed, mix_two(left, (uint64_t)i)) | 1;
        if (faults[i].call != call->call || chance < best) continue;
        chosen = &faults[i];
        best = chance;
    }
    if (chosen) consider(c, chosen, nth, mix_two(~left, call->call), 1);
}

static void consider_calls(candidates *c, const torture_target *target) {
    const fault *kill = fault_named(CALL_ANY, "KILL"), *move = fault_named(CALL_ANY, "MOVE"),
                *replace = fault_named(CALL_ANY, "REPLACE");
    trace_log log = {0};
    uint64_t counts[CALL_COUNT] = {0};
    subject_calls(target, c->subject, &log);
    for (size_t i = 0; i < log.count; i++) {
        const traced_call *call = &log.calls[i];
        const uint64_t nth = ++counts[call->call], left = log.count - i;
        consider_faults(c, call, nth, left);
        if (call->changes_files || c->options->depth == SWEEP_WHOLE)
            consider(c, kill, i + 1, left < TAIL ? mix(left) : mix_two(call->call, kind_of_path(call->path)),
                     3);
        if (c->subject->trains && (call->changes_files || c->options->depth == SWEEP_WHOLE)) {
            consider(c, move, i + 1, mix_two(call->call, kind_of_path(call->path)), 1);
            consider(c, replace, i + 1, mix_two(call->call, kind_of_path(call->path)), 1);
        }
    }
    trace_log_free(&log);
}

/* ---- Allocations and devices -------------------------------------------------------------------------- */

static void consider_allocations(candidates *c, const torture_target *target) {
    size_t count;
    uint64_t *sites = subject_allocations(target, c->subject, &count);
    const fault *once = fault_named(CALL_MALLOC, "NULL"), *lasting = fault_named(CALL_MALLOC, "NULL+");
    for (size_t i = 0; i < count; i++) {
        consider(c, once, i + 1, sites[i], 2);
        consider(c, lasting, i + 1, sites[i], 1);
    }
    free(sites);
}

static void consider_device(candidates *c, const torture_target *target) {
    const fault *lost = fault_named(CALL_DEVICE, "LOST");
    const uint64_t calls = subject_device_calls(target, c->subject);
    for (uint64_t i = 1; i <= calls; i++) consider(c, lost, i, 0, 40);
}

static void consider_kills(candidates *c) {
    const fault *kills = fault_named(CALL_ANY, "KILLS");
    for (uint64_t i = 1; i <= 1000; i++) consider(c, kills, mix_two(c->options->seed, i) >> 40, 0, 50);
}

/* ---- Sweeps ------------------------------------------------------------------------------------------- */

static bool wants(const sweep_options *options, call_class call) {
    return options->only_call == CALL_NONE || options->only_call == call;
}

static void select_of(const torture_target *target, const sweep_options *options, const subject *s,
                      case_list *list) {
    candidates c = {.options = options, .subject = s};
    consider_calls(&c, target);
    if (wants(options, CALL_MALLOC)) consider_allocations(&c, target);
    if (!target->sanitized && wants(options, CALL_DEVICE)) consider_device(&c, target);
    if (s->trains && !s->start) consider_kills(&c);
    take(&c, list);
}

static void shuffle(case_list *list, uint64_t seed) {
    for (size_t i = list->count; i > 1; i--) {
        const size_t other = mix_two(seed, i) % i;
        const torture_case kept = list->cases[i - 1];
        list->cases[i - 1] = list->cases[other];
        list->cases[other] = kept;
    }
}

void cases_select(const torture_target *target, const sweep_options *options, case_list *list) {
    *list = (case_list){0};
    for (int i = 0; i < subject_count; i++)
        if (!options->only || options->only == &subjects[i]) select_of(target, options, &subjects[i], list);
    shuffle(list, options->seed);
    if (options->most > 0 && list->count > options->most) list->count = options->most;
}
