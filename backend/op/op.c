/* Operation descriptors: tables of kinds and fields, comparison, work counts.
 *
 * The tables are generated from the lists of p2p_op.h. Text is in op_text.c, validation in op_validate.c.
 */
#include "op_internal.h"
#include "p2p_kernel_core.h"

#include <string.h>

#include <math.h>

typedef struct {
    const char *name;
    int use;
} operand_info;

#define O(kind, name, use) {#name, use},
#define X(kind, operands)  static const operand_info kind##_operands[] = {operands};
P2P_KIND_LIST(X, O)
#undef X
#undef O

static const struct {
    const char *name;
    int operand_count;
    const operand_info *operands;
} kinds[] = {
#define O(kind, name, use)
#define X(kind, operands) {#kind, P2P_AT_##kind##_count, kind##_operands},
    P2P_KIND_LIST(X, O)
#undef X
#undef O
};

#define O(kind, name, use)
#define X(kind, operands)                                                                                    \
    _Static_assert((int)P2P_AT_##kind##_count <= (int)P2P_MAX_OPERANDS, #kind " has too many operands");
P2P_KIND_LIST(X, O)
#undef X
#undef O

const p2p_field_info p2p_field_table[P2P_FIELD_COUNT] = {
#define X(name, default_value) {#name, offsetof(p2p_op, name), false, default_value},
    P2P_OP_INT_LIST(X)
#undef X
#define X(name, default_value) {#name, offsetof(p2p_op, name), true, default_value},
        P2P_OP_REAL_LIST(X)
#undef X
};

/* ---- Kinds and operands ------------------------------------------------------------------------------- */

static const operand_info *operand_of(p2p_kind kind, int operand) {
    if ((unsigned)kind >= P2P_KIND_COUNT || operand < 0 || operand >= kinds[kind].operand_count) return NULL;
    return &kinds[kind].operands[operand];
}

int p2p_kind_operand_count(p2p_kind kind) {
    return (unsigned)kind < P2P_KIND_COUNT ? kinds[kind].operand_count : 0;
}

const char *p2p_kind_name(p2p_kind kind) {
    return (unsigned)kind < P2P_KIND_COUNT ? kinds[kind].name : "unknown";
}

const char *p2p_kind_operand_name(p2p_kind kind, int operand) {
    const operand_info *info = operand_of(kind, operand);
    return info != NULL ? info->name : "unknown";
}

int p2p_kind_operand_use(p2p_kind kind, int operand) {
    const operand_info *info = operand_of(kind, operand);
    return info != NULL ? info->use : 0;
}

int p2p_op_mode_use(const p2p_op *op, int operand) {
    if (op->kind == P2P_KIND_norm_apply && operand == P2P_AT_norm_apply_stats)
        return op->merged ? P2P_OUT : P2P_IN;
    if (op->kind == P2P_KIND_norm_apply && operand == P2P_AT_norm_apply_running)
        return op->use_running ? P2P_IN : P2P_INOUT;
    if (op->kind == P2P_KIND_norm_bwd_apply && operand == P2P_AT_norm_bwd_apply_sums)
        return op->merged ? P2P_OUT : P2P_IN;
    return p2p_kind_operand_use(op->kind, operand) & P2P_INOUT;
}

bool p2p_op_accumulates(const p2p_op *op, int operand) {
    return op->accumulate >> operand & 1;
}

int p2p_op_operand_use(const p2p_op *op, int operand) {
    if (operand < 0 || operand >= P2P_MAX_OPERANDS || !p2p_tensor_present(&op->t[operand])) return 0;
    return p2p_op_accumulates(op, operand) ? P2P_INOUT : p2p_op_mode_use(op, operand);
}

int p2p_kind_filter(p2p_kind kind) {
    if (kind == P2P_KIND_conv_fwd) return P2P_AT_conv_fwd_w;
    return kind == P2P_KIND_conv_bwd_data ? (int)P2P_AT_conv_bwd_data_w : -1;
}

bool p2p_op_is_factor(const p2p_op *op, int operand) {
    switch (op->kind) {
    case P2P_KIND_conv_fwd:
        return operand == P2P_AT_conv_fwd_x || operand == P2P_AT_conv_fwd_w;
    case P2P_KIND_conv_bwd_data:
        return operand == P2P_AT_conv_bwd_data_dy || operand == P2P_AT_conv_bwd_data_w;
    case P2P_KIND_conv_bwd_filter:
        return operand == P2P_AT_conv_bwd_filter_x || operand == P2P_AT_conv_bwd_filter_dy;
    default:
        return false;
    }
}

static const char *const precisions[] = {
#define X(name) #name,
    P2P_PRECISION_LIST(X)
#undef X
};

const char *p2p_precision_name(p2p_precision precision) {
    return (unsigned)precision < P2P_PRECISION_COUNT ? precisions[precision] : "unknown";
}

bool p2p_precision_parse(const char *name, p2p_precision *precision) {
    for (int i = 0; i < P2P_PRECISION_COUNT; i++) {
        if (strcmp(precisions[i], name) != 0) continue;
        *precision = (p2p_precision)i;
        return true;
    }
    return false;
}

const char *p2p_math_name(p2p_math math) {
    static const char *const names[] = {
#define X(name) #name,
        P2P_MATH_LIST(X)
#undef X
    };
    return (unsigned)math < P2P_MATH_COUNT ? names[math] : "unknown";
}

_Static_assert(P2P_KIND_norm_bwd_apply - P2P_KIND_norm_stats == 3,
               "p2p_op_is_norm takes four kinds in a row");
bool p2p_op_is_norm(const p2p_op *op) {
    return op->kind >= P2P_KIND_norm_stats && op->kind <= P2P_KIND_norm_bwd_apply;
}

/* ---- Convolutions ------------------------------------------------------------------------------------- */

bool p2p_op_is_convolution(const p2p_op *op) {
    return op->kind == P2P_KIND_conv_fwd || op->kind == P2P_KIND_conv_bwd_data ||
           op->kind == P2P_KIND_conv_bwd_filter;
}

/* Whether a convolution's operand has a batch dimension; filter and bias have none. */
static bool has_images(const p2p_op *op, int operand) {
    if (op->kind == P2P_KIND_conv_bwd_filter) return operand != P2P_AT_conv_bwd_filter_dw;
    return operand == P2P_AT_conv_fwd_x || operand == P2P_AT_conv_fwd_y;
}

_Static_assert((int)P2P_AT_conv_fwd_x == (int)P2P_AT_conv_bwd_data_dy &&
                   (int)P2P_AT_conv_fwd_y == (int)P2P_AT_conv_bwd_data_dx &&
                   (int)P2P_AT_conv_fwd_bias == (int)P2P_AT_conv_bwd_data_bias,
               "has_images and p2p_op_plain_convolution treat both kinds alike");

p2p_op p2p_op_plain_convolution(const p2p_op *op) {
    p2p_op plain = {.kind = op->kind, .stride = op->stride, .math = op->math};
    plain.pad_top = op->pad_top;
    plain.pad_left = op->pad_left;
    plain.pad_bottom = op->pad_bottom;
    plain.pad_right = op->pad_right;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        p2p_tensor *t = &plain.t[i];
        if (op->kind != P2P_KIND_conv_bwd_filter && i == P2P_AT_conv_fwd_bias) continue;
        *t = op->t[i];
        t->c0 = t->cp = 0;
        if (has_images(op, i) && op->images > 0 && op->images < t->n) t->n = op->images;
    }
    return plain;
}

p2p_op p2p_op_peak(int64_t items) {
    p2p_op op = {.kind = P2P_KIND_broadcast};
    op.t[P2P_AT_broadcast_y] = p2p_tensor_flat(P2P_TYPE_f32, items);
    return op;
}

/* Kernels have these numbers. */
_Static_assert(offsetof(p2p_step_block, seed_lo) == STEP_SEED_LO * 4 &&
                   offsetof(p2p_step_block, seed_hi) == STEP_SEED_HI * 4 &&
                   offsetof(p2p_step_block, step) == STEP_STEP * 4 &&
                   offsetof(p2p_step_block, lr_corrected) == STEP_LR * 4 &&
                   offsetof(p2p_step_block, root_v_correction) == STEP_ROOT_V * 4 &&
                   offsetof(p2p_step_block, sample) == STEP_SAMPLE * 4,
               "p2p_kernel_core.h numbers the words of the step block");
_Static_assert(P2P_ACT_none == ACT_NONE && P2P_ACT_relu == ACT_RELU && P2P_ACT_lrelu == ACT_LRELU &&
                   P2P_ACT_tanh == ACT_TANH,
               "p2p_kernel_core.h numbers the activation functions");

int64_t p2p_step_block_words(int64_t local_batch) {
    return (int64_t)(offsetof(p2p_step_block, sample) / sizeof(uint32_t)) + local_batch;
}

/* ---- Activation functions ----------------------------------------------------------------------------- */

const char *p2p_act_name(p2p_act act) {
    static const char *const names[] = {
#define X(name) #name,
        P2P_ACT_LIST(X)
#undef X
    };
    return (unsigned)act < P2P_ACT_COUNT ? names[act] : "unknown";
}

double p2p_act_value(int64_t act, double slope, double x) {
    switch (act) {
    case P2P_ACT_relu:
        return x <= 0 ? 0 : x; /* NaN stays NaN */
    case P2P_ACT_lrelu:
        return x > 0 ? x : slope * x;
    case P2P_ACT_tanh:
        return tanh(x);
    default:
        return x;
    }
}

/* y has the sign of x because slopes are not negative. */
double p2p_act_slope(int64_t act, double slope, double y) {
    switch (act) {
    case P2P_ACT_relu:
        return y > 0 ? 1 : 0;
    case P2P_ACT_lrelu:
        return y > 0 ? 1 : slope;
    case P2P_ACT_tanh:
        return 1 - y * y;
    default:
        return 1;
    }
}

/* ---- Fields of a descriptor --------------------------------------------------------------------------- */

int64_t *p2p_op_int(p2p_op *op, p2p_field field) {
    return (int64_t *)(void *)((char *)op + p2p_field_table[field].offset);
}

double *p2p_op_real(p2p_op *op, p2p_field field) {
    return (double *)(void *)((char *)op + p2p_field_table[field].offset);
}

int64_t p2p_op_int_value(const p2p_op *op, p2p_field field) {
    int64_t value = *(const int64_t *)(const void *)((const char *)op + p2p_field_table[field].offset);
    return value != 0 ? value : p2p_field_table[field].default_value;
}

double p2p_op_real_value(const p2p_op *op, p2p_field field) {
    double value = *(const double *)(const void *)((const char *)op + p2p_field_table[field].offset);
    return value != 0 ? value : (double)p2p_field_table[field].default_value;
}

bool p2p_op_equal(const p2p_op *a, const p2p_op *b) {
    if (a->kind != b->kind || a->accumulate != b->accumulate) return false;
    for (int i = 0; i < P2P_MAX_OPERANDS; i++)
        if (!p2p_tensor_equal(&a->t[i], &b->t[i])) return false;
    for (p2p_field f = 0; f < P2P_FIELD_COUNT; f++) {
        bool equal = p2p_field_table[f].is_real ? p2p_op_real_value(a, f) == p2p_op_real_value(b, f)
                                                : p2p_op_int_value(a, f) == p2p_op_int_value(b, f);
        if (!equal) return false;
    }
    return true;
}

/* ---- Work --------------------------------------------------------------------------------------------- */

static double elements(const p2p_op *op, int operand) {
    return (double)p2p_tensor_elements(&op->t[operand]);
}

/* Every position (n, i, j) of the output side is combined with every filter element. */
static double conv_flops(const p2p_op *op, int output_side, int filter) {
    const p2p_tensor *y = &op->t[output_side];
    return 2.0 * (double)y->n * (double)(y->h * y->w) * elements(op, filter);
}

double p2p_op_flops(const p2p_op *op) {
    double count = elements(op, 0); /* of the first operand: the size of all kinds that are not products */
    switch (op->kind) {
    case P2P_KIND_copy:
    case P2P_KIND_broadcast:
        return 0;
    case P2P_KIND_conv_fwd:
        return conv_flops(op, P2P_AT_conv_fwd_y, P2P_AT_conv_fwd_w);
    case P2P_KIND_conv_bwd_data:
        return conv_flops(op, P2P_AT_conv_bwd_data_dy, P2P_AT_conv_bwd_data_w);
    case P2P_KIND_conv_bwd_filter:
        return conv_flops(op, P2P_AT_conv_bwd_filter_dy, P2P_AT_conv_bwd_filter_dw);
    case P2P_KIND_gemm: {
        const p2p_tensor *a = &op->t[P2P_AT_gemm_a];
        return 2.0 * elements(op, P2P_AT_gemm_y) * (double)(op->transpose_a ? a->c : a->w);
    }
    case P2P_KIND_norm_stats:
        return 4 * count;
    case P2P_KIND_norm_apply:
        return (op->merged ? 8 : 4) * count;
    case P2P_KIND_norm_bwd_stats:
        return 8 * count;
    case P2P_KIND_norm_bwd_apply:
        return (op->merged ? 18 : 10) * count;
    case P2P_KIND_prepare:
    case P2P_KIND_act_bwd:
        return 2 * count;
    case P2P_KIND_axpby:
        return 2 * elements(op, P2P_AT_axpby_y);
    case P2P_KIND_loss_bce:
        return 6 * count;
    case P2P_KIND_loss_mse:
        return 4 * count;
    case P2P_KIND_loss_l1:
        return 3 * count;
    case P2P_KIND_adam:
        return 13 * count;
    default:
        return count;
    }
}

/* How often an operand's elements cross the memory bus: once if read, once if written. */
static int moves(const p2p_op *op, int operand) {
    int use = p2p_op_operand_use(op, operand);
    return (use & P2P_IN ? 1 : 0) + (use & P2P_OUT ? 1 : 0);
}

double p2p_op_bytes(const p2p_op *op) {
    double bytes = 0;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++)
        if (p2p_tensor_present(&op->t[i]))
            bytes += elements(op, i) * (double)p2p_type_bytes(op->t[i].type) * moves(op, i);
    return bytes;
}
