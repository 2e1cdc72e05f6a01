/* The choice of the family of a convolution. No other file makes it.
 *
 * CPUs use the direct family, other devices tiles in local memory, and both their Winograd family where it
 * is estimated to be faster. 1x1 filters go to the matrix library on both, and so does everything that the
 * preferred families refuse. A family that failed its self-test on the device is skipped. P2P_OPENCL_CONV
 * overrides all of this, and then a refusal is final: no other family replaces one that was named.
 */
#include "ocl_conv.h"

#include "ocl_choice.h"
#include "ocl_conv_direct.h"
#include "ocl_conv_direct_bf16.h"
#include "ocl_conv_gemm.h"
#include "ocl_conv_gpu.h"
#include "ocl_conv_gpu_winograd.h"
#include "ocl_conv_stream.h"
#include "ocl_conv_winograd.h"
#include "ocl_winograd.h"

#include <stdlib.h>
#include <string.h>

/* Where a family is a candidate for measurement. The matrix library takes seconds to compile, and on CPUs
 * it can win only for 1x1 filters, which need no rearrangement. */
enum { ON_CPUS = 1, ON_CPUS_POINTWISE = 2, ON_OTHERS = 4 };

/* `variants`: NULL if there is only the planner's own choice. `suits`: the shapes for which the family may
 * be chosen unless it is named; NULL: all that its planner supports. */
static const struct {
    ocl_planner plan;
    ocl_variant_lister variants;
    unsigned competes;
    bool (*suits)(const ocl_target *target, const p2p_op *op);
} families[OCL_CONV_FAMILIES] = {
    [OCL_CONV_DIRECT] = {ocl_plan_conv_direct, ocl_conv_direct_variants, ON_CPUS, NULL},
    [OCL_CONV_WINOGRAD] = {ocl_plan_conv_winograd, NULL, ON_CPUS, ocl_winograd_suits},
    [OCL_CONV_GPU] = {ocl_plan_conv_gpu, ocl_conv_gpu_variants, ON_OTHERS, NULL},
    [OCL_CONV_GPU_WINOGRAD] = {ocl_plan_conv_gpu_winograd, ocl_conv_gpu_winograd_variants, ON_OTHERS,
                               ocl_winograd_suits},
    [OCL_CONV_GEMM] = {ocl_plan_conv_gemm, NULL, ON_OTHERS | ON_CPUS_POINTWISE, NULL},
};

/* ---- Products in bf16, on CPUs --------------------------------------------------------------------- */

/* Math in bf16 has two forms, direct and Winograd. Shapes that gain nothing from it are refused with the
 * reason, and run in fp32. */
static p2p_status plan_bf16(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    if (!ocl_bf16_multiplies(target)) return ocl_refuse(target, op, "this device multiplies what is stored");
    const ocl_conv_family family = target->family;
    if (family != OCL_CONV_AUTO && family != OCL_CONV_DIRECT && family != OCL_CONV_WINOGRAD)
        return ocl_refuse(target, op, "P2P_OPENCL_CONV=%s has no bf16", ocl_conv_family_name(family));
    if (family == OCL_CONV_WINOGRAD || (family == OCL_CONV_AUTO && ocl_conv_winograd_pays(target, op)))
        return ocl_plan_conv_winograd(target, op, plan);
    if (family == OCL_CONV_AUTO && ocl_conv_stream_hides_products(target, op))
        return ocl_refuse(target, op, "on such small maps the filter's traffic dominates, not the products");
    if (op->kind == P2P_KIND_conv_bwd_filter) return ocl_plan_conv_direct_bf16(target, op, plan);
    return ocl_plan_conv_direct(target, op, plan);
}

/* ---- Plan by family -------------------------------------------------------------------------------- */

static p2p_status plan_by(const ocl_target *target, ocl_conv_family family, const char *variant,
                          const p2p_op *op, ocl_plan *plan) {
    ocl_target named = *target;
    named.family = family;
    named.variant = variant;
    *plan = (ocl_plan){0};
    if (op->math == P2P_MATH_bf16) return plan_bf16(&named, op, plan);
    return families[family].plan(&named, op, plan);
}

/* "#2" is the third of the variants that the family lists for the shape; any other text is a variant's
 * name. */
static const char *forced_variant(const ocl_target *target, const p2p_op *op,
                                  ocl_variant_name names[OCL_MOST_VARIANTS]) {
    const ocl_variant_lister lister = families[target->family].variants;
    if (!target->variant || target->variant[0] != '#') return target->variant;
    const int count = lister ? lister(target, op, names) : 0;
    return count ? names[strtoul(target->variant + 1, NULL, 10) % (unsigned long)count] : NULL;
}

/* Plans by P2P_OPENCL_CONV and P2P_OPENCL_VARIANT. A variant that does not fit the shape is ignored. */
static p2p_status plan_forced(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_variant_name names[OCL_MOST_VARIANTS];
    const char *variant = forced_variant(target, op, names);
    p2p_status status = P2P_UNSUPPORTED;
    if (variant) status = plan_by(target, target->family, variant, op, plan);
    if (status == P2P_UNSUPPORTED) status = plan_by(target, target->family, NULL, op, plan);
    plan->reason = "P2P_OPENCL_CONV requires it";
    return status;
}

/* ---- Default choice -------------------------------------------------------------------------------- */

static bool is_pointwise(const p2p_op *op) {
    const p2p_tensor *w =
        op->kind == P2P_KIND_conv_bwd_filter ? &op->t[P2P_AT_conv_bwd_filter_dw] : &op->t[P2P_AT_conv_fwd_w];
    return w->h == 1 && w->w == 1;
}

_Static_assert((int)P2P_AT_conv_fwd_w == (int)P2P_AT_conv_bwd_data_w, "is_pointwise assumes equal positions");

enum { CANDIDATES = 3 };

/* Ranks the families to try, best first, and sets the reason for the first. Returns their number. */
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

/* The verdict for the operation's storage type. */
static ocl_verdict verdict_on(const ocl_target *target, ocl_conv_family family, const p2p_op *op) {
    if (!target->verdicts) return OCL_VERDICT_UNKNOWN;
    return target->verdicts->family[family][op->t[0].type == P2P_TYPE_bf16];
}

/* Plans by the first family that has not failed its self-test and supports the descriptor. */
static p2p_status plan_best(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_conv_family ranked[CANDIDATES];
    const char *reason = NULL;
    const int count = rank(target, op, ranked, &reason);
    p2p_status status = P2P_UNSUPPORTED;
    bool any = false;
    for (int i = 0; i < count && status == P2P_UNSUPPORTED; i++) {
        const ocl_verdict verdict = verdict_on(target, ranked[i], op);
        if (i > 0) reason = "the preferred family refuses this shape or storage, or failed its test";
        if (verdict == OCL_VERDICT_FAILS) continue;
        any = true;
        *plan = (ocl_plan){0};
        status = families[ranked[i]].plan(target, op, plan);
        plan->untested = verdict == OCL_VERDICT_UNKNOWN ? ranked[i] : OCL_CONV_AUTO;
    }
    plan->reason = reason;
    return any ? status : ocl_refuse(target, op, "every family of convolutions fails its test here");
}

/* Plans without the target's choices. */
static p2p_status plan_default(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    *plan = (ocl_plan){0};
    if (target->family != OCL_CONV_AUTO) return plan_forced(target, op, plan);
    if (op->math == P2P_MATH_bf16) return plan_bf16(target, op, plan);
    return plan_best(target, op, plan);
}

/* ---- Plan by algorithm ----------------------------------------------------------------------------- */

p2p_status ocl_conv_plan_untested_algorithm(const ocl_target *target, const ocl_conv_algorithm *algorithm,
                                            const p2p_op *op, ocl_plan *plan) {
    return plan_by(target, algorithm->family, algorithm->variant, op, plan);
}

p2p_status ocl_conv_plan_algorithm(const ocl_target *target, const ocl_conv_algorithm *algorithm,
                                   const p2p_op *op, ocl_plan *plan) {
    if (algorithm->family == OCL_CONV_AUTO) return plan_default(target, op, plan);
    if (target->family != OCL_CONV_AUTO && algorithm->family != target->family)
        return ocl_refuse(target, op, "P2P_OPENCL_CONV leaves no choice of %s",
                          ocl_conv_family_name(algorithm->family));
    const bool named = target->family != OCL_CONV_AUTO; /* and needs no self-test */
    const ocl_verdict verdict = named ? OCL_VERDICT_PASSES : verdict_on(target, algorithm->family, op);
    if (verdict == OCL_VERDICT_FAILS) return ocl_refuse(target, op, "the family fails its test here");
    const p2p_status status = plan_by(target, algorithm->family, algorithm->variant, op, plan);
    plan->untested = verdict == OCL_VERDICT_UNKNOWN ? algorithm->family : OCL_CONV_AUTO;
    return status;
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

static void note_untested(ocl_conv_algorithms *algorithms, const ocl_plan *plan) {
    if (algorithms->untested == OCL_CONV_AUTO) algorithms->untested = plan->untested;
}

/* Appends an algorithm if it can be planned and its plan differs from `by_default`. */
static p2p_status add_algorithm(const ocl_target *target, const p2p_op *op,
                                const ocl_conv_algorithm *algorithm, const ocl_plan *by_default,
                                ocl_conv_algorithms *algorithms) {
    ocl_plan plan = {0};
    if (algorithms->count == OCL_MOST_ALGORITHMS) return P2P_OK;
    const p2p_status status = ocl_conv_plan_algorithm(target, algorithm, op, &plan);
    if (status == P2P_OK && !same_plan(&plan, by_default)) {
        algorithms->algorithm[algorithms->count++] = *algorithm;
        note_untested(algorithms, &plan);
    }
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

/* Whether a family is a candidate for a convolution. */
static bool competes(const ocl_target *target, const p2p_op *op, ocl_conv_family family) {
    const unsigned here = !target->cpu ? ON_OTHERS : ON_CPUS | (is_pointwise(op) ? ON_CPUS_POINTWISE : 0u);
    if (target->family != OCL_CONV_AUTO) return family == target->family;
    return (families[family].competes & here) &&
           (!families[family].suits || families[family].suits(target, op));
}

/* A function that appends an algorithm to a list if it belongs there. */
typedef p2p_status algorithm_adder(const ocl_target *target, const p2p_op *op,
                                   const ocl_conv_algorithm *algorithm, const ocl_plan *by_default,
                                   ocl_conv_algorithms *algorithms);

/* Passes the algorithms of every family that is a candidate: the family's own choice, then its variants. */
static p2p_status list(const ocl_target *target, const p2p_op *op, algorithm_adder *add,
                       const ocl_plan *by_default, ocl_conv_algorithms *algorithms) {
    for (int f = OCL_CONV_AUTO + 1; f < OCL_CONV_FAMILIES; f++) {
        ocl_variant_name names[OCL_MOST_VARIANTS];
        ocl_conv_algorithm algorithm = {(ocl_conv_family)f, ""};
        if (!competes(target, op, algorithm.family)) continue;
        P2P_TRY(add(target, op, &algorithm, by_default, algorithms));
        const int variants = families[f].variants ? families[f].variants(target, op, names) : 0;
        for (int i = 0; i < variants; i++) {
            memcpy(algorithm.variant, names[i], sizeof algorithm.variant);
            P2P_TRY(add(target, op, &algorithm, by_default, algorithms));
        }
    }
    return P2P_OK;
}

p2p_status ocl_conv_list_algorithms(const ocl_target *target, const p2p_op *op,
                                    ocl_conv_algorithms *algorithms) {
    ocl_plan by_default;
    *algorithms = (ocl_conv_algorithms){0};
    P2P_TRY(plan_default(target, op, &by_default));
    algorithms->algorithm[algorithms->count++] = (ocl_conv_algorithm){0};
    note_untested(algorithms, &by_default);
    return list(target, op, add_algorithm, &by_default, algorithms);
}

/* An algorithm_adder regardless of verdicts. */
static p2p_status add_any_algorithm(const ocl_target *target, const p2p_op *op,
                                    const ocl_conv_algorithm *algorithm, const ocl_plan *by_default,
                                    ocl_conv_algorithms *algorithms) {
    ocl_plan plan;
    (void)by_default;
    if (algorithms->count == OCL_MOST_ALGORITHMS) return P2P_OK;
    const p2p_status status = ocl_conv_plan_untested_algorithm(target, algorithm, op, &plan);
    if (status == P2P_OK) algorithms->algorithm[algorithms->count++] = *algorithm;
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

p2p_status ocl_conv_list_all_algorithms(const ocl_target *target, const p2p_op *op,
                                        ocl_conv_algorithms *algorithms) {
    *algorithms = (ocl_conv_algorithms){0};
    return list(target, op, add_any_algorithm, NULL, algorithms);
}

/* ---- Plan ------------------------------------------------------------------------------------------ */

p2p_status ocl_plan_conv(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_conv_algorithm algorithm;
    if (!ocl_choice_find(target->choices, op, &algorithm)) return plan_default(target, op, plan);
    const p2p_status status = ocl_conv_plan_algorithm(target, &algorithm, op, plan);
    if (status == P2P_UNSUPPORTED) return plan_default(target, op, plan);
    plan->reason = "it was chosen by measurement";
    return status;
}
