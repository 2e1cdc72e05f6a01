/* Helpers for planners: refusals, launches, arguments, and how kernels traverse tensors. */
#ifndef OCL_PLAN_H
#define OCL_PLAN_H

#include "ocl_target.h"

/* Returns P2P_UNSUPPORTED; the message names the kind, then the reason. */
p2p_status ocl_refuse(const ocl_target *target, const p2p_op *op, const char *format, ...) P2P_PRINTF(3, 4);

/* The same with an operand's storage and the `rule` that it violates: "x is ..., but must be <rule>". */
p2p_status ocl_refuse_operand(const ocl_target *target, const p2p_op *op, int operand, const char *rule);

/* Appends a launch of `kernel` from kernels/`source` (after common.clh). A plan has at most
 * OCL_PLAN_LAUNCHES; more is a programming error (asserted). */
ocl_launch *ocl_launch_add(const ocl_target *target, ocl_plan *plan, const char *source, const char *kernel);
/* Appends another -D to the launch's options. */
void ocl_launch_option(ocl_launch *launch, const char *format, ...) P2P_PRINTF(2, 3);

void ocl_arg_operand(ocl_launch *launch, int operand);
void ocl_arg_scratch(ocl_launch *launch, uint64_t floats);
void ocl_arg_int(ocl_launch *launch, int64_t value);
void ocl_arg_ulong(ocl_launch *launch, uint64_t value);
void ocl_arg_float(ocl_launch *launch, double value);
/* An int: the index of the repetition of the plan's body, times `per_repeat`. */
void ocl_arg_repeat(ocl_launch *launch, int64_t per_repeat);
/* An operand that may be absent: the operand, or `substitute` in its place, then an int of OCL_HAS flags (0
 * if absent). */
void ocl_arg_optional(ocl_launch *launch, const p2p_op *op, int operand, int substitute);
enum { OCL_HAS = 1, OCL_HAS_ACCUMULATE = 2 };

int64_t ocl_min(int64_t a, int64_t b);
int64_t ocl_max(int64_t a, int64_t b);
int64_t ocl_blocks(int64_t channels); /* of OCL_LANES channels */
int64_t ocl_stride(const p2p_op *op); /* of a convolution; 0 in the descriptor means 1 */

/* Whether the target names the variant that the family's planner must use. */
bool ocl_has_variant(const ocl_target *target);

/* Whether the device multiplies in bf16. */
bool ocl_bf16_multiplies(const ocl_target *target);
/* Options for a launch with bf16.clh among its sources. */
void ocl_bf16_options(const ocl_target *target, ocl_launch *launch);

/* A three-dimensional grid of work-items. The first extent is rounded up to the local size, so kernels must
 * check get_global_id(0). CPU kernels run one work-item per group. */
void ocl_launch_grid(const ocl_target *target, ocl_launch *launch, int64_t x, int64_t y, int64_t z);

/* How a kernel of 16-lane vectors traverses a tensor: images x blocks x positions. See VIEW in common.clh. */
typedef struct {
    int64_t images, blocks, positions;
    int64_t valid;  /* real lanes: channels, or elements where flat */
    bool flat;      /* one unstructured array: only the last position has lanes left over */
    int64_t width;  /* of a row of positions, for kernels that need h and w */
    int64_t chunk;  /* positions of one work-item */
    int64_t chunks; /* work-items along positions */
    int like;       /* the operand from which the view was made */
} ocl_view;

/* The view of operand `like`: an activation in nchwc16 or, with `allow_flat`, any whole tensor taken as one
 * array; f32, or bf16 on devices that store bf16. Returns P2P_UNSUPPORTED with the reason otherwise.
 * `chunk` = 0: the size for element-wise kernels. */
p2p_status ocl_view_of(const ocl_target *target, const p2p_op *op, int like, bool allow_flat, int64_t chunk,
                       ocl_view *view);
/* Returns P2P_UNSUPPORTED unless another operand is absent, or fits the view and has the same type. */
p2p_status ocl_view_check(const ocl_target *target, const p2p_op *op, const ocl_view *view, int operand);
/* Returns P2P_UNSUPPORTED unless an operand is absent, or float32 and plain. */
p2p_status ocl_require_plain(const ocl_target *target, const p2p_op *op, int operand);

/* The arguments VIEW and, for each tensor, VIEWED of common.clh. */
void ocl_arg_view(ocl_launch *launch, const ocl_view *view);
void ocl_arg_viewed(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int operand);
/* VIEWED for an activation in kernels with a traversal of their own, and for images of any sample type. An
 * activation in bf16 makes STORED of the launch's program bf16 (common.clh). */
void ocl_arg_activation(ocl_launch *launch, const p2p_op *op, int operand);
/* Like ocl_arg_optional, for a viewed operand. */
void ocl_arg_viewed_optional(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int operand,
                             int substitute);

/* Parses exactly `count` numbers from 1 to 9999 separated by 'x', for example "1x2x4x2". Returns false for
 * any other text. */
bool ocl_variant_numbers(const char *variant, int64_t *numbers, int count);

#endif
