/* Which family computes a convolution: the one place where that is decided.
 *
 * CPUs take the direct family, other devices the tiles in local memory, both a Winograd family of theirs
 * where that is faster; 1x1 filters go to the matrix library on both, and so does what the other choices
 * refuse. A family that fails its self-test on the device is passed over. P2P_OPENCL_CONV overrides all of
 * it, and then a refusal stands: a family asked for by name never silently becomes another.
 * What was measured or imposed for a shape (ocl_choice.c) comes before arithmetic, as long as it can be had.
 */
#include "ocl_choice.h"
#include "ocl_conv_cpu.h"
#include "ocl_conv_gpu_winograd.h"
#include "ocl_conv_winograd.h"
#include "ocl_selftest.h"
#include "ocl_winograd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const family_names[OCL_CONV_FAMILIES] = {
#define X(name) #name,
    OCL_CONV_FAMILY_LIST(X)
#undef X
};

const char *ocl_conv_family_name(ocl_conv_family family) {
    return family_names[family];
}

/* Where a family takes part in a choice by measurement. The matrix library takes seconds to compile, and on
 * CPUs can't win but where nothing has to be rearranged for it. */
enum { ON_CPUS = 1, ON_CPUS_POINTWISE = 2, ON_OTHERS = 4 };

/* `variants`: NULL where there is the planner's own choice only. `suits`: the shapes it may be chosen for
 * unless it is asked for; NULL: all that its planner takes. */
static const struct {
    ocl_planner plan;
    ocl_variant_lister variants;
    unsigned competes;
    bool (*suits)(const ocl_target *target, const p2p_op *op);
} families[OCL_CONV_FAMILIES] = {
    [OCL_CONV_DIRECT] = {ocl_plan_conv_cpu, ocl_conv_cpu_variants, ON_CPUS, NULL},
    [OCL_CONV_WINOGRAD] = {ocl_plan_conv_winograd, NULL, ON_CPUS, ocl_winograd_suits},
    [OCL_CONV_GPU] = {ocl_plan_conv_gpu, ocl_conv_gpu_variants, ON_OTHERS, NULL},
    [OCL_CONV_GPU_WINOGRAD] = {ocl_plan_conv_gpu_winograd, ocl_conv_gpu_winograd_variants, ON_OTHERS,
                               ocl_winograd_suits},
    [OCL_CONV_GEMM] = {ocl_plan_conv_gemm, NULL, ON_OTHERS | ON_CPUS_POINTWISE, NULL},
};

/* ---- By name ------------------------------------------------------------------------------------------- */

void ocl_conv_way_print(const ocl_conv_way *way, char name[P2P_CHOICE_NAME]) {
    const bool automatic = way->family == OCL_CONV_AUTO;
    snprintf(name, P2P_CHOICE_NAME, "%s%s%s", automatic ? "" : family_names[way->family],
             way->variant[0] ? ":" : "", way->variant);
}

bool ocl_conv_way_parse(const char *name, ocl_conv_way *way) {
    const size_t length = strcspn(name, ":");
    const char *variant = name + length + (name[length] == ':');
    *way = (ocl_conv_way){0};
    if (name[0] == '\0') return true;
    if (strlen(variant) >= sizeof way->variant || (name[length] == ':' && variant[0] == '\0')) return false;
    strcpy(way->variant, variant);
    for (int f = OCL_CONV_AUTO + 1; f < OCL_CONV_FAMILIES; f++) {
        if (strlen(family_names[f]) != length || strncmp(family_names[f], name, length) != 0) continue;
        way->family = (ocl_conv_family)f;
        return true;
    }
    return false;
}

p2p_status ocl_conv_plan_asked(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    *plan = (ocl_plan){0};
    if (op->math == P2P_MATH_bf16) return ocl_plan_conv_bf16(target, op, plan);
    return families[target->family].plan(target, op, plan);
}

ocl_conv_asked ocl_conv_ask(p2p_be_device *device, const ocl_conv_way *way) {
    const ocl_conv_asked before = {device->target.family, device->target.variant};
    device->target.family = way->family;
    device->target.variant = way->variant;
    return before;
}

void ocl_conv_ask_again(p2p_be_device *device, ocl_conv_asked before) {
    device->target.family = before.family;
    device->target.variant = before.variant;
}

static p2p_status plan_variant(const ocl_target *target, ocl_conv_family family, const char *variant,
                               const p2p_op *op, ocl_plan *plan) {
    ocl_target asked = *target;
    asked.family = family;
    asked.variant = variant;
    return ocl_conv_plan_asked(&asked, op, plan);
}

/* "#2" is the third variant of those that the family lists for the shape, any other text a variant's name. */
static const char *forced_variant(const ocl_target *target, const p2p_op *op,
                                  ocl_variant_name names[OCL_MOST_VARIANTS]) {
    const ocl_variant_lister lister = families[target->family].variants;
    if (!target->variant || target->variant[0] != '#') return target->variant;
    const int count = lister ? lister(target, op, names) : 0;
    return count ? names[strtoul(target->variant + 1, NULL, 10) % (unsigned long)count] : NULL;
}

/* What P2P_OPENCL_CONV and P2P_OPENCL_VARIANT say. A variant that doesn't fit the shape is left out. */
static p2p_status plan_forced(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_variant_name names[OCL_MOST_VARIANTS];
    const char *variant = forced_variant(target, op, names);
    p2p_status status = P2P_UNSUPPORTED;
    if (variant) status = plan_variant(target, target->family, variant, op, plan);
    if (status == P2P_UNSUPPORTED) status = plan_variant(target, target->family, NULL, op, plan);
    plan->reason = "P2P_OPENCL_CONV says so";
    return status;
}

/* ---- By arithmetic ------------------------------------------------------------------------------------- */

static bool is_pointwise(const p2p_op *op) {
    const p2p_tensor *w =
        op->kind == P2P_KIND_conv_bwd_filter ? &op->t[P2P_AT_conv_bwd_filter_dw] : &op->t[P2P_AT_conv_fwd_w];
    return w->h == 1 && w->w == 1;
}

_Static_assert((int)P2P_AT_conv_fwd_w == (int)P2P_AT_conv_bwd_data_w, "is_pointwise takes them for one");

enum { CANDIDATES = 3 };

/* The families to try, best first, and why the first is. Returns how many. */
static int rank(const ocl_target *target, const p2p_op *op, ocl_conv_family ranked[CANDIDATES],
                const char **reason) {
    const ocl_conv_family tiled = target->cpu ? OCL_CONV_DIRECT : OCL_CONV_GPU;
    int count = 0;
    if (is_pointwise(op)) {
        *reason = "a 1x1 convolution is a matrix product";
        ranked[count++] = OCL_CONV_GEMM;
        ranked[count++] = tiled;
        return count;
    }
    *reason = target->cpu ? "register tiles suit a CPU" : "tiles in local memory suit this device";
    if (target->cpu && ocl_conv_winograd_pays(target, op)) {
        *reason = "the multiplications saved outweigh the transforms";
        ranked[count++] = OCL_CONV_WINOGRAD;
    }
    if (!target->cpu && ocl_conv_gpu_winograd_pays(target, op)) {
        *reason = "the multiplications saved outweigh the transforms";
        ranked[count++] = OCL_CONV_GPU_WINOGRAD;
    }
    ranked[count++] = tiled;
    ranked[count++] = OCL_CONV_GEMM;
    return count;
}

/* The first family that computes right here and takes the descriptor. */
static p2p_status plan_best(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_conv_family ranked[CANDIDATES];
    const char *reason = NULL;
    const int count = rank(target, op, ranked, &reason);
    p2p_status status = P2P_UNSUPPORTED;
    bool any = false;
    for (int i = 0; i < count && status == P2P_UNSUPPORTED; i++) {
        bool passes;
        P2P_TRY(ocl_selftest(target, ranked[i], op->t[0].type, families[ranked[i]].plan, &passes));
        if (i > 0) reason = "the preferred family refuses this shape or storage, or failed its test";
        if (!passes) continue;
        any = true;
        *plan = (ocl_plan){0};
        status = families[ranked[i]].plan(target, op, plan);
    }
    plan->reason = reason;
    return any ? status : ocl_refuse(target, op, "every family of convolutions fails its test here");
}

static p2p_status plan_by_arithmetic(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    *plan = (ocl_plan){0};
    if (op->math == P2P_MATH_bf16) return ocl_plan_conv_bf16(target, op, plan);
    return plan_best(target, op, plan);
}

/* ---- By measurement ------------------------------------------------------------------------------------ */

/* Without a measurement. */
static p2p_status plan_usual(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return target->family != OCL_CONV_AUTO ? plan_forced(target, op, plan)
                                           : plan_by_arithmetic(target, op, plan);
}

p2p_status ocl_conv_plan_way(const ocl_target *target, const ocl_conv_way *way, const p2p_op *op,
                             ocl_plan *plan) {
    bool passes = true;
    if (way->family == OCL_CONV_AUTO) return plan_usual(target, op, plan);
    if (target->family != OCL_CONV_AUTO && way->family != target->family)
        return ocl_refuse(target, op, "P2P_OPENCL_CONV leaves no choice of %s", family_names[way->family]);
    if (target->family == OCL_CONV_AUTO)
        P2P_TRY(ocl_selftest(target, way->family, op->t[0].type, families[way->family].plan, &passes));
    if (!passes) return ocl_refuse(target, op, "the family fails its test here");
    return plan_variant(target, way->family, way->variant, op, plan);
}

static bool same_plan(const ocl_plan *a, const ocl_plan *b) {
    if (a->launch_count != b->launch_count || strcmp(a->answer.kernel, b->answer.kernel) != 0) return false;
    for (int i = 0; i < a->launch_count; i++) {
        const ocl_launch *one = &a->launch[i], *other = &b->launch[i];
        if (strcmp(one->options, other->options) != 0 ||
            memcmp(one->global, other->global, sizeof one->global) != 0 ||
            memcmp(one->local, other->local, sizeof one->local) != 0)
            return false;
    }
    return true;
}

/* Append a way that plans, and otherwise than arithmetic's `usual`. */
static p2p_status add_way(const ocl_target *target, const p2p_op *op, const ocl_conv_way *way,
                          const ocl_plan *usual, ocl_conv_way ways[OCL_MOST_WAYS], int *count) {
    ocl_plan plan;
    if (*count == OCL_MOST_WAYS) return P2P_OK;
    const p2p_status status = ocl_conv_plan_way(target, way, op, &plan);
    if (status == P2P_OK && !same_plan(&plan, usual)) ways[(*count)++] = *way;
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

/* Whether a family takes part in the choice for a convolution. */
static bool competes(const ocl_target *target, const p2p_op *op, ocl_conv_family family) {
    const unsigned here = !target->cpu ? ON_OTHERS : ON_CPUS | (is_pointwise(op) ? ON_CPUS_POINTWISE : 0u);
    if (target->family != OCL_CONV_AUTO) return family == target->family;
    return (families[family].competes & here) &&
           (!families[family].suits || families[family].suits(target, op));
}

p2p_status ocl_conv_list_ways(const ocl_target *target, const p2p_op *op, ocl_conv_way ways[OCL_MOST_WAYS],
                              int *count) {
    ocl_plan usual;
    *count = 0;
    P2P_TRY(plan_usual(target, op, &usual));
    ways[(*count)++] = (ocl_conv_way){0};
    for (int f = OCL_CONV_AUTO + 1; f < OCL_CONV_FAMILIES; f++) {
        ocl_variant_name names[OCL_MOST_VARIANTS];
        ocl_conv_way way = {(ocl_conv_family)f, ""};
        if (!competes(target, op, way.family)) continue;
        P2P_TRY(add_way(target, op, &way, &usual, ways, count));
        const int variants = families[f].variants ? families[f].variants(target, op, names) : 0;
        for (int i = 0; i < variants; i++) {
            memcpy(way.variant, names[i], sizeof way.variant);
            P2P_TRY(add_way(target, op, &way, &usual, ways, count));
        }
    }
    return P2P_OK;
}

/* ---- All of it ----------------------------------------------------------------------------------------- */

p2p_status ocl_plan_conv(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_conv_way way;
    if (!ocl_choice_find(target, op, &way)) return plan_usual(target, op, plan);
    const p2p_status status = ocl_conv_plan_way(target, &way, op, plan);
    if (status == P2P_UNSUPPORTED) return plan_usual(target, op, plan);
    plan->reason = "it was chosen by measurement";
    return status;
}
