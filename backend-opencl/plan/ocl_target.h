/* A device and its settings as planners see them. Values alone: planners call no OpenCL function, and a plan
 * can be made for any device without one.
 */
#ifndef OCL_TARGET_H
#define OCL_TARGET_H

#include "ocl_launch.h"

enum { OCL_LANES = 16 }; /* channels per block of every blocked layout */

/* Where Winograd's families may be chosen unless they are named: where they probably pay, not at all, or
 * wherever they suit the shape (ocl_winograd_suits). */
typedef enum { OCL_WINOGRAD_AUTO, OCL_WINOGRAD_OFF, OCL_WINOGRAD_ALWAYS, OCL_WINOGRAD_USES } ocl_winograd_use;

/* What a device does in bf16. */
typedef enum {
    OCL_BF16_NONE,
    OCL_BF16_STORED,   /* GPUs: activations are stored in bf16, kernels compute in float32 */
    OCL_BF16_PORTABLE, /* CPUs: convolutions multiply in bf16, by integers and floats */
    OCL_BF16_ASSEMBLY  /* CPUs: by instructions */
} ocl_bf16;

/* Results of the self-tests of the families of convolutions, with activations stored as f32 [0] and as bf16
 * [1]. */
typedef enum { OCL_VERDICT_UNKNOWN, OCL_VERDICT_PASSES, OCL_VERDICT_FAILS } ocl_verdict;
typedef struct {
    ocl_verdict family[OCL_CONV_FAMILIES][2];
} ocl_verdicts;

/* Choices made by measurement or imposed (conv/ocl_choice.h). */
typedef struct ocl_choices ocl_choices;

/* The matrix library. `measure` writes the bytes of scratch memory that a product may need, wherever its
 * matrices start, to *bytes; row distances are set. The same product has the same need. NULL: there is no
 * library, and products are refused. */
typedef struct {
    p2p_status (*measure)(void *context, const ocl_gemm *gemm, size_t *bytes);
    void *context;
    size_t alignment; /* bytes: of that memory within the operation's scratch memory */
} ocl_gemm_library;

typedef struct {
    const p2p_host *host;
    bool cpu;           /* one work-item per group and long loops; else many short work-items */
    int vector_width;   /* floats in a register, at least 1 */
    int compute_units;  /* at least 1; decides speed only, never bits */
    size_t group_limit; /* most work-items of a group: the device's, or fewer where a kernel needed fewer */
    size_t device_group_limit; /* the device's: for kernels that are not ours */
    size_t local_bytes;        /* local memory of a group */
    bool subgroups;            /* of 16 work-items, as Intel's extensions define them */
    uint64_t max_alloc_bytes;  /* of one buffer */
    ocl_bf16 bf16;
    ocl_gemm_library gemm;
    /* The family that computes every convolution; OCL_CONV_AUTO: the choice is free. */
    ocl_conv_family family;
    /* The variant that the family's planner must use; NULL or "": its own choice, by arithmetic on the shape.
     * A variant that the shape or the device does not allow is refused with P2P_UNSUPPORTED. */
    const char *variant;
    ocl_winograd_use winograd;
    const ocl_verdicts *verdicts; /* NULL: no family was tested */
    const ocl_choices *choices;   /* NULL: none */
} ocl_target;

/* Fills a plan, which is zero before, from a validated descriptor; P2P_UNSUPPORTED with a reason where it
 * can't. The same target and descriptor give the same plan, so op_query and op_create both plan. */
typedef p2p_status (*ocl_planner)(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* The variants of a family that may pay for this shape, besides its own choice. Returns how many. */
typedef int (*ocl_variant_lister)(const ocl_target *target, const p2p_op *op,
                                  ocl_variant_name names[OCL_MOST_VARIANTS]);

#endif
