/* Tensors and operation descriptors: the data types that the planner and all backends share.
 *
 * An operation is data: a kind, a description of each operand's shape and physical layout, and plain numbers.
 * The same descriptor is queried from a backend, is the key of its caches, is rewritten by fusion, is a line
 * of the plan dump, and is the argument that reproduces a failed test. It prints and parses as one line. A
 * descriptor holds no memory: operands are bound to buffers when an operation is created.
 */
#ifndef P2P_OP_H
#define P2P_OP_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Tensors ------------------------------------------------------------------------------------------ */

/* X(name, bytes) */
#define P2P_TYPE_LIST(X)                                                                                     \
    X(f32, 4)                                                                                                \
    X(f64, 8)                                                                                                \
    X(bf16, 2)                                                                                               \
    X(u8, 1)                                                                                                 \
    X(u16, 2)                                                                                                \
    X(u32, 4)

typedef enum {
#define X(name, bytes) P2P_TYPE_##name,
    P2P_TYPE_LIST(X)
#undef X
        P2P_TYPE_COUNT
} p2p_type;

/* Physical layouts of a tensor's elements, outermost dimension first. B is the tensor's `block`. A channel
 * count that is not a multiple of B is rounded up; the extra lanes are padding.
 *
 *   plain      n c h w            activations (NCHW), filters (k c r s: n = k, h = r, w = s), flat arrays
 *   nchwc      n c/B h w B        activations: a channel block is the innermost dimension
 *   nhwc       n h w c            activations and interleaved images; c is rounded up to a multiple of B
 *   ckrs       k/B c/B r s cB kB  filters of convolutions that produce k: lanes are output channels k
 *   kcrs_t     c/B k/B r s kB cB  filters of data gradients, which produce c: lanes are channels c
 *   krsc       k r s c            filters beside nhwc; k and c are both rounded up to multiples of B
 *
 * Padding lanes of activations have undefined contents, possibly NaN, and no operation lets them affect a
 * real element, unless the device has p2p_device_info.zero_padding: then they are zero, and every operation
 * keeps them zero. Padding lanes of filters and vectors are zero, and every operation that writes them keeps
 * them zero, because an update processes a whole arena. The padding lanes of a tensor belong to the channel
 * range that ends with its last channel: an operation that writes this range writes them, too.
 */
#define P2P_LAYOUT_LIST(X) X(plain) X(nchwc) X(nhwc) X(ckrs) X(kcrs_t) X(krsc)

typedef enum {
#define X(name) P2P_LAYOUT_##name,
    P2P_LAYOUT_LIST(X)
#undef X
        P2P_LAYOUT_COUNT
} p2p_layout;

/* A tensor's description. The logical extents are n, c, h, w for an activation; k, c, r, s for a filter;
 * 1, c, 1, 1 for a vector over channels; 1, rows, 1, columns for a matrix (row-major);
 * 1, 1, 1, count for a flat array; g, rows, 1, c for statistics (g groups, `rows` numbers per channel,
 * channels innermost).
 *
 * A tensor may be the channel range [c0, c0 + c) of a larger tensor with `cp` channels; a concatenation
 * consists of such ranges. cp = 0 means a whole tensor (c0 = 0, cp = c). A binding's byte offset is that of
 * the first element of the whole tensor, not of the range. n = 0 means that the operand is absent. */
typedef struct {
    p2p_type type;
    p2p_layout layout;
    int block; /* channels per block; 0 and 1 both mean unblocked */
    int64_t n, c, h, w;
    int64_t c0, cp;
} p2p_tensor;

/* Constructors of whole tensors in plain layout. */
p2p_tensor p2p_tensor_activation(p2p_type type, int64_t n, int64_t c, int64_t h, int64_t w);
p2p_tensor p2p_tensor_filter(p2p_type type, int64_t k, int64_t c, int64_t r, int64_t s);
p2p_tensor p2p_tensor_vector(p2p_type type, int64_t c);
p2p_tensor p2p_tensor_matrix(p2p_type type, int64_t rows, int64_t columns);
p2p_tensor p2p_tensor_flat(p2p_type type, int64_t count);
p2p_tensor p2p_tensor_stats(p2p_type type, int64_t groups, int64_t rows, int64_t c);

size_t p2p_type_bytes(p2p_type type);
const char *p2p_type_name(p2p_type type);
const char *p2p_layout_name(p2p_layout layout);
/* Whether the layout is one of filters only: ckrs, kcrs_t or krsc. */
bool p2p_layout_is_filter(p2p_layout layout);

/* The quotient rounded up; neither number is negative. */
int64_t p2p_divide_up(int64_t value, int64_t divisor);

/* Whether the tensor is no channel range of a larger one. It need not be valid. */
bool p2p_tensor_is_whole(const p2p_tensor *tensor);
/* Number of logical elements, n*c*h*w. */
int64_t p2p_tensor_elements(const p2p_tensor *tensor);
/* Number of elements stored for the whole tensor (all cp channels, padding included), and their bytes. */
int64_t p2p_tensor_stored(const p2p_tensor *tensor);
size_t p2p_tensor_bytes(const p2p_tensor *tensor);
/* Position, in elements from the start of the whole tensor, of logical element (n, c, h, w) of the range. */
int64_t p2p_tensor_index(const p2p_tensor *tensor, int64_t n, int64_t c, int64_t h, int64_t w);
/* The tensor without its range: c = cp, c0 = 0. */
p2p_tensor p2p_tensor_whole(const p2p_tensor *tensor);
bool p2p_tensor_present(const p2p_tensor *tensor);
bool p2p_tensor_same_shape(const p2p_tensor *a, const p2p_tensor *b);
bool p2p_tensor_equal(const p2p_tensor *a, const p2p_tensor *b);
/* P2P_INVALID unless extents are positive, the size in bytes fits int64_t, the channel range lies inside the
 * whole tensor, and type, layout and block are valid. */
p2p_status p2p_tensor_validate(const p2p_tensor *tensor);

/* Whether the tensor's range ends with the last channel of the whole tensor, so that its writers write the
 * padding lanes. */
bool p2p_tensor_owns_padding(const p2p_tensor *tensor);
/* Sets the padding lanes of the whole tensor in `raw` to zero. */
void p2p_tensor_clear_padding(const p2p_tensor *tensor, void *raw);
/* Position, in elements from the start of the whole tensor, of the first padding lane in `raw` that is not
 * zero; -1 if all are. */
int64_t p2p_tensor_find_padding(const p2p_tensor *tensor, const void *raw);

/* Convert between `host` (logical elements in plain n c h w order, `host_type` f32 or f64) and `raw` (the
 * tensor as stored). pack does not write padding lanes of `raw` or channels outside the range. */
void p2p_tensor_pack(const p2p_tensor *tensor, const void *host, p2p_type host_type, void *raw);
void p2p_tensor_unpack(const p2p_tensor *tensor, const void *raw, void *host, p2p_type host_type);

/* Text such as `f32:nchwc16:4x64@64/128x32x32`: type, layout with block, n x c[@c0/cp] x h x w. print returns
 * the length of the whole text, as snprintf does. parse returns P2P_INVALID unless the text is a valid
 * tensor. */
enum { P2P_TENSOR_TEXT = 128 };
int p2p_tensor_print(const p2p_tensor *tensor, char *text, size_t size);
p2p_status p2p_tensor_parse(const char *text, p2p_tensor *tensor);

/* X(name): the precisions of a session. See p2p_session_options.precision (p2p.h). */
#define P2P_PRECISION_LIST(X) X(fp32) X(tf32) X(bf16)

typedef enum {
#define X(name) P2P_PRECISION_##name,
    P2P_PRECISION_LIST(X)
#undef X
        P2P_PRECISION_COUNT
} p2p_precision;

const char *p2p_precision_name(p2p_precision precision);
/* Sets *precision to the one of this name. Returns false if there is none. */
bool p2p_precision_parse(const char *name, p2p_precision *precision);

/* ---- Operations --------------------------------------------------------------------------------------- */

enum { P2P_MAX_OPERANDS = 12 };

/* Operand directions. An IN operand is read. An OUT operand is overwritten or, if its accumulate bit is set,
 * added to. An INOUT operand is updated in place. An OPT operand may be absent. */
typedef enum { P2P_IN = 1, P2P_OUT = 2, P2P_INOUT = 3, P2P_OPT = 4 } p2p_operand_use;

/* The kinds of operations, a closed set: X(kind, operands), with operands O(kind, name, use) in the order of
 * p2p_op.t[]. The formulas follow the list. */
/* clang-format off */
#define P2P_KIND_LIST(X, O)                                                                                  \
    X(copy,                                                                                                  \
      O(copy, x, P2P_IN)                                                                                     \
      O(copy, y, P2P_OUT))                                                                                   \
    X(prepare,                                                                                               \
      O(prepare, x, P2P_IN)                                                                                  \
      O(prepare, y, P2P_OUT))                                                                                \
    X(conv_fwd,                                                                                              \
      O(conv_fwd, x, P2P_IN)                                                                                 \
      O(conv_fwd, w, P2P_IN)                                                                                 \
      O(conv_fwd, bias, P2P_IN | P2P_OPT)                                                                    \
      O(conv_fwd, y, P2P_OUT))                                                                               \
    X(conv_bwd_data,                                                                                         \
      O(conv_bwd_data, dy, P2P_IN)                                                                           \
      O(conv_bwd_data, w, P2P_IN)                                                                            \
      O(conv_bwd_data, bias, P2P_IN | P2P_OPT)                                                               \
      O(conv_bwd_data, dx, P2P_OUT))                                                                         \
    X(conv_bwd_filter,                                                                                       \
      O(conv_bwd_filter, x, P2P_IN)                                                                          \
      O(conv_bwd_filter, dy, P2P_IN)                                                                         \
      O(conv_bwd_filter, dw, P2P_OUT))                                                                       \
    X(gemm,                                                                                                  \
      O(gemm, a, P2P_IN)                                                                                     \
      O(gemm, b, P2P_IN)                                                                                     \
      O(gemm, y, P2P_OUT))                                                                                   \
    X(norm_stats,                                                                                            \
      O(norm_stats, x, P2P_IN)                                                                               \
      O(norm_stats, stats, P2P_OUT))                                                                         \
    X(norm_apply,                                                                                            \
      O(norm_apply, x, P2P_IN)                                                                               \
      O(norm_apply, stats, P2P_INOUT | P2P_OPT)                                                              \
      O(norm_apply, scale, P2P_IN | P2P_OPT)                                                                 \
      O(norm_apply, shift, P2P_IN | P2P_OPT)                                                                 \
      O(norm_apply, running, P2P_INOUT | P2P_OPT)                                                            \
      O(norm_apply, step, P2P_IN | P2P_OPT)                                                                  \
      O(norm_apply, y, P2P_OUT)                                                                              \
      O(norm_apply, y2, P2P_OUT | P2P_OPT))                                                                  \
    X(norm_bwd_stats,                                                                                        \
      O(norm_bwd_stats, x, P2P_IN)                                                                           \
      O(norm_bwd_stats, stats, P2P_IN)                                                                       \
      O(norm_bwd_stats, scale, P2P_IN | P2P_OPT)                                                             \
      O(norm_bwd_stats, shift, P2P_IN | P2P_OPT)                                                             \
      O(norm_bwd_stats, dy, P2P_IN)                                                                          \
      O(norm_bwd_stats, dy2, P2P_IN | P2P_OPT)                                                               \
      O(norm_bwd_stats, step, P2P_IN | P2P_OPT)                                                              \
      O(norm_bwd_stats, sums, P2P_OUT)                                                                       \
      O(norm_bwd_stats, dscale, P2P_OUT | P2P_OPT)                                                           \
      O(norm_bwd_stats, dshift, P2P_OUT | P2P_OPT))                                                          \
    X(norm_bwd_apply,                                                                                        \
      O(norm_bwd_apply, x, P2P_IN)                                                                           \
      O(norm_bwd_apply, stats, P2P_IN)                                                                       \
      O(norm_bwd_apply, scale, P2P_IN | P2P_OPT)                                                             \
      O(norm_bwd_apply, shift, P2P_IN | P2P_OPT)                                                             \
      O(norm_bwd_apply, dy, P2P_IN)                                                                          \
      O(norm_bwd_apply, dy2, P2P_IN | P2P_OPT)                                                               \
      O(norm_bwd_apply, step, P2P_IN | P2P_OPT)                                                              \
      O(norm_bwd_apply, sums, P2P_INOUT)                                                                     \
      O(norm_bwd_apply, dx, P2P_OUT)                                                                         \
      O(norm_bwd_apply, dscale, P2P_OUT | P2P_OPT)                                                           \
      O(norm_bwd_apply, dshift, P2P_OUT | P2P_OPT))                                                          \
    X(act_fwd,                                                                                               \
      O(act_fwd, x, P2P_IN)                                                                                  \
      O(act_fwd, y, P2P_OUT))                                                                                \
    X(act_bwd,                                                                                               \
      O(act_bwd, y, P2P_IN)                                                                                  \
      O(act_bwd, dy, P2P_IN)                                                                                 \
      O(act_bwd, dx, P2P_OUT))                                                                               \
    X(dropout,                                                                                               \
      O(dropout, x, P2P_IN)                                                                                  \
      O(dropout, step, P2P_IN)                                                                               \
      O(dropout, y, P2P_OUT))                                                                                \
    X(axpby,                                                                                                 \
      O(axpby, x, P2P_IN)                                                                                    \
      O(axpby, y, P2P_OUT))                                                                                  \
    X(bias_grad,                                                                                             \
      O(bias_grad, dy, P2P_IN)                                                                               \
      O(bias_grad, db, P2P_OUT))                                                                             \
    X(loss_bce,                                                                                              \
      O(loss_bce, x, P2P_IN)                                                                                 \
      O(loss_bce, loss, P2P_OUT)                                                                             \
      O(loss_bce, dx, P2P_OUT | P2P_OPT))                                                                    \
    X(loss_l1,                                                                                               \
      O(loss_l1, x, P2P_IN)                                                                                  \
      O(loss_l1, target, P2P_IN)                                                                             \
      O(loss_l1, loss, P2P_OUT)                                                                              \
      O(loss_l1, dx, P2P_OUT | P2P_OPT))                                                                     \
    X(loss_mse,                                                                                              \
      O(loss_mse, x, P2P_IN)                                                                                 \
      O(loss_mse, loss, P2P_OUT)                                                                             \
      O(loss_mse, dx, P2P_OUT | P2P_OPT))                                                                    \
    X(adam,                                                                                                  \
      O(adam, p, P2P_INOUT)                                                                                  \
      O(adam, g, P2P_IN)                                                                                     \
      O(adam, m, P2P_INOUT)                                                                                  \
      O(adam, v, P2P_INOUT)                                                                                  \
      O(adam, step, P2P_IN)                                                                                  \
      O(adam, copy, P2P_OUT | P2P_OPT))                                                                      \
    X(all_reduce,                                                                                            \
      O(all_reduce, y, P2P_INOUT))                                                                           \
    X(broadcast,                                                                                             \
      O(broadcast, y, P2P_INOUT))

/* What each kind computes. (+)= adds if the operand's accumulate bit is set, and overwrites otherwise.
 *
 * copy             y (+)= x, converting layout, type and channel range. x and y have equal logical shapes. If
 *                  y is a filter or vector, its padding lanes are set to zero.
 * prepare          x: u8 or u16 nhwc images (n, c, h, w logical); y (+)= x * alpha + offset, an activation.
 * conv_fwd         y[n,k,i,j] (+)= act(bias[k] + sum_{c,r,s} w[k,c,r,s] x[n,c, i*stride-pad_top+r,
 *                  j*stride-pad_left+s]), with x = 0 outside its extents. y's extents are explicit and are
 *                  h_y = floor((h_x + pad_top + pad_bottom - r) / stride) + 1, and likewise for w. Algorithms
 *                  may round differently. The algorithm is chosen as for a batch of `images` images, so with
 *                  images = 1 an image gets the same bits in every batch.
 * conv_bwd_data    dx[n,c,h,w] (+)= act(bias[c] + sum over the (k,i,j,r,s) with h = i*stride-pad_top+r and
 *                  w = j*stride-pad_left+s of w[k,c,r,s] dy[n,k,i,j]): the transposed convolution. `bias`,
 *                  `act` and `images` are for its use as a forward layer. Filter extents are those of the
 *                  conv_fwd that it transposes: k = channels of dy, c = channels of dx.
 * conv_bwd_filter  dw[k,c,r,s] (+)= sum_{n,i,j} dy[n,k,i,j] x[n,c, i*stride-pad_top+r, j*stride-pad_left+s].
 * gemm             y (+)= alpha op(a) op(b), where op transposes if transpose_a, transpose_b. Row-major.
 * norm_stats       per group g of `images` consecutive images and per channel: stats[g,0..2,c] = count, mean,
 *                  M2 (sum of squared deviations).
 * norm_apply       per group and channel: mean, variance = M2/count, xhat = (x-mean)/sqrt(variance+eps),
 *                  z = scale*xhat + shift, then z = dropout(z) when dropout > 0 (see below), y (+)= act(z),
 *                  y2 (+)= act2(z). scale and shift are both present or both absent; if absent they are 1
 *                  and 0, and dscale and dshift are absent too.
 *                  merged = 0: stats is read. merged = 1: stats is computed and written (for the backward
 *                  pass). running[0,0,c] and running[0,1,c] (mean, variance), if present, are updated in
 *                  group order: running += momentum * (new - running), new variance = M2/max(count-1, 1).
 *                  use_running = 1: mean and variance are read from running, which is not updated; stats is
 *                  absent.
 * norm_bwd_stats   g = mask * (act'(y) dy + act2'(y2) dy2), with y and y2 recomputed from x; mask is the
 *                  dropout factor. sums[g,0,c] = sum g, sums[g,1,c] = sum g*xhat over the group.
 *                  dshift[c] (+)= sum over groups of sums[.,0,c], dscale[c] likewise with sums[.,1,c].
 * norm_bwd_apply   dx (+)= scale/sqrt(variance+eps) * (g - sums0/count - xhat*sums1/count).
 *                  merged = 0: sums is read; dscale and dshift must be absent (norm_bwd_stats writes them).
 *                  merged = 1: sums is computed (its old contents are not read); dscale and dshift are
 *                  written if present. count is that of stats. If count = 1, the gradient is exactly 0.
 * act_fwd          y (+)= act(x).
 * act_bwd          dx (+)= act'(x) dy, computed from the activation's *output* y.
 * dropout          y (+)= x * mask, in both directions.
 * axpby            y (+)= alpha*x. x may be a vector (n = h = w = 1), broadcast over images and positions, as
 *                  a separate bias is.
 * bias_grad        db[c] (+)= sum_{n,h,w} dy.
 * loss_bce         x: logits; the field target is 0 or 1:
 *                  loss (+)= loss_scale * sum(max(x,0) - x*target + log(1+exp(-|x|)));
 *                  dx (+)= grad_scale * (sigmoid(x) - target).
 * loss_l1          loss (+)= loss_scale * sum |x - target|; dx (+)= grad_scale * sign(x - target), with
 *                  sign(0) = 0.
 * loss_mse         the field target is 0 or 1: loss (+)= loss_scale * sum (x - target)^2;
 *                  dx (+)= grad_scale * 2 (x - target).
 * adam             flat arrays of equal length: m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g*g;
 *                  p -= step.lr_corrected * m / (sqrt(v)*step.root_v_correction + eps): PyTorch's form,
 *                  lr_corrected = lr/(1-beta1^t), root_v_correction = 1/sqrt(1-beta2^t). copy, if present,
 *                  receives the new p, rounded to its type.
 * all_reduce       every replica's y becomes the reduction over the replicas: `reduction` is sum or moments
 *                  (a stats tensor of count, mean, M2, combined by Chan's formula in replica order).
 *                  Performed by the communicator: op_query refuses it.
 * broadcast        every replica's y becomes that of replica `root`. Performed by the communicator.
 *
 * Dropout mask: an element is kept, and multiplied by 1/(1-p), if u >= p*2^32 (computed in double,
 * truncated). u is word (c mod 4) of Philox-4x32-10 with counter (c/4, h*65536 + w, sample, step) and key
 * (seed_lo ^ layer, seed_hi). c is the logical channel of the operand (0 is the first of its range), `sample`
 * is step_block.sample[n], `step` is step_block.step. See p2p_philox.h.
 */
/* clang-format on */

typedef enum {
#define O(kind, name, use)
#define X(kind, operands) P2P_KIND_##kind,
    P2P_KIND_LIST(X, O)
#undef X
#undef O
        P2P_KIND_COUNT
} p2p_kind;

/* Positions in p2p_op.t[]: P2P_AT_conv_fwd_y and so on; P2P_AT_conv_fwd_count is the number of operands. */
#define O(kind, name, use) P2P_AT_##kind##_##name,
#define X(kind, operands)  enum { operands P2P_AT_##kind##_count };
P2P_KIND_LIST(X, O)
#undef X
#undef O

/* The operands with which norm_bwd_stats and norm_bwd_apply both begin. */
enum {
    P2P_NORM_BWD_X = P2P_AT_norm_bwd_stats_x,
    P2P_NORM_BWD_STATS = P2P_AT_norm_bwd_stats_stats,
    P2P_NORM_BWD_SCALE = P2P_AT_norm_bwd_stats_scale,
    P2P_NORM_BWD_SHIFT = P2P_AT_norm_bwd_stats_shift,
    P2P_NORM_BWD_DY = P2P_AT_norm_bwd_stats_dy,
    P2P_NORM_BWD_DY2 = P2P_AT_norm_bwd_stats_dy2,
    P2P_NORM_BWD_STEP = P2P_AT_norm_bwd_stats_step,
    P2P_NORM_BWD_SUMS = P2P_AT_norm_bwd_stats_sums
};
_Static_assert((int)P2P_NORM_BWD_DY == (int)P2P_AT_norm_bwd_apply_dy &&
                   (int)P2P_NORM_BWD_DY2 == (int)P2P_AT_norm_bwd_apply_dy2 &&
                   (int)P2P_NORM_BWD_STEP == (int)P2P_AT_norm_bwd_apply_step &&
                   (int)P2P_NORM_BWD_SUMS == (int)P2P_AT_norm_bwd_apply_sums,
               "the backward kinds share their operands");

/* X(name): activation functions. lrelu(x) is x for x > 0, else slope*x. relu(x) is 0 for x <= 0, else x. All
 * keep NaN, so that an overflow reaches the result; the slope of relu at NaN is 0. */
#define P2P_ACT_LIST(X) X(none) X(relu) X(lrelu) X(tanh)

typedef enum {
#define X(name) P2P_ACT_##name,
    P2P_ACT_LIST(X)
#undef X
        P2P_ACT_COUNT
} p2p_act;

typedef enum { P2P_REDUCE_SUM, P2P_REDUCE_MOMENTS } p2p_reduction;

/* X(name): the factors of a convolution's products. stored: the operands as stored. bf16: both factors
 * rounded to bfloat16 (to nearest, ties to even); tf32: both factors rounded to 11 significant bits, to
 * nearest or toward zero. Products are exact, sums are in the output's type or wider, and bias, activation
 * and accumulation are not affected. A fast algorithm may round the transformed factors instead. */
#define P2P_MATH_LIST(X) X(stored) X(bf16) X(tf32)

typedef enum {
#define X(name) P2P_MATH_##name,
    P2P_MATH_LIST(X)
#undef X
        P2P_MATH_COUNT
} p2p_math;

/* Numbers of a descriptor, X(name, default). Zero means the default. A field that the kind does not use must
 * be zero. Integers and enumerations: */
#define P2P_OP_INT_LIST(X)                                                                                   \
    X(stride, 1)  /* of a convolution, in both directions */                                                 \
    X(pad_top, 0) /* zero padding of the convolution's input */                                              \
    X(pad_left, 0)                                                                                           \
    X(pad_bottom, 0)                                                                                         \
    X(pad_right, 0)                                                                                          \
    X(act, 0)         /* p2p_act of the first output */                                                      \
    X(act2, 0)        /* p2p_act of norm_apply's second output */                                            \
    X(images, 0)      /* norm: images per group of statistics; convolution: see conv_fwd; 0: all images */   \
    X(merged, 0)      /* norm: statistics and application in one operation */                                \
    X(use_running, 0) /* norm_apply: evaluation with running statistics */                                   \
    X(layer, 0)       /* dropout: 32-bit hash of the layer's name */                                         \
    X(target, 0)      /* loss_bce, loss_mse: 0 or 1 */                                                       \
    X(transpose_a, 0) /* gemm */                                                                             \
    X(transpose_b, 0)                                                                                        \
    X(reduction, 0) /* all_reduce: p2p_reduction */                                                          \
    X(root, 0)      /* broadcast: the source replica */                                                      \
    X(math, 0)      /* convolutions: p2p_math */

/* Real numbers: */
#define P2P_OP_REAL_LIST(X)                                                                                  \
    X(slope, 0)    /* lrelu */                                                                               \
    X(slope2, 0)   /* lrelu of the second output */                                                          \
    X(eps, 0)      /* norm, adam */                                                                          \
    X(momentum, 0) /* norm: weight of the new value in the running statistics */                             \
    X(dropout, 0)  /* probability of dropping; 0 is off */                                                   \
    X(alpha, 0)    /* no default: prepare, axpby and gemm set it */                                          \
    X(offset, 0)   /* prepare */                                                                             \
    X(loss_scale, 0)                                                                                         \
    X(grad_scale, 0)                                                                                         \
    X(beta1, 0)                                                                                              \
    X(beta2, 0)

typedef struct {
    p2p_kind kind;
    uint32_t accumulate; /* bit i: operand i is added to instead of overwritten */
    p2p_tensor t[P2P_MAX_OPERANDS];
#define X(name, default_value) int64_t name;
    P2P_OP_INT_LIST(X)
#undef X
#define X(name, default_value) double name;
    P2P_OP_REAL_LIST(X)
#undef X
} p2p_op;

/* ---- Convolution algorithms --------------------------------------------------------------------------- */

/* How a device chooses among its algorithms for a convolution. */
typedef enum {
    P2P_TUNE_OFF,     /* heuristic: a function of the descriptor, equal in every process */
    P2P_TUNE_STORED,  /* the stored result of an earlier measurement; heuristic if there is none */
    P2P_TUNE_MEASURE, /* the stored result; if there is none, measure and store */
    P2P_TUNE_ANEW,    /* measure and store, replacing a stored result */
    P2P_TUNE_AUTO     /* for sessions only: P2P_TUNE_STORED on CPUs and where the backend leaves measuring to
                         requests (CUDA), P2P_TUNE_MEASURE on other devices */
} p2p_tune;

enum { P2P_CHOICE_NAME = 64 };

/* An algorithm, by the device's name for it: letters, digits, '_', '-', ':'. */
typedef struct {
    char name[P2P_CHOICE_NAME];      /* "": the heuristic's */
    double seconds, default_seconds; /* of a run of it and of the heuristic's algorithm; 0 if not measured */
    bool measured;                   /* by this call: neither stored nor imposed */
} p2p_choice;

/* The numbers that change from step to step. They are in a device buffer, the operand `step` (a flat u32
 * tensor of p2p_step_block_words() elements). Host and device share this layout. Floats and doubles hold the
 * same two values, for devices without and with double precision. */
typedef struct {
    uint32_t seed_lo, seed_hi;
    uint32_t step; /* from 0: the number of updates before this step, or an image's own key */
    uint32_t reserved;
    float lr_corrected, root_v_correction;
    double lr_corrected_f64, root_v_correction_f64;
    uint32_t sample[]; /* a key per image of the local batch */
} p2p_step_block;

int64_t p2p_step_block_words(int64_t local_batch);

int p2p_kind_operand_count(p2p_kind kind);
const char *p2p_kind_name(p2p_kind kind);
const char *p2p_kind_operand_name(p2p_kind kind, int operand);
int p2p_kind_operand_use(p2p_kind kind, int operand);
/* Whether the operand is added to instead of overwritten. */
bool p2p_op_accumulates(const p2p_op *op, int operand);
/* How this descriptor uses the operand's elements: P2P_IN, P2P_OUT or P2P_INOUT. The modes are considered
 * (norm_apply without `merged` only reads stats) and the accumulate bits; 0 if the operand is absent. */
int p2p_op_operand_use(const p2p_op *op, int operand);
/* The same without accumulation and whether or not the operand is present: an output that is added to is
 * P2P_OUT. Reads no tensor of the descriptor. */
int p2p_op_mode_use(const p2p_op *op, int operand);
const char *p2p_act_name(p2p_act act);
const char *p2p_math_name(p2p_math math);
/* The bfloat16 nearest to a value's nearest float32, ties to even both times. */
double p2p_round_bf16(double value);
/* The number of 11 significant bits nearest to a value's nearest float32, ties to even both times. */
double p2p_round_tf32(double value);
/* A factor of a convolution as `math` rounds it. */
double p2p_round_factor(p2p_math math, double value);
/* The operand that is a filter and is read; -1 if the kind has none. */
int p2p_kind_filter(p2p_kind kind);
/* Whether the operand is a factor of a convolution's products, to which `math` applies. */
bool p2p_op_is_factor(const p2p_op *op, int operand);
/* act(x), and act'(x) computed from the output y = act(x), in double precision. All backends are tested
 * against these. */
double p2p_act_value(int64_t act, double slope, double x);
double p2p_act_slope(int64_t act, double slope, double y);

/* Checks a descriptor completely: operands present, shapes consistent, fields in range and zero if unused.
 * Returns P2P_INVALID with a message that names kind, operand and rule. The core calls it before every call
 * of a backend, so a backend need not check again. */
p2p_status p2p_op_validate(const p2p_op *op);

bool p2p_op_is_convolution(const p2p_op *op);
/* Whether the kind is one of the four of normalisation. */
bool p2p_op_is_norm(const p2p_op *op);
/* The plain convolution whose algorithm `op` uses: whole tensors, no bias, no activation, no accumulation,
 * and the number of images for which the algorithm is chosen (see conv_fwd). It is the key by which choices
 * are made, stored and imposed. */
p2p_op p2p_op_plain_convolution(const p2p_op *op);
/* A descriptor for the work of peak_create of p2p_backend.h: its one operand, P2P_AT_broadcast_y, has the
 * counts of `items` work-items. The kind is a placeholder. */
p2p_op p2p_op_peak(int64_t items);

/* Floating point operations (a multiply-add counts 2; a convolution counts as the direct algorithm, taps
 * outside the image included), and bytes if each operand moves once per direction of its use. */
double p2p_op_flops(const p2p_op *op);
double p2p_op_bytes(const p2p_op *op);

/* A descriptor as one line of text: `conv_fwd x=f32:plain:1x3x8x8 w=f32:plain:4x3x4x4 y+=f32:plain:1x4x4x4
 * stride=2 pad_top=1 ...`.
 * `+=` marks accumulate. Present operands and fields that differ from their default are printed; act, act2,
 * reduction and math by name. Reals are printed as the shortest text that parses to an equal value.
 * parse(print(op)) is p2p_op_equal to op: zero and the default that it means are equal. print returns the
 * length of the whole text, as snprintf does. parse checks spelling and each tensor, not the operation: see
 * p2p_op_validate. */
enum { P2P_OP_TEXT = 2048 };
int p2p_op_print(const p2p_op *op, char *text, size_t size);
p2p_status p2p_op_parse(const char *text, p2p_op *op);
bool p2p_op_equal(const p2p_op *a, const p2p_op *b);

#endif
