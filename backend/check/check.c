/* p2p_device_check: the walk over operations and algorithms, and the judgement of each. The comparison of one
 * operation is in op_compare.c.
 */
#include "p2p_check.h"

#include "check_cases.h"
#include "op_compare.h"
#include "op_parts.h"

#include <stdlib.h>
#include <string.h>

enum { SEED = 1, CONVOLUTIONS = P2P_KIND_conv_bwd_filter - P2P_KIND_conv_fwd + 1 };

_Static_assert(CONVOLUTIONS == 3, "check.seen has a row for each kind of convolution");

/* The algorithms of a kind that have been run. */
typedef struct {
    char (*names)[P2P_CHOICE_NAME];
    int count;
} name_set;

typedef struct {
    const p2p_check_options *options;
    op_bench device, reference; /* device.device is the caller's */
    op_storages storages;
    p2p_math math;
    name_set seen[CONVOLUTIONS];
    int done, total;
    p2p_status lost; /* P2P_DEVICE_LOST, or a failure of the walk itself; it then ends */
} check;

/* ---- One operation ------------------------------------------------------------------------------------ */

static void print_form(const p2p_op *op, int alignment, char *text, size_t size) {
    const unsigned parts = op_parts_of(op, alignment);
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < OP_PART_COUNT && used < size; i++)
        if (parts >> i & 1)
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "", op_part_name((op_part)i));
}

/* The copy that derives the filter in the storage that the device requests. */
static p2p_op derivation(const p2p_op *op, const p2p_op *wanted) {
    const int w = p2p_kind_filter(op->kind);
    p2p_op copy = {.kind = P2P_KIND_copy};
    copy.t[P2P_AT_copy_x] = op->t[w];
    copy.t[P2P_AT_copy_y] = wanted->t[w];
    return copy;
}

/* Compares what the device has requested, and may therefore not refuse. */
static p2p_status compare_requested(check *all, const p2p_op *op, p2p_query *query, double *used) {
    double share = 0;
    const p2p_status status = op_compare(&all->device, &all->reference, op, SEED, query, &share);
    if (share > *used) *used = share;
    if (status != P2P_UNSUPPORTED) return status;
    return p2p_fail(P2P_FAILED, "refused with the storage of filters that it requests: %s", p2p_message());
}

/* Compares the operation as plans run it: with the filter in the storage that the device requests, and the
 * copy that derives it. If the device only prefers that storage, without it as well. */
static p2p_status compare(check *all, const p2p_op *op, p2p_query *query, double *used) {
    const p2p_op required = op_as_required(all->device.device, op);
    P2P_TRY(op_compare(&all->device, &all->reference, &required, SEED, query, used));
    const p2p_op wanted = op_with_requested_filter(&required, query);
    if (p2p_op_equal(&wanted, op)) return P2P_OK;
    p2p_query ignored;
    const p2p_op copy = derivation(op, &wanted);
    P2P_TRY(compare_requested(all, &copy, &ignored, used));
    return p2p_op_equal(&wanted, &required) ? P2P_OK : compare_requested(all, &wanted, query, used);
}

/* A refusal is an outcome of its own if the operation has an optional part, and nothing was imposed. */
static p2p_check_outcome classify(p2p_status status, const p2p_op *op, const char *algorithm, int alignment) {
    if (status == P2P_OK) return P2P_CHECK_PASSED;
    const bool optional = op_parts_of(op, alignment) != 0 && algorithm[0] == '\0';
    if (status != P2P_UNSUPPORTED || !optional) return P2P_CHECK_FAILED;
    return op->math != P2P_MATH_stored ? P2P_CHECK_AS_STORED : P2P_CHECK_REFUSED;
}

static void report(check *all, const p2p_op *op, const char *algorithm, p2p_check_result *result) {
    char form[128], descriptor[P2P_OP_TEXT];
    print_form(op, (int)all->storages.channel_alignment, form, sizeof form);
    p2p_op_print(op, descriptor, sizeof descriptor);
    result->kind = op->kind;
    result->form = form;
    result->algorithm = algorithm;
    result->descriptor = descriptor;
    all->options->visit(all->options->context, result);
}

/* Runs one check and reports it. `made`: what happened before it, such as a refusal to impose. */
static p2p_check_outcome run(check *all, const p2p_op *op, const char *algorithm, p2p_status made,
                             double began) {
    char reason[1024] = "";
    p2p_query query = {0};
    p2p_check_result result = {0};
    p2p_status status = made == P2P_OK ? p2p_op_validate(op) : made;
    if (status == P2P_OK) status = compare(all, op, &query, &result.used);
    if (status != P2P_OK) snprintf(reason, sizeof reason, "%s", p2p_message());
    if (status == P2P_DEVICE_LOST) all->lost = status;
    result.outcome = classify(status, op, algorithm, (int)all->storages.channel_alignment);
    result.reason = reason;
    result.kernel = query.kernel;
    result.seconds = all->options->clock() - began;
    report(all, op, algorithm, &result);
    if (status == P2P_DEVICE_LOST) p2p_fail(status, "%s", reason); /* the message of the whole */
    return result.outcome;
}

static void show_progress(check *all) {
    if (all->options->progress) all->options->progress(all->options->context, all->done, all->total);
    all->done++;
}

static p2p_op stamp(const check *all, const op_case *item) {
    p2p_op op = op_case_stamp(item, &all->storages);
    if (p2p_op_is_convolution(&op)) op.math = all->math;
    return op;
}

/* What the device refuses in the precision's math is computed as stored. */
static void check_own_choice(void *context, const op_case *item) {
    check *all = context;
    p2p_op op = stamp(all, item);
    if (all->lost != P2P_OK) return;
    show_progress(all);
    const p2p_check_outcome outcome = run(all, &op, "", P2P_OK, all->options->clock());
    if (outcome != P2P_CHECK_AS_STORED) return;
    op.math = P2P_MATH_stored;
    run(all, &op, "", P2P_OK, all->options->clock());
}

/* ---- Algorithms --------------------------------------------------------------------------------------- */

/* Adds the name; false if it was there. */
static bool add_name(check *all, p2p_kind kind, const char name[P2P_CHOICE_NAME]) {
    name_set *set = &all->seen[kind - P2P_KIND_conv_fwd];
    for (int i = 0; i < set->count; i++)
        if (strcmp(set->names[i], name) == 0) return false;
    char(*names)[P2P_CHOICE_NAME] = realloc(set->names, (size_t)(set->count + 1) * sizeof *names);
    if (!names) {
        all->lost = p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for the names of algorithms");
        return false;
    }
    set->names = names;
    memcpy(set->names[set->count++], name, P2P_CHOICE_NAME);
    return true;
}

static void leave_out(check *all, const p2p_op *op, const char *name) {
    p2p_check_result result = {
        .outcome = P2P_CHECK_LEFT_OUT, .kernel = "", .reason = "there was no time left"};
    report(all, op, name, &result);
}

static void check_algorithm(check *all, const p2p_op *op, const char *name) {
    const double began = all->options->clock();
    if (all->options->algorithms_until > 0 && began >= all->options->algorithms_until) {
        leave_out(all, op, name);
        return;
    }
    all->total++;
    show_progress(all);
    const p2p_status imposed = p2p_operation_impose(all->device.device, op, name);
    run(all, op, name, imposed, began);
    if (all->lost == P2P_OK && imposed == P2P_OK)
        all->lost = p2p_operation_impose(all->device.device, op, ""); /* the heuristic again */
}

/* Runs each algorithm for the convolution that has not run for another of its kind. */
static void check_algorithms(check *all, const op_case *item, bool variants) {
    const p2p_op op = stamp(all, item);
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
    int count = 0;
    const bool plain = p2p_op_is_convolution(&op) && (op_parts_of(&op, (int)all->storages.channel_alignment) &
                                                      ~(1u << OP_PART_bf16 | 1u << OP_PART_tf32)) == 0;
    p2p_query query;
    if (!plain || all->lost != P2P_OK) return;
    if (p2p_operation_query(all->device.device, &op, &query) != P2P_OK) return; /* reported by then */
    all->lost = p2p_operation_list(all->device.device, &op, names, &count);
    for (int i = 0; i < count && all->lost == P2P_OK; i++)
        if ((strchr(names[i], ':') != NULL) == variants && add_name(all, op.kind, names[i]))
            check_algorithm(all, &op, names[i]);
}

/* Families have plain names; those of variants follow a colon. */
static void check_families(void *context, const op_case *item) {
    check_algorithms(context, item, false);
}

static void check_variants(void *context, const op_case *item) {
    check_algorithms(context, item, true);
}

/* ---- All ---------------------------------------------------------------------------------------------- */

static void count_case(void *context, const op_case *item) {
    check *all = context;
    (void)item;
    all->total++;
}

static p2p_status walk(check *all) {
    const p2p_device_info *info = p2p_device_describe(all->device.device);
    check_cases_visit(info, count_case, all);
    check_cases_visit(info, check_own_choice, all);
    if (all->lost != P2P_OK || !p2p_device_has_choices(all->device.device)) return all->lost;
    check_cases_visit(info, check_families, all); /* the most different ones first, if time is short */
    check_cases_visit(info, check_variants, all);
    return all->lost;
}

p2p_status p2p_device_check(p2p_device *device, const p2p_check_options *options) {
    const p2p_device_info *info = p2p_device_describe(device);
    check all = {.options = options,
                 .device = {.device = device},
                 .storages = op_storages_of(info, options->precision),
                 .math = op_math_of(info, options->precision)};
    p2p_status status = op_bench_open("reference:0", &all.reference);
    if (status == P2P_OK) status = walk(&all);
    for (int i = 0; i < CONVOLUTIONS; i++) free(all.seen[i].names);
    op_bench_release(&all.device);
    op_bench_close(&all.reference);
    return status;
}
