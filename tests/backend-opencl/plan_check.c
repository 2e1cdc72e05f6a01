/* See plan_check.h. */
#include "plan_check.h"

#include "plan_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Kernel files ---------------------------------------------------------------------------------- */

enum { MOST_FILES = 64 };

static struct {
    const char *name;
    char *text;
} files[MOST_FILES];

static char *read_kernel_file(const char *name) {
    static const char *const rooms[] = {"plan", "conv", "device"};
    for (int r = 0; r < 3; r++) {
        char path[512];
        enum { MOST = 1 << 16 };
        snprintf(path, sizeof path, P2P_TEST_DIR "/../backend-opencl/kernels/%s/%s", rooms[r], name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        char *text = calloc(1, MOST);
        assert_non_null(text);
        assert_in_range(fread(text, 1, MOST - 1, file), 1, MOST - 2);
        fclose(file);
        return text;
    }
    return NULL;
}

static const char *kernel_file(const char *name) {
    int i = 0;
    while (i < MOST_FILES && files[i].name && strcmp(files[i].name, name) != 0) i++;
    assert_true(i < MOST_FILES);
    if (!files[i].name) {
        files[i].text = read_kernel_file(name);
        if (!files[i].text) fail_msg("there is no kernel file %s", name);
        files[i].name = name;
    }
    return files[i].text;
}

/* Whether a text contains a word that is not part of a longer name. */
static bool has_word(const char *text, const char *word) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    const size_t length = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
        const bool begins = at == text || !strchr(letters, at[-1]);
        if (begins && (at[length] == '\0' || !strchr(letters, at[length]))) return true;
    }
    return false;
}

/* ---- Checks of every plan -------------------------------------------------------------------------- */

/* The operation of the plan under test, for messages. */
static const p2p_op *now_op;
static const ocl_target *now_target;

void check_that(bool holds, const char *what) {
    char text[P2P_OP_TEXT];
    if (holds) return;
    p2p_op_print(now_op, text, sizeof text);
    fail_msg("%s: %s (cpu %d, width %d, units %d, groups of %zu, family %d, variant '%s')", text, what,
             now_target->cpu, now_target->vector_width, now_target->compute_units, now_target->group_limit,
             (int)now_target->family, now_target->variant ? now_target->variant : "");
}

/* Writes the names in " -DNAME=VALUE ...", with a space before each, and checks that each occurs once. */
static void check_options(const ocl_launch *launch, char names[OCL_LAUNCH_OPTIONS]) {
    const char *at = launch->options;
    size_t end = 0;
    check_that(strlen(at) < OCL_LAUNCH_OPTIONS - 1, "options fill their array");
    names[0] = '\0';
    while (*at) {
        char name[64];
        check_that(strncmp(at, " -D", 3) == 0, "options are not a list of -D");
        const size_t length = strcspn(at + 3, "= ");
        check_that(length > 0 && length < sizeof name, "an option has no name");
        memcpy(name, at + 3, length);
        name[length] = '\0';
        check_that(!has_word(names, name), "an option is given twice");
        end += (size_t)snprintf(names + end, OCL_LAUNCH_OPTIONS - end, " %s", name);
        at += 3 + strcspn(at + 3, " ");
    }
}

/* Whether this combination of files, kernel and names of options was not checked before. */
static bool is_new_program(const ocl_launch *launch, const char *names) {
    enum { MOST = 1 << 12 };
    static uint64_t seen[MOST];
    char text[2048];
    int end = snprintf(text, sizeof text, "%s%s", launch->kernel, names);
    for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++)
        end += snprintf(text + end, sizeof text - (size_t)end, " %s", launch->source[i]);
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < end; i++) hash = (hash ^ (uint8_t)text[i]) * 1099511628211u;
    size_t at = hash % MOST;
    while (seen[at] != 0 && seen[at] != hash) at = (at + 1) % MOST;
    if (seen[at] == hash) return false;
    seen[at] = hash;
    return true;
}

/* Files exist, contain the kernel, and use each option. */
static void check_program(const ocl_launch *launch) {
    char names[OCL_LAUNCH_OPTIONS];
    check_that(launch->source[0] && strcmp(launch->source[0], "common.clh") == 0, "common.clh is not first");
    check_options(launch, names);
    if (!is_new_program(launch, names)) return;
    bool found = false;
    for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++) {
        for (int j = 0; j < i; j++)
            check_that(strcmp(launch->source[i], launch->source[j]) != 0, "a file is in a program twice");
        found |= has_word(kernel_file(launch->source[i]), launch->kernel);
    }
    check_that(found, "the kernel is in no file of the program");
    for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
        bool used = false;
        for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++)
            used |= has_word(kernel_file(launch->source[i]), name);
        check_that(used, "an option is used by no file of the program");
    }
}

static void check_grid(const ocl_launch *launch) {
    size_t items = 1;
    for (int d = 0; d < 3; d++) {
        check_that(launch->local[d] > 0 && launch->global[d] > 0, "an extent of the grid is zero");
        check_that(launch->global[d] % launch->local[d] == 0, "a group is not whole");
        items *= launch->local[d];
    }
    check_that(items <= (now_target->cpu ? 1 : now_target->group_limit), "a group is too large");
}

static void check_arguments(const ocl_launch *launch, const ocl_plan *plan) {
    check_that(launch->arg_count > 0 && launch->arg_count <= OCL_LAUNCH_ARGS, "the number of arguments");
    for (int i = 0; i < launch->arg_count; i++) {
        const ocl_arg *arg = &launch->arg[i];
        if (arg->kind == OCL_ARG_OPERAND)
            check_that(arg->value.operand >= 0 && arg->value.operand < p2p_kind_operand_count(now_op->kind) &&
                           p2p_tensor_present(&now_op->t[arg->value.operand]),
                       "an argument is an absent operand");
        if (arg->kind == OCL_ARG_SCRATCH)
            check_that(arg->value.offset * sizeof(float) < plan->answer.scratch_bytes,
                       "an argument is outside scratch memory");
        if (arg->kind == OCL_ARG_FLOAT) check_that(isfinite(arg->value.f), "an argument is not finite");
        if (arg->kind == OCL_ARG_REPEAT) check_that(plan->repeats > 0, "an argument of a body without one");
    }
}

/* Checks that a matrix of rows x columns floats lies within its operand or the scratch memory. */
static void check_matrix(const ocl_matrix *m, int64_t rows, int64_t columns, const ocl_plan *plan) {
    const uint64_t end = m->offset + (uint64_t)(rows - 1) * m->row_distance + (uint64_t)columns;
    check_that(m->row_distance >= (uint64_t)columns, "rows of a matrix overlap");
    if (m->operand < 0)
        check_that(end * sizeof(float) <= plan->answer.scratch_bytes, "a matrix is outside scratch memory");
    else
        check_that(end <= (uint64_t)p2p_tensor_stored(&now_op->t[m->operand]),
                   "a matrix is outside its operand");
}

static void check_product(const ocl_gemm *g, const ocl_plan *plan) {
    check_that(now_target->device_group_limit >= 64, "a product on a device with too small groups");
    check_that(g->temp_offset * sizeof(float) + g->temp_bytes + (g->temp_bytes ? ALIGNMENT : 0) <=
                   plan->answer.scratch_bytes,
               "the library's scratch memory is outside the plan's");
    check_matrix(&g->a, g->transpose_a ? g->k : g->m, g->transpose_a ? g->m : g->k, plan);
    check_matrix(&g->b, g->transpose_b ? g->n : g->k, g->transpose_b ? g->k : g->n, plan);
    check_matrix(&g->y, g->m, g->n, plan);
}

static void check_plan(const ocl_plan *plan) {
    check_that(plan->launch_count > 0 && plan->launch_count <= OCL_PLAN_LAUNCHES, "the number of launches");
    check_that(plan->answer.scratch_bytes <= now_target->max_alloc_bytes,
               "more scratch memory than a buffer holds");
    check_that(strlen(plan->answer.kernel) < sizeof plan->answer.kernel - 1, "its name is cut");
    check_that(plan->answer.filter_need == P2P_FILTER_AS_QUERIED, "a derived filter");
    check_that(plan->body_first + plan->body_count <= plan->launch_count,
               "the body is not within the launches");
    check_that(plan->repeats <= 1 || plan->body_count > 0, "a body without launches is repeated");
    for (int i = 0; i < plan->launch_count; i++) {
        const ocl_launch *launch = &plan->launch[i];
        if (!launch->kernel) {
            check_product(&launch->gemm, plan);
            continue;
        }
        check_program(launch);
        check_grid(launch);
        check_arguments(launch, plan);
    }
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_argument(const ocl_arg *a, const ocl_arg *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case OCL_ARG_OPERAND:
        return a->value.operand == b->value.operand;
    case OCL_ARG_FLOAT:
        return memcmp(&a->value.f, &b->value.f, sizeof a->value.f) == 0;
    case OCL_ARG_INT:
    case OCL_ARG_REPEAT:
        return a->value.i == b->value.i;
    default:
        return a->value.u == b->value.u;
    }
}

static bool same_launch(const ocl_launch *a, const ocl_launch *b) {
    bool same = same_text(a->kernel, b->kernel) && strcmp(a->options, b->options) == 0 &&
                memcmp(a->global, b->global, sizeof a->global) == 0 &&
                memcmp(a->local, b->local, sizeof a->local) == 0 && a->arg_count == b->arg_count &&
                a->gemm.m == b->gemm.m && a->gemm.n == b->gemm.n && a->gemm.k == b->gemm.k &&
                a->gemm.temp_bytes == b->gemm.temp_bytes && a->gemm.temp_offset == b->gemm.temp_offset;
    for (int i = 0; i < OCL_LAUNCH_SOURCES; i++) same &= same_text(a->source[i], b->source[i]);
    for (int i = 0; same && i < a->arg_count; i++) same &= same_argument(&a->arg[i], &b->arg[i]);
    return same;
}

bool same_plan(const ocl_plan *a, const ocl_plan *b) {
    bool same = a->launch_count == b->launch_count && a->body_first == b->body_first &&
                a->body_count == b->body_count && a->repeats == b->repeats && a->untested == b->untested &&
                a->answer.scratch_bytes == b->answer.scratch_bytes && same_text(a->reason, b->reason) &&
                strcmp(a->answer.kernel, b->answer.kernel) == 0;
    for (int i = 0; same && i < a->launch_count; i++) same &= same_launch(&a->launch[i], &b->launch[i]);
    return same;
}

bool plan_and_check(const ocl_target *target, const ocl_conv_algorithm *algorithm, const p2p_op *op,
                    ocl_plan *plan) {
    ocl_plan again;
    now_op = op;
    now_target = target;
    memset(plan, 0, sizeof *plan);
    memset(&again, 0xA5, sizeof again);
    const p2p_status status =
        algorithm ? ocl_conv_plan_algorithm(target, algorithm, op, plan) : ocl_plan_op(target, op, plan);
    if (status != P2P_OK) {
        check_that(status == P2P_UNSUPPORTED, p2p_message());
        check_that(strncmp(p2p_message(), "opencl: ", 8) == 0 && strlen(p2p_message()) > 16, "no reason");
        return false;
    }
    check_plan(plan);
    check_that(algorithm || plan->answer.kernel[0], "it has no name");
    check_that((algorithm ? ocl_conv_plan_algorithm(target, algorithm, op, &again)
                          : ocl_plan_op(target, op, &again)) == P2P_OK &&
                   same_plan(plan, &again),
               "planning twice gives different plans");
    return true;
}

void plan_check_release(void) {
    for (int i = 0; i < MOST_FILES; i++) free(files[i].text);
    memset(files, 0, sizeof files);
}
