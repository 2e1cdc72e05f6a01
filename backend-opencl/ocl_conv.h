/* Ways of computing a convolution: which there are on a device, their names, and planning by one of them.
 *
 * A way is a family and one of its variants. Which is taken where nothing is said, is arithmetic in
 * ocl_conv.c; what was measured or imposed is remembered in ocl_choice.c; how it is measured, in ocl_tune.c.
 */
#ifndef OCL_CONV_H
#define OCL_CONV_H

#include "ocl_plan.h"

/* {OCL_CONV_AUTO, ""} is whatever arithmetic says, or P2P_OPENCL_CONV; another family with "" is its
 * planner's own choice. */
typedef struct {
    ocl_conv_family family;
    ocl_variant_name variant;
} ocl_conv_way;

enum { OCL_MOST_WAYS = 32 };

/* "" for arithmetic's way, "gpu", "gpu:64x64". print writes at most P2P_CHOICE_NAME bytes; parse is false for
 * a text that names no family or is longer than a variant may be. */
void ocl_conv_way_print(const ocl_conv_way *way, char name[P2P_CHOICE_NAME]);
bool ocl_conv_way_parse(const char *name, ocl_conv_way *way);

/* The ways that may pay for this shape, arithmetic's first and not a second time; of families that compute
 * right here. Each of them plans. Returns how many in *count. */
p2p_status ocl_conv_list_ways(const ocl_target *target, const p2p_op *op, ocl_conv_way ways[OCL_MOST_WAYS],
                              int *count);

/* Plan by this way and no other; P2P_UNSUPPORTED where it can't be had. */
p2p_status ocl_conv_plan_way(const ocl_target *target, const ocl_conv_way *way, const p2p_op *op,
                             ocl_plan *plan);

/* The way in target->family and target->variant, as an ocl_planner. */
p2p_status ocl_conv_plan_asked(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Put a way into the device's target, for ocl_conv_plan_asked, and back again what was there. */
typedef struct {
    ocl_conv_family family;
    const char *variant;
} ocl_conv_asked;
ocl_conv_asked ocl_conv_ask(p2p_be_device *device, const ocl_conv_way *way);
void ocl_conv_ask_again(p2p_be_device *device, ocl_conv_asked before);

#endif
