/* Cases: descriptors in logical terms, before any device's storage is known.
 *
 * A case is a valid descriptor with plain f32 operands and a role per operand. Stamping gives each operand
 * the device's storage for its role. The doctor's cases are in check_cases.c, those of the operation runner
 * in tests/operations/.
 */
#ifndef OP_CASE_H
#define OP_CASE_H

#include "p2p_backend.h"

typedef enum {
    OP_ROLE_NONE,
    OP_ROLE_ACTIVATION,
    OP_ROLE_FILTER,
    OP_ROLE_GRADIENT, /* a filter's gradient that is written once: the filter's layout, a type of its own */
    OP_ROLE_FILTER_T, /* the device's filter type and block in the other of ckrs and kcrs_t */
    OP_ROLE_VECTOR, /* plain, the device's vector type: vectors, statistics, losses, matrices, flat arrays */
    OP_ROLE_HOST,   /* plain f32: what the host reads and writes */
    OP_ROLE_BF16,   /* plain bf16: a copy of parameters that an update writes */
    OP_ROLE_IMAGE,  /* u8 nhwc */
    OP_ROLE_IMAGE_16,
    OP_ROLE_WORDS, /* u32 plain */
} op_role;

typedef struct {
    p2p_op op;
    op_role role[P2P_MAX_OPERANDS];
} op_case;

/* The properties of a device that stamping uses. */
typedef struct {
    p2p_storage activation, filter, vector;
    p2p_type gradient;
    int channel_alignment;
} op_storages;

/* ---- Building cases (op_case.c) ----------------------------------------------------------------------- */

/* The shape of the forward convolution: x is n c h w, the filter k c r s. */
typedef struct {
    int64_t n, c, h, w, k, r, s, stride, top, left, bottom, right;
} op_conv_shape;

/* A convolution of any of the three kinds, without bias and activation. */
op_case op_case_conv(p2p_kind kind, const op_conv_shape *shape);
/* Add a bias or an activation to conv_fwd or conv_bwd_data. `slope` is used by lrelu only. */
void op_case_set_bias(op_case *item);
void op_case_set_act(op_case *item, p2p_act act, double slope);

/* A normalisation of any of the four kinds. Fields that the kind does not have are ignored. */
typedef struct {
    int64_t n, c, h, w;
    int64_t images; /* per group; 0 is all */
    p2p_act act, act2;
    double slope, slope2, dropout;
    bool second; /* the second output, or its gradient */
    bool merged, use_running, running, dscale, dshift;
    bool bare; /* without scale and shift, and so without dscale and dshift */
} op_norm_shape;

op_case op_case_norm(p2p_kind kind, const op_norm_shape *shape);

/* A kind whose activations all have one shape: act_fwd, act_bwd, dropout, prepare, bias_grad, loss_bce,
 * loss_mse and loss_l1 (with their gradient dx), and, all operands being activations, copy and axpby.
 * The descriptor's numbers get valid values. */
op_case op_case_pointwise(p2p_kind kind, int64_t n, int64_t c, int64_t h, int64_t w);
op_case op_case_gemm(int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b, double alpha);
op_case op_case_adam(int64_t count, double beta1, double beta2, bool copy);
/* A copy from one role to another. For filters n c h w are k c r s. */
op_case op_case_copy(op_role from, op_role to, int64_t n, int64_t c, int64_t h, int64_t w);

void op_case_drop_operand(op_case *item, int operand);
/* Makes the operand the channels [before, before + c) of a tensor of before + c + after channels. */
void op_case_range(op_case *item, int operand, int64_t before, int64_t after);

/* The storages of a device's sessions in a precision. */
op_storages op_storages_of(const p2p_device_info *info, p2p_precision precision);
/* The math of convolutions in such sessions, for the shapes that the device accepts. */
p2p_math op_math_of(const p2p_device_info *info, p2p_precision precision);

/* The descriptor with these storages. */
p2p_op op_case_stamp(const op_case *item, const op_storages *storages);

#endif
