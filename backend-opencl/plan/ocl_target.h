/* A device and its settings as planners see them: values only, except the scratch query of the matrix
 * library. Planners call no OpenCL function except in that query, and a plan can be made for any device
 * without the device.
 */
#ifndef OCL_TARGET_H
#define OCL_TARGET_H

#include "ocl_launch.h"

enum { OCL_LANES = 16 }; /* channels per block of every blocked layout */

/* Registers of 32 bits for a work-item, at most: of AMD's and NVIDIA's GPUs; of Intel's, whose threads have
 * 128 registers with at least one lane for each work-item. */
enum { OCL_USUAL_REGISTERS = 256, OCL_INTEL_REGISTERS = 128 };

/* Intel's GPUs before Xe (Gen8, Gen9, Gen11) have groups of at most so many work-items; later ones have more.
 * Their compiler needs so many registers beside the values of a filter gradient's tile: with fewer it leaves
 * sums in memory (ci/gpu-code). */
enum { OCL_OLD_INTEL_GROUP = 256, OCL_OLD_INTEL_GRADIENT_REGISTERS = 12 };

/* When the Winograd families may be chosen automatically: where the cost estimate favours them, never, or
 * for every shape that they support (ocl_winograd_suits). */
typedef enum { OCL_WINOGRAD_AUTO, OCL_WINOGRAD_OFF, OCL_WINOGRAD_ALWAYS, OCL_WINOGRAD_USES } ocl_winograd_use;

/* Use of bf16 by a device. */
typedef enum {
    OCL_BF16_NONE,
    OCL_BF16_STORED,   /* GPUs: activations are stored in bf16, kernels compute in float32 */
    OCL_BF16_PORTABLE, /* CPUs: convolutions multiply in bf16, emulated with integers and floats */
    OCL_BF16_ASSEMBLY  /* CPUs: with AVX512_BF16 instructions */
} ocl_bf16;

/* Results of the self-tests of the convolution families, with activations stored as f32 [0] and as bf16
 * [1]. REFUSES: the family supports no shape of the self-test. It is used untested, and is not reported as
 * `untested` again. */
typedef enum { OCL_VERDICT_UNKNOWN, OCL_VERDICT_PASSES, OCL_VERDICT_FAILS, OCL_VERDICT_REFUSES } ocl_verdict;
typedef struct {
    ocl_verdict family[OCL_CONV_FAMILIES][2];
} ocl_verdicts;

/* Choices made by measurement or imposed (conv/ocl_choice.h). */
typedef struct ocl_choices ocl_choices;

/* The matrix library. `scratch_size` writes to *bytes the scratch memory that a product may need for any
 * start of its matrices; row distances are set. Equal products have equal needs. NULL: there is no library,
 * and products are refused. */
typedef struct {
    p2p_status (*scratch_size)(void *context, const ocl_gemm *gemm, size_t *bytes);
    void *context;
    size_t alignment; /* bytes: alignment of that memory within the operation's scratch memory */
} ocl_gemm_library;

typedef struct {
    const p2p_host *host;
    bool cpu;           /* one work-item per group with long loops; otherwise many short work-items */
    int vector_width;   /* floats in a register, at least 1 */
    int compute_units;  /* at least 1; affects speed only, never bits */
    size_t group_limit; /* most work-items of a group: the device's limit, or less if a kernel needed less */
    size_t device_group_limit; /* the device's own limit, for kernels of the matrix library */
    size_t local_bytes;        /* local memory of a group */
    bool subgroups;            /* of 16 work-items, as Intel's extensions define them */
    int registers;             /* of 32 bits, for a work-item of a GPU; 0: OCL_USUAL_REGISTERS */
    int gradient_registers;    /* that a filter gradient needs beside the values of its tile */
    uint64_t max_alloc_bytes;  /* of one buffer */
    ocl_bf16 bf16;
    ocl_gemm_library gemm;
    /* The family of every convolution; OCL_CONV_AUTO: chosen per shape. */
    ocl_conv_family family;
    /* The variant that the family's planner must use; NULL or "": chosen by the planner's cost estimate. A
     * variant that the shape or the device does not support is refused with P2P_UNSUPPORTED. */
    const char *variant;
    ocl_winograd_use winograd;
    const ocl_verdicts *verdicts; /* NULL: no family was tested */
    const ocl_choices *choices;   /* NULL: none */
} ocl_target;

/* Fills a plan, zeroed by the caller, from a validated descriptor. Returns P2P_UNSUPPORTED with a reason if
 * the operation cannot be planned. Deterministic: op_query and op_create both plan and get equal plans. */
typedef p2p_status (*ocl_planner)(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Lists the variants of a family that may be fast for a shape, besides the planner's own choice. Returns
 * their number. */
typedef int (*ocl_variant_lister)(const ocl_target *target, const p2p_op *op,
                                  ocl_variant_name names[OCL_MOST_VARIANTS]);

#endif
