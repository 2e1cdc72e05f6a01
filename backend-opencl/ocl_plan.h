/* Planning: what a planner may know of a device, the planners of all kinds, and helpers to write launches.
 *
 * A planner fills an ocl_plan from a validated descriptor, or returns P2P_UNSUPPORTED with a reason. The same
 * descriptor on the same device always gives the same plan, so op_query and op_create both plan, and nothing
 * is kept between them.
 */
#ifndef OCL_PLAN_H
#define OCL_PLAN_H

#include "ocl_launch.h"

enum { OCL_LANES = 16 }; /* channels per block of every blocked layout */

/* How convolutions are computed: X(name). */
#define OCL_CONV_FAMILY_LIST(X) X(auto) X(direct) X(winograd) X(gpu) X(gpu_winograd) X(gemm)

typedef enum {
    OCL_CONV_AUTO,         /* by device and shape */
    OCL_CONV_DIRECT,       /* register tiles, for CPUs: ocl_conv_cpu.c */
    OCL_CONV_WINOGRAD,     /* fewer multiplications, for CPUs: ocl_conv_winograd.c */
    OCL_CONV_GPU,          /* tiles in local memory: ocl_conv_gpu.c */
    OCL_CONV_GPU_WINOGRAD, /* fewer multiplications, on such tiles: ocl_conv_gpu_winograd.c */
    OCL_CONV_GEMM,         /* im2col and the matrix library: ocl_conv_gemm.c */
    OCL_CONV_FAMILIES
} ocl_conv_family;

const char *ocl_conv_family_name(ocl_conv_family family);

/* A family's ways of computing one shape, by short words: lower-case letters, digits and '-', "64x64" say. */
enum { OCL_MOST_VARIANTS = 12, OCL_VARIANT_BYTES = 16 };
typedef char ocl_variant_name[OCL_VARIANT_BYTES];

/* Whether Winograd's families may be chosen where none is asked for: where they probably pay, not at all, or
 * wherever they suit the shape (ocl_winograd_suits). */
typedef enum { OCL_WINOGRAD_AUTO, OCL_WINOGRAD_OFF, OCL_WINOGRAD_ALWAYS, OCL_WINOGRAD_USES } ocl_winograd_use;

/* What a device does in bf16. */
typedef enum {
    OCL_BF16_NONE,
    OCL_BF16_STORED,   /* GPUs: activations are stored in bf16, kernels compute in float32 */
    OCL_BF16_PORTABLE, /* CPUs: convolutions multiply in bf16, by integers and floats */
    OCL_BF16_ASSEMBLY  /* CPUs: by instructions */
} ocl_bf16;

/* A device as planners see it. */
typedef struct {
    const p2p_host *host;
    bool cpu;           /* one work-item per group and long loops; else many short work-items */
    int vector_width;   /* CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, at least 1 */
    int compute_units;  /* CL_DEVICE_MAX_COMPUTE_UNITS, at least 1; decides speed only, never bits */
    size_t group_limit; /* most work-items of a group: the device's, or fewer where a kernel showed so */
    size_t device_group_limit; /* what the device says: for kernels that aren't ours */
    size_t local_bytes;        /* local memory of a group */
    bool subgroups;            /* of 16 work-items, asked for and used as Intel's extensions say */
    uint64_t max_alloc_bytes;  /* of one buffer */
    ocl_conv_family family;
    /* What the family's planner shall use; NULL or "": its own choice, by arithmetic on the shape. A variant
     * that shape or device can't take is refused with P2P_UNSUPPORTED. */
    const char *variant;
    ocl_winograd_use winograd;
    ocl_bf16 bf16;
    p2p_be_device *device; /* for the matrix library's questions only */
} ocl_target;

/* ---- Planners, one per kind --------------------------------------------------------------------------- */

typedef p2p_status (*ocl_planner)(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

p2p_status ocl_plan_op(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* The variants of a family that may pay for this shape, beside its own choice. Returns how many. */
typedef int (*ocl_variant_lister)(const ocl_target *target, const p2p_op *op,
                                  ocl_variant_name names[OCL_MOST_VARIANTS]);

/* Up to four numbers from 1 to 9999 with 'x' between, "1x2x4x2"; false unless the text is just that. */
bool ocl_variant_numbers(const char *variant, int64_t *numbers, int count);

/* ocl_pointwise.c */
p2p_status ocl_plan_prepare(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_act_fwd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_act_bwd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_dropout(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_axpby(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_adam(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
/* A copy between tensors of equal storage. */
p2p_status ocl_plan_vector_copy(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
/* ocl_copy.c */
p2p_status ocl_plan_copy(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
/* ocl_norm.c */
p2p_status ocl_plan_norm_stats(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_norm_apply(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_norm_bwd_stats(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_norm_bwd_apply(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
/* ocl_reduce.c */
p2p_status ocl_plan_bias_grad(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_loss_bce(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_loss_mse(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_loss_l1(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
/* ocl_conv.c: chooses the family */
p2p_status ocl_plan_conv(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
/* ocl_conv_bf16.c: chooses the form in bf16 */
p2p_status ocl_plan_conv_bf16(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
/* ocl_conv_gpu.c */
p2p_status ocl_plan_conv_gpu(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
int ocl_conv_gpu_variants(const ocl_target *target, const p2p_op *op,
                          ocl_variant_name names[OCL_MOST_VARIANTS]);
/* ocl_conv_gemm.c */
p2p_status ocl_plan_conv_gemm(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
/* ocl_gemm.c */
p2p_status ocl_plan_gemm(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* ---- Helpers: ocl_plan.c ------------------------------------------------------------------------------ */

/* P2P_UNSUPPORTED; the message names the kind, then the reason. */
p2p_status ocl_refuse(const ocl_target *target, const p2p_op *op, const char *format, ...) P2P_PRINTF(3, 4);

/* Append a launch of `kernel` from kernels/`source` (after common.clh). Planners of this backend append at
 * most OCL_PLAN_LAUNCHES. */
ocl_launch *ocl_launch_add(const ocl_target *target, ocl_plan *plan, const char *source, const char *kernel);
/* Append another -D to the launch's options. */
void ocl_launch_option(ocl_launch *launch, const char *format, ...) P2P_PRINTF(2, 3);

void ocl_arg_operand(ocl_launch *launch, int operand);
void ocl_arg_scratch(ocl_launch *launch, uint64_t floats);
void ocl_arg_int(ocl_launch *launch, int64_t value);
void ocl_arg_ulong(ocl_launch *launch, uint64_t value);
void ocl_arg_float(ocl_launch *launch, double value);
/* An int: the repetition of the plan's body, times `per_repeat`. */
void ocl_arg_repeat(ocl_launch *launch, int64_t per_repeat);
/* An operand that may be absent: the operand, or `substitute` in its place, then an int of OCL_HAS flags. */
void ocl_arg_optional(ocl_launch *launch, const p2p_op *op, int operand, int substitute);
enum { OCL_HAS = 1, OCL_HAS_ACCUMULATE = 2 };

bool ocl_accumulates(const p2p_op *op, int operand);
int64_t ocl_divide_up(int64_t value, int64_t divisor);
int64_t ocl_min(int64_t a, int64_t b);
int64_t ocl_max(int64_t a, int64_t b);
int64_t ocl_blocks(int64_t channels); /* of OCL_LANES channels */
int64_t ocl_stride(const p2p_op *op); /* of a convolution; 0 in the descriptor is 1 */

/* Whether the device has products of factors in bf16. ocl_bf16.c */
bool ocl_bf16_multiplies(const ocl_target *target);
/* Options for a launch with bf16.clh among its sources. ocl_bf16.c */
void ocl_bf16_options(const ocl_target *target, ocl_launch *launch);

/* A three-dimensional grid of work-items. The first extent is rounded up to the local size, so kernels check
 * get_global_id(0); CPU kernels run one work-item per group. */
void ocl_launch_grid(const ocl_target *target, ocl_launch *launch, int64_t x, int64_t y, int64_t z);

/* How a kernel of 16-lane vectors walks a tensor: images x blocks x positions, see VIEW in common.clh. */
typedef struct {
    int64_t images, blocks, positions;
    int64_t valid;  /* real lanes: channels, or elements where flat */
    bool flat;      /* one array without structure: the lanes left over are those of the last position */
    int64_t width;  /* of a row of positions, for kernels that need h and w */
    int64_t chunk;  /* positions of one work-item */
    int64_t chunks; /* work-items along positions */
    int like;       /* the operand that it was made from */
} ocl_view;

/* The view of operand `like`, an activation in nchwc16 or, with `allow_flat`, any whole tensor taken as one
 * array; f32, or bf16 on devices that store so. P2P_UNSUPPORTED with the reason for all else. `chunk` = 0:
 * chosen for element-wise kernels. */
p2p_status ocl_view_of(const ocl_target *target, const p2p_op *op, int like, bool allow_flat, int64_t chunk,
                       ocl_view *view);
/* That another operand, where present, can be walked by the same view and has the same type. */
p2p_status ocl_view_check(const ocl_target *target, const p2p_op *op, const ocl_view *view, int operand);
/* That an operand, where present, is float32 and plain. */
p2p_status ocl_want_plain(const ocl_target *target, const p2p_op *op, int operand);

/* The arguments VIEW, and OPERAND for each tensor, of common.clh. */
void ocl_arg_view(ocl_launch *launch, const ocl_view *view);
void ocl_arg_viewed(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int operand);
/* The same for an activation, in kernels that walk it their own way; and for images, whatever their type. An
 * activation in bf16 makes STORED of the launch's program bf16 (common.clh). */
void ocl_arg_activation(ocl_launch *launch, const p2p_op *op, int operand);
/* As ocl_arg_optional, for a viewed operand. */
void ocl_arg_viewed_optional(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int operand,
                             int substitute);
/* DROPOUT of common.clh; all zero but the width where nothing is dropped. */
void ocl_arg_dropout(ocl_launch *launch, const p2p_op *op, const ocl_view *view);

/* ---- Sums in two stages: ocl_reduce.c ----------------------------------------------------------------- */

/* Positions whose sum is one partial result. Part of every result's bits: never by device or thread count. */
enum { OCL_REDUCE_CHUNK = 512 };

/* Reserve scratch memory for `rows` partial vectors per image, chunk and block of a view. */
void ocl_plan_partials(ocl_plan *plan, const ocl_view *view, int rows);

/* What kernel combine_sums writes; operands, -1 for none. */
typedef struct {
    int rows;           /* 1 or 2 sums */
    int64_t images;     /* per group */
    int sums;           /* each group's sums */
    int total0, total1; /* over all groups, of the first and the second sum */
} ocl_combination;

void ocl_launch_combine(const ocl_target *target, ocl_plan *plan, const p2p_op *op, const ocl_view *view,
                        const ocl_combination *combination);

/* ---- Matrix products: ocl_gemm.c ---------------------------------------------------------------------- */

/* Measure and reserve the library's own scratch memory behind `scratch_bytes`. P2P_UNSUPPORTED where the
 * library can't run. */
p2p_status ocl_gemm_reserve(const ocl_target *target, const p2p_op *op, ocl_gemm *gemm,
                            size_t *scratch_bytes);
void ocl_launch_gemm(ocl_plan *plan, const ocl_gemm *gemm);

/* ---- Copies between planes: ocl_copy.c ---------------------------------------------------------------- */

/* Where the planes of a tensor lie: plane (n, c) starts at n / n_block * n_outer + n % n_block * n_inner +
 * (c0 + c) / c_block * c_outer + (c0 + c) % c_block * c_inner, and its positions are `step` apart. */
typedef struct {
    int64_t n_block, c_block, n_outer, n_inner, c_outer, c_inner, step, c0;
} ocl_planes;

typedef struct {
    int operand;      /* -1: scratch memory, */
    uint64_t scratch; /* from this float on */
    ocl_planes planes;
    bool bf16; /* else float32 */
} ocl_plane_side;

typedef struct {
    ocl_plane_side x, y;
    int64_t positions;
    int64_t n_real, c_real;     /* logical extents */
    int64_t n_stored, c_stored; /* of y: the difference is padding that becomes zero */
    bool accumulate;
} ocl_plane_copy;

ocl_plane_side ocl_plane_side_of(const p2p_op *op, int operand);
/* The y half of a copy into an operand: real and stored extents, accumulation. */
ocl_plane_copy ocl_plane_copy_into(const p2p_op *op, int y);
void ocl_launch_plane_copy(const ocl_target *target, ocl_plan *plan, const ocl_plane_copy *copy);

#endif
