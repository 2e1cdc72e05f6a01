/* The operations of a plan, one by one. See bench_profile.h. */
#include "bench_profile.h"

#include "bench_summary.h"
#include "host/json_file.h"
#include "host/sys.h"

#include <stdlib.h>
#include <string.h>

/* ---- Timing ------------------------------------------------------------------------------------------- */

static p2p_status add_operation(bench_profile *profile, const p2p_operation_timing *timing) {
    if (profile->count == profile->capacity) {
        int capacity = profile->capacity ? 2 * profile->capacity : 256;
        bench_operation *grown = realloc(profile->operations, (size_t)capacity * sizeof *grown);
        if (!grown) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the times of %d operations", capacity);
        profile->operations = grown;
        profile->capacity = capacity;
    }
    double *seconds = calloc((size_t)profile->repeats, sizeof *seconds);
    if (!seconds) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the times of an operation");
    profile->operations[profile->count++] =
        (bench_operation){.op = timing->op, .kernel = timing->kernel, .seconds = seconds};
    return P2P_OK;
}

static p2p_status note_timing(void *context, const p2p_operation_timing *timing) {
    bench_profile *profile = context;
    if (timing->position == profile->count) P2P_TRY(add_operation(profile, timing));
    bench_operation *operation = &profile->operations[timing->position];
    operation->begin = timing->begin;
    operation->end = timing->end;
    operation->seconds[profile->done] = timing->end - timing->begin;
    return P2P_OK;
}

p2p_status bench_profile_pass(p2p_plan *plan, uint32_t step, bench_profile *profile) {
    p2p_step numbers = {.seed = 1, .step = step};
    P2P_TRY(p2p_plan_profile(plan, &numbers, sys_clock, note_timing, profile));
    P2P_TRY(p2p_plan_wait(plan));
    profile->done++;
    return P2P_OK;
}

void bench_profile_free(bench_profile *profile) {
    for (int i = 0; i < profile->count; i++) free(profile->operations[i].seconds);
    free(profile->operations);
    *profile = (bench_profile){0};
}

/* ---- Counting and grouping ---------------------------------------------------------------------------- */

double bench_profile_convolution_flops(const bench_profile *profile) {
    double flops = 0;
    for (int i = 0; i < profile->count; i++) {
        const p2p_op *op = profile->operations[i].op;
        if (p2p_op_is_convolution(op)) flops += p2p_op_flops(op);
    }
    return flops;
}

p2p_math bench_profile_math(const bench_profile *profile) {
    for (int i = 0; i < profile->count; i++) {
        const p2p_op *op = profile->operations[i].op;
        if (p2p_op_is_convolution(op) && op->math != P2P_MATH_stored) return (p2p_math)op->math;
    }
    return P2P_MATH_stored;
}

static void add_to_groups(bench_group *groups, int *count, const bench_profile *profile,
                          bench_operation *operation) {
    int g = 0;
    while (g < *count &&
           !(p2p_op_equal(groups[g].op, operation->op) && strcmp(groups[g].kernel, operation->kernel) == 0))
        g++;
    if (g == *count) groups[(*count)++] = (bench_group){.op = operation->op, .kernel = operation->kernel};
    groups[g].count++;
    groups[g].seconds += bench_summary(operation->seconds, profile->repeats).median;
    groups[g].flops += p2p_op_flops(operation->op);
    groups[g].bytes += p2p_op_bytes(operation->op);
}

static int slowest_first(const void *left, const void *right) {
    double a = ((const bench_group *)left)->seconds, b = ((const bench_group *)right)->seconds;
    return (a < b) - (a > b);
}

p2p_status bench_profile_group(const bench_profile *profile, bench_group **groups, int *count) {
    *count = 0;
    *groups = calloc((size_t)profile->count + 1, sizeof **groups);
    if (!*groups) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to group %d operations", profile->count);
    for (int i = 0; i < profile->count; i++) add_to_groups(*groups, count, profile, &profile->operations[i]);
    qsort(*groups, (size_t)*count, sizeof **groups, slowest_first);
    return P2P_OK;
}

/* Whether the operand's extents determine the amount of work. Biases and statistics do not. */
static bool is_main_operand(const p2p_op *op, int operand) {
    static const char *const names[] = {"x", "w", "y", "dx", "dw", "dy"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(p2p_kind_operand_name(op->kind, operand), names[i]) == 0) return true;
    return operand == 0;
}

void bench_operation_name(const p2p_op *op, char *text, size_t size) {
    enum { MOST = 3 };
    int length = snprintf(text, size, "%s", p2p_kind_name(op->kind)), shown = 0;
    for (int i = 0; i < p2p_kind_operand_count(op->kind) && shown < MOST; i++) {
        const p2p_tensor *t = &op->t[i];
        if (!p2p_tensor_present(t) || !is_main_operand(op, i) || (size_t)length >= size) continue;
        length += snprintf(text + length, size - (size_t)length, " %lldx%lldx%lldx%lld", (long long)t->n,
                           (long long)t->c, (long long)t->h, (long long)t->w);
        shown++;
    }
}

/* ---- The timeline ------------------------------------------------------------------------------------- */

/* A complete event ("ph": "X"). Times are microseconds since the first operation's start. */
static json_t *trace_event(const bench_operation *operation, double origin) {
    char name[192], text[P2P_OP_TEXT];
    bench_operation_name(operation->op, name, sizeof name);
    p2p_op_print(operation->op, text, sizeof text);
    double seconds = operation->end - operation->begin;
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:{s:s, s:s, s:f, s:f}}", "name", name, "cat",
                     p2p_kind_name(operation->op->kind), "ph", "X", "ts", (operation->begin - origin) * 1e6,
                     "dur", seconds * 1e6, "pid", 1, "tid", 1, "args", "op", text, "kernel",
                     operation->kernel, "gflops", bench_rate(p2p_op_flops(operation->op), seconds) * 1e-9,
                     "gb_per_s", bench_rate(p2p_op_bytes(operation->op), seconds) * 1e-9);
}

static json_t *trace_events(const bench_profile *profile, const char *device) {
    json_t *events = json_array();
    json_t *name = json_pack("{s:s, s:s, s:i, s:{s:s}}", "name", "process_name", "ph", "M", "pid", 1, "args",
                             "name", device);
    bool complete = events && json_array_append_new(events, name) == 0;
    for (int i = 0; complete && i < profile->count; i++) {
        json_t *event = trace_event(&profile->operations[i], profile->operations[0].begin);
        complete = json_array_append_new(events, event) == 0;
    }
    if (complete) return events;
    json_decref(events);
    return NULL;
}

p2p_status bench_profile_trace(const bench_profile *profile, const char *device, const char *path) {
    json_t *events = trace_events(profile, device);
    json_t *object = events ? json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ms") : NULL;
    return json_file_write(path, object, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
}
