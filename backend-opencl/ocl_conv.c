/* Which family computes a convolution: the one place where that is decided.
 *
 * CPUs take the direct family, or Winograd's where it is faster; other devices the tiles in local memory; 1x1
 * filters go to the matrix library on both, and so does what the other choices refuse. A family that fails
 * its self-test on the device is passed over. P2P_OPENCL_CONV overrides all of it, and then a refusal stands:
 * a family asked for by name never silently becomes another.
 */
#include "ocl_conv_cpu.h"
#include "ocl_conv_winograd.h"
#include "ocl_selftest.h"

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

/* `variants`: NULL where there is the planner's own choice only. */
static const struct {
    ocl_planner plan;
    ocl_variant_lister variants;
} families[OCL_CONV_FAMILIES] = {
    [OCL_CONV_DIRECT] = {ocl_plan_conv_cpu, ocl_conv_cpu_variants},
    [OCL_CONV_WINOGRAD] = {ocl_plan_conv_winograd, NULL},
    [OCL_CONV_GPU] = {ocl_plan_conv_gpu, ocl_conv_gpu_variants},
    [OCL_CONV_GEMM] = {ocl_plan_conv_gemm, NULL},
};

/* ---- By name ------------------------------------------------------------------------------------------- */

static p2p_status plan_variant(const ocl_target *target, ocl_conv_family family, const char *variant,
                               const p2p_op *op, ocl_plan *plan) {
    ocl_target asked = *target;
    asked.family = family;
    asked.variant = variant;
    *plan = (ocl_plan){0};
    if (op->math == P2P_MATH_bf16) return ocl_plan_conv_bf16(&asked, op, plan);
    return families[family].plan(&asked, op, plan);
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
        P2P_TRY(ocl_selftest(target, ranked[i], families[ranked[i]].plan, &passes));
        if (i > 0) reason = "the preferred family refuses this shape or storage, or failed its test";
        if (!passes) continue;
        any = true;
        *plan = (ocl_plan){0};
        status = families[ranked[i]].plan(target, op, plan);
    }
    plan->reason = reason;
    return any ? status : ocl_refuse(target, op, "every family of convolutions fails its test here");
}

p2p_status ocl_plan_conv(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    if (target->family != OCL_CONV_AUTO) return plan_forced(target, op, plan);
    if (op->math == P2P_MATH_bf16) return ocl_plan_conv_bf16(target, op, plan);
    return plan_best(target, op, plan);
}
