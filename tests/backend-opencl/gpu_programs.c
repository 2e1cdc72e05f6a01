/* Lists the kernels that the OpenCL backend may run on GPUs of a vendor, without a device, driver or
 * compiler:
 *
 *   gpu_programs nvidia|amd|intel
 *
 * On simulated devices of the vendor it plans every operation of the full networks and of the operation
 * runner's table, stored in float32 and in bf16, by the default choice, by each family of convolutions, and
 * by each algorithm that the tuner measures. A line is a program, that is kernel files and options, and a
 * kernel of it that is launched. The lines are distinct and sorted. ci/gpu-code compiles them.
 */
#include "conv/ocl_conv.h"
#include "operations/op_tables.h"
#include "plan_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Lines ----------------------------------------------------------------------------------------- */

enum { MOST_LINES = 1 << 14, LINE_BYTES = 512 };

static char *lines[MOST_LINES];
static int line_count;

static void die(const char *what) {
    fprintf(stderr, "gpu_programs: %s\n", what);
    exit(1);
}

static void add_line(const char *line) {
    for (int i = 0; i < line_count; i++)
        if (strcmp(lines[i], line) == 0) return;
    if (line_count == MOST_LINES) die("too many programs");
    lines[line_count] = strdup(line);
    if (!lines[line_count++]) die("no memory");
}

static void add_plan(const ocl_plan *plan) {
    for (int l = 0; l < plan->launch_count; l++) {
        const ocl_launch *launch = &plan->launch[l];
        char line[LINE_BYTES];
        size_t length = 0;
        if (!launch->kernel) continue; /* a product of the matrix library */
        for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++)
            length += (size_t)snprintf(line + length, sizeof line - length, "%s ", launch->source[i]);
        length += (size_t)snprintf(line + length, sizeof line - length, "%s : %s",
                                   launch->options[0] ? launch->options + 1 : "", launch->kernel);
        if (length >= sizeof line) die("a program's line is too long");
        add_line(line);
    }
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- Devices --------------------------------------------------------------------------------------- */

/* Group limits of a vendor's devices, and those to which its compilers may lower them for a kernel with many
 * registers. */
typedef struct {
    const char *name;
    size_t group, least_group;
    size_t local_kib;
    bool subgroups;
    int registers;
} vendor;

static const vendor vendors[] = {
    {"nvidia", 1024, 64, 48, false, OCL_USUAL_REGISTERS},
    {"amd", 1024, 64, 64, false, OCL_USUAL_REGISTERS},
    {"intel", 1024, 64, 64, true, OCL_INTEL_REGISTERS},
};

/* From the smallest to the largest number of compute units on sale; it affects the choice of tiles. */
static const int units[] = {8, 20, 60, 132};

/* ---- Plans ----------------------------------------------------------------------------------------- */

static void plan_algorithms(const ocl_target *target, const p2p_op *op) {
    ocl_conv_algorithms algorithms;
    ocl_plan plan;
    if (ocl_conv_list_algorithms(target, op, &algorithms) != P2P_OK) return;
    for (int i = 0; i < algorithms.count; i++)
        if (ocl_conv_plan_algorithm(target, &algorithms.algorithm[i], op, &plan) == P2P_OK) add_plan(&plan);
}

/* The networks have filters of 4x4 and 1x1 taps; others in the table are for the operation runner only. */
static bool of_networks(const p2p_op *op) {
    const p2p_tensor *w =
        op->kind == P2P_KIND_conv_bwd_filter ? &op->t[P2P_AT_conv_bwd_filter_dw] : &op->t[P2P_AT_conv_fwd_w];
    return w->h == w->w && (w->h == 4 || w->h == 1);
}

static void plan_op(const ocl_target *target, const p2p_op *op) {
    ocl_plan plan = {0};
    if (p2p_op_validate(op) != P2P_OK || (p2p_op_is_convolution(op) && !of_networks(op))) return;
    if (!p2p_op_is_convolution(op)) {
        if (ocl_plan_op(target, op, &plan) == P2P_OK) add_plan(&plan);
        return;
    }
    plan_algorithms(target, op);
    static const ocl_conv_family families[] = {OCL_CONV_GPU, OCL_CONV_GPU_WINOGRAD, OCL_CONV_GEMM};
    for (int f = 0; f < 3; f++) {
        ocl_target named = *target;
        named.family = families[f];
        plan_algorithms(&named, op);
    }
}

static void plan_list(const ocl_target *target, const op_list *ops) {
    for (int i = 0; i < ops->count; i++) plan_op(target, &ops->op[i]);
}

typedef struct {
    const ocl_target *target;
    op_storages storages;
} table_context;

static void plan_case(void *context, const op_case *item) {
    const table_context *c = context;
    const p2p_op op = op_case_stamp(item, &c->storages);
    plan_op(c->target, &op);
}

static void plan_table(const ocl_target *target) {
    const op_tier tier = {.full_size = true, .channel_alignment = OCL_LANES};
    for (int bf16 = 0; bf16 < 2; bf16++) {
        table_context c = {target,
                           {.activation = {bf16 ? P2P_TYPE_bf16 : P2P_TYPE_f32, P2P_LAYOUT_nchwc, OCL_LANES},
                            .filter = {P2P_TYPE_f32, P2P_LAYOUT_ckrs, OCL_LANES},
                            .vector = {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                            .channel_alignment = OCL_LANES}};
        op_cases_table(&tier, plan_case, &c);
    }
}

static void plan_all(const vendor *v, const op_list lists[2]) {
    for (size_t group = v->group; group >= v->least_group; group /= 2)
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            ocl_target target = gpu(units[u], group, v->local_kib, v->subgroups);
            target.registers = v->registers;
            for (int l = 0; l < 2; l++) plan_list(&target, &lists[l]);
            plan_table(&target);
        }
}

int main(int argc, char **argv) {
    const vendor *v = NULL;
    for (size_t i = 0; argc == 2 && i < sizeof vendors / sizeof vendors[0]; i++)
        if (strcmp(argv[1], vendors[i].name) == 0) v = &vendors[i];
    if (!v) die("usage: gpu_programs nvidia|amd|intel");
    static op_list lists[2];
    read_operations(NULL);
    lists[0] = networks, lists[1] = networks_bf16;
    for (int l = 0; l < 2; l++) {
        add_batch(&lists[l], 4, false);
        add_batch(&lists[l], 16, true);
    }
    plan_all(v, lists);
    qsort(lines, (size_t)line_count, sizeof lines[0], compare_lines);
    for (int i = 0; i < line_count; i++) {
        puts(lines[i]);
        free(lines[i]);
    }
    return 0;
}
