/* Tensors and operation descriptors: the language that the planner and every backend speak.
 *
 * An operation is data: a kind, a description of each operand's shape and physical layout, and plain
 * numbers. The same descriptor is what a backend is asked about, the key of its caches, what fusion
 * rewrites, a line of the plan dump, and the argument that reproduces a failed test, so it prints and parses
 * as one line. Memory is not here: operands are bound to buffers when an operation is created.
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

/* Physical arrangement of a tensor's elements, outermost first. B is the tensor's `block`; a channel count
 * that B does not divide is rounded up, and the extra lanes are padding.
 *
 *   plain      n c h w            activations (NCHW), filters (k c r s: n = k, h = r, w = s), flat arrays
 *   nchwc      n c/B h w B        activations: one block of channels is the innermost axis
 *   nhwc       n h w c            activations and interleaved images; B rounds the channel count up
 *   ckrs       k/B c/B r s cB kB  filters for convolutions that produce k: lanes run along k
 *   kcrs_t     c/B k/B r s kB cB  filters for data gradients, which produce c: lanes run along c
 *
 * Padding lanes of activations hold anything, NaN included: no operation lets them reach a real element.
 * Padding lanes of filters and vectors are zero and every writer keeps them so, because an update runs over
 * a whole arena.
 */
#define P2P_LAYOUT_LIST(X) X(plain) X(nchwc) X(nhwc) X(ckrs) X(kcrs_t)

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
 * A tensor may be the channels [c0, c0 + c) of a larger one with `cp` channels: that is how concatenation is
 * written. cp = 0 means that it is whole (c0 = 0, cp = c). A binding's byte offset points at the first
 * element of the whole tensor, never of the range. n = 0 means that the operand is absent. */
typedef struct {
    p2p_type type;
    p2p_layout layout;
    int block; /* channels per block; 0 and 1 both mean unblocked */
    int64_t n, c, h, w;
    int64_t c0, cp;
} p2p_tensor;

/* Shorthands that build a whole, plain tensor. */
p2p_tensor p2p_tensor_activation(p2p_type type, int64_t n, int64_t c, int64_t h, int64_t w);
p2p_tensor p2p_tensor_filter(p2p_type type, int64_t k, int64_t c, int64_t r, int64_t s);
p2p_tensor p2p_tensor_vector(p2p_type type, int64_t c);
p2p_tensor p2p_tensor_matrix(p2p_type type, int64_t rows, int64_t columns);
p2p_tensor p2p_tensor_flat(p2p_type type, int64_t count);
p2p_tensor p2p_tensor_stats(p2p_type type, int64_t groups, int64_t rows, int64_t c);

size_t p2p_type_bytes(p2p_type type);
const char *p2p_type_name(p2p_type type);
const char *p2p_layout_name(p2p_layout layout);

/* Logical elements, n*c*h*w. */
int64_t p2p_tensor_elements(const p2p_tensor *tensor);
/* Elements stored for the whole tensor (all cp channels, padding lanes included), and their bytes. */
int64_t p2p_tensor_stored(const p2p_tensor *tensor);
size_t p2p_tensor_bytes(const p2p_tensor *tensor);
/* Position, in elements from the start of the whole tensor, of logical element (n, c, h, w) of the range. */
int64_t p2p_tensor_index(const p2p_tensor *tensor, int64_t n, int64_t c, int64_t h, int64_t w);
/* The tensor without its range: c = cp, c0 = 0. */
p2p_tensor p2p_tensor_whole(const p2p_tensor *tensor);
bool p2p_tensor_present(const p2p_tensor *tensor);
bool p2p_tensor_same_shape(const p2p_tensor *a, const p2p_tensor *b);
bool p2p_tensor_equal(const p2p_tensor *a, const p2p_tensor *b);
/* Extents positive and small enough that bytes fit in int64_t, range inside, block and type valid. */
p2p_status p2p_tensor_validate(const p2p_tensor *tensor);

/* Host conversion between `host` (plain n c h w of `host_type` f32 or f64, logical elements only) and `raw`
 * (the tensor as stored). pack leaves padding lanes of `raw` and channels outside the range untouched. */
void p2p_tensor_pack(const p2p_tensor *tensor, const void *host, p2p_type host_type, void *raw);
void p2p_tensor_unpack(const p2p_tensor *tensor, const void *raw, void *host, p2p_type host_type);

/* Text such as `f32:nchwc16:4x64@64/128x32x32`: type, layout with block, n x c[@c0/cp] x h x w. */
enum { P2P_TENSOR_TEXT = 128 };
int p2p_tensor_print(const p2p_tensor *tensor, char *text, size_t size);
p2p_status p2p_tensor_parse(const char *text, p2p_tensor *tensor);

/* ---- Operations --------------------------------------------------------------------------------------- */

enum { P2P_MAX_OPERANDS = 12 };

/* Operand directions. An IN operand is only read; an OUT operand is overwritten, or, when its accumulate bit
 * is set, added to; an INOUT operand is updated in place. OPT may be absent. */
typedef enum { P2P_IN = 1, P2P_OUT = 2, P2P_INOUT = 3, P2P_OPT = 4 } p2p_operand_use;

/* The closed set of kinds: X(kind, operands) with operands as O(kind, name, use), in the order of p2p_op.t[].
 * Formulas follow the list. */
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
      O(adam, step, P2P_IN))                                                                                 \
    X(all_reduce,                                                                                            \
      O(all_reduce, y, P2P_INOUT))                                                                           \
    X(broadcast,                                                                                             \
      O(broadcast, y, P2P_INOUT))
/* clang-format on */

/* clang-format off */
/* What each kind computes. N, C, H, W are x's extents; (+)= adds where the operand's accumulate bit is set.
 *
 * copy             y (+)= x, converting layout, type and channel range. x and y have equal logical shapes. If
 *                  y is a filter or vector, its padding lanes become zero.
 * prepare          x: u8 or u16 nhwc images (n, c, h, w logical); y (+)= x * alpha + offset, an activation.
 * conv_fwd         y[n,k,i,j] (+)= act(bias[k] + sum_{c,r,s} w[k,c,r,s] x[n,c, i*stride-pad_top+r,
 *                  j*stride-pad_left+s]), outside x is 0. y's extents are explicit and agree with the pads:
 *                  h_y = floor((h_x + pad_top + pad_bottom - r) / stride) + 1, and likewise for w. Ways of
 *                  computing it may round differently: the way is chosen as for a batch of `images`, so that
 *                  with images = 1 an image gets the same bits in every batch.
 * conv_bwd_data    dx[n,c,h,w] (+)= act(bias[c] + sum over the (k,i,j,r,s) with h = i*stride-pad_top+r and
 *                  w = j*stride-pad_left+s of w[k,c,r,s] dy[n,k,i,j]): the transposed convolution. `bias` and
 *                  `act` serve its use as a forward layer, `images` likewise. Filter extents are those of the
 *                  conv_fwd that it transposes: k = channels of dy, c = channels of dx.
 * conv_bwd_filter  dw[k,c,r,s] (+)= sum_{n,i,j} dy[n,k,i,j] x[n,c, i*stride-pad_top+r, j*stride-pad_left+s].
 * gemm             y (+)= alpha op(a) op(b), op transposes when transpose_a, transpose_b. Row-major matrices.
 * norm_stats       per group g of `images` consecutive images and per channel: stats[g,0..2,c] = count, mean,
 *                  M2 (sum of squared deviations).
 * norm_apply       per group and channel: mean, variance = M2/count, xhat = (x-mean)/sqrt(variance+eps),
 *                  z = scale*xhat + shift, then z = dropout(z) when dropout > 0 (see below), y (+)= act(z),
 *                  y2 (+)= act2(z). scale and shift are present or absent together; absent they are 1 and 0,
 *                  and dscale and dshift are absent too.
 *                  merged = 0: stats is read. merged = 1: stats is computed here and written (for the
 *                  backward pass). running[0,0,c], running[0,1,c] (mean, variance) move by
 *                  running += momentum * (new - running), new variance = M2/max(count-1, 1), in group order;
 *                  absent in evaluation.
 *                  use_running = 1: mean and variance are read from running, which does not move, and stats
 *                  is absent.
 * norm_bwd_stats   g = mask * (act'(y) dy + act2'(y2) dy2) with everything recomputed from x; mask is the
 *                  dropout factor. sums[g,0,c] = sum g, sums[g,1,c] = sum g*xhat over the group.
 *                  dshift[c] (+)= sum over groups of sums[.,0,c], dscale[c] likewise with sums[.,1,c].
 * norm_bwd_apply   dx (+)= scale/sqrt(variance+eps) * (g - sums0/count - xhat*sums1/count).
 *                  merged = 0: sums is read, and dscale, dshift must be absent (norm_bwd_stats wrote them).
 *                  merged = 1: sums is computed here (its old content is not read), dscale and dshift are
 *                  written where present. count is that of stats. Where count = 1, the gradient is exactly 0.
 * act_fwd          y (+)= act(x).
 * act_bwd          dx (+)= act'(x) dy, from the activation's *output* y.
 * dropout          y (+)= x * mask: forward and backward alike.
 * axpby            y (+)= alpha*x. x may be a vector (n = h = w = 1), broadcast over images and positions:
 *                  that is a separate bias.
 * bias_grad        db[c] (+)= sum_{n,h,w} dy.
 * loss_bce         x are logits, target in {0, 1} as a field:
 *                  loss (+)= loss_scale * sum(max(x,0) - x*target + log(1+exp(-|x|)));
 *                  dx (+)= grad_scale * (sigmoid(x) - target).
 * loss_l1          loss (+)= loss_scale * sum |x - target|; dx (+)= grad_scale * sign(x - target), with
 *                  sign(0) = 0.
 * loss_mse         target in {0, 1} as a field: loss (+)= loss_scale * sum (x - target)^2;
 *                  dx (+)= grad_scale * 2 (x - target).
 * adam             flat arrays of one length: m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g*g;
 *                  p -= step.lr_corrected * m / (sqrt(v)*step.root_v_correction + eps): PyTorch's form,
 *                  lr_corrected = lr/(1-beta1^t), root_v_correction = 1/sqrt(1-beta2^t).
 * all_reduce       every replica's y becomes the reduction over replicas: `reduction` sum or moments (a stats
 *                  tensor of count, mean, M2 combined by Chan's formula in replica order). Carried out by the
 *                  communicator, never by a device: op_query refuses it.
 * broadcast        every replica's y becomes replica `root`'s.
 *
 * Dropout mask: an element is kept, and multiplied by 1/(1-p), when u >= p*2^32 (computed in double,
 * truncated), where u is word (c mod 4) of Philox-4x32-10 with counter (c/4, h*65536 + w, sample, step) and
 * key (seed_lo ^ layer, seed_hi); c is the logical channel of the dropout's own tensor (0 at its range's
 * first), `sample` is step_block.sample[n], `step` is step_block.step. See p2p_philox.h.
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

/* X(name): activation functions. lrelu is x for x > 0, else slope*x. */
#define P2P_ACT_LIST(X) X(none) X(relu) X(lrelu) X(tanh)

typedef enum {
#define X(name) P2P_ACT_##name,
    P2P_ACT_LIST(X)
#undef X
        P2P_ACT_COUNT
} p2p_act;

typedef enum { P2P_REDUCE_SUM, P2P_REDUCE_MOMENTS } p2p_reduction;

/* X(name): what a convolution multiplies. stored: its operands as they are. bf16: the two factors, each
 * rounded to bfloat16 (to the nearest, ties to even); products are exact and sums are in the output's type or
 * wider; bias, activation and what is accumulated are as ever. A fast algorithm may round what it transforms
 * the factors to instead. */
#define P2P_MATH_LIST(X) X(stored) X(bf16)

typedef enum {
#define X(name) P2P_MATH_##name,
    P2P_MATH_LIST(X)
#undef X
        P2P_MATH_COUNT
} p2p_math;

/* Plain numbers of a descriptor, X(name, default). Zero means the default; a field that its kind does not use
 * must be zero. Integers and enumerations: */
#define P2P_OP_INT_LIST(X)                                                                                   \
    X(stride, 1)  /* convolution step, both directions */                                                    \
    X(pad_top, 0) /* zero padding of the convolution's input */                                              \
    X(pad_left, 0)                                                                                           \
    X(pad_bottom, 0)                                                                                         \
    X(pad_right, 0)                                                                                          \
    X(act, 0)         /* p2p_act of the first output */                                                      \
    X(act2, 0)        /* p2p_act of norm_apply's second output */                                            \
    X(images, 0)      /* norm: images per group of statistics; convolution: see conv_fwd; 0: all of them */  \
    X(merged, 0)      /* norm: statistics and application in one operation */                                \
    X(use_running, 0) /* norm_apply: evaluation with running statistics */                                   \
    X(layer, 0)       /* dropout: 32-bit hash of the layer's name */                                         \
    X(target, 0)      /* loss_bce, loss_mse: 0 or 1 */                                                       \
    X(transpose_a, 0) /* gemm */                                                                             \
    X(transpose_b, 0)                                                                                        \
    X(reduction, 0) /* all_reduce: p2p_reduction */                                                          \
    X(root, 0)      /* broadcast: the replica that gives */                                                  \
    X(math, 0)      /* convolutions: p2p_math */

/* Real numbers: */
#define P2P_OP_REAL_LIST(X)                                                                                  \
    X(slope, 0)    /* lrelu */                                                                               \
    X(slope2, 0)   /* lrelu of the second output */                                                          \
    X(eps, 0)      /* norm, adam */                                                                          \
    X(momentum, 0) /* norm: share of the new value in the running statistics */                              \
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

/* ---- Ways of computing a convolution ------------------------------------------------------------------ */

/* Where the choice between the ways that a device has may come from; each includes those before it. */
typedef enum {
    P2P_TUNE_OFF,     /* arithmetic on the descriptor: the same on every start */
    P2P_TUNE_STORED,  /* what an earlier start has measured and kept; where nothing is kept, arithmetic */
    P2P_TUNE_MEASURE, /* where nothing is kept, measured now and kept */
    P2P_TUNE_ANEW,    /* measured now and kept, whatever was kept before */
    P2P_TUNE_AUTO     /* for sessions only: P2P_TUNE_STORED on CPUs, P2P_TUNE_MEASURE on other devices */
} p2p_tune;

enum { P2P_CHOICE_NAME = 64 };

/* A way, by the device's name for it: letters, digits, '_', '-', ':'. */
typedef struct {
    char name[P2P_CHOICE_NAME];      /* "": what arithmetic says */
    double seconds, default_seconds; /* one run of it, and of arithmetic's way; 0 where not measured */
    bool measured;                   /* just now: neither kept nor imposed */
} p2p_choice;

/* The numbers that change from step to step, in a device buffer that `step` operands (flat u32 tensors of
 * p2p_step_block_words() elements) point at. Host and device share this layout; floats and doubles hold the
 * same two values, for devices with and without double precision. */
typedef struct {
    uint32_t seed_lo, seed_hi;
    uint32_t step; /* counts from 0: the number of updates made before this step, or an image's own key */
    uint32_t reserved;
    float lr_corrected, root_v_correction;
    double lr_corrected_f64, root_v_correction_f64;
    uint32_t sample[]; /* one key per image of the local batch */
} p2p_step_block;

int64_t p2p_step_block_words(int64_t local_batch);

int p2p_kind_operand_count(p2p_kind kind);
const char *p2p_kind_name(p2p_kind kind);
const char *p2p_kind_operand_name(p2p_kind kind, int operand);
int p2p_kind_operand_use(p2p_kind kind, int operand);
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
/* Whether the operand is a factor of a convolution's products: what `math` is about. */
bool p2p_op_is_factor(const p2p_op *op, int operand);
/* act(x), and act'(x) from the output y = act(x); double precision, the reference for everyone. */
double p2p_act_value(int64_t act, double slope, double x);
double p2p_act_slope(int64_t act, double slope, double y);

/* Check a descriptor completely: operands present, shapes consistent, fields in range and zero where unused.
 * P2P_INVALID with a message that names the kind, the operand and the rule. Every backend may rely on it:
 * the core calls it before it asks the table. */
p2p_status p2p_op_validate(const p2p_op *op);

bool p2p_op_is_convolution(const p2p_op *op);
/* The plain convolution whose way of being computed `op` takes: whole tensors, no bias, no activation,
 * nothing accumulated, and as many images as the way is chosen for (see conv_fwd). Choices are made, kept and
 * imposed by this. */
p2p_op p2p_op_plain_convolution(const p2p_op *op);

/* Floating point operations (a multiply-add is 2; the direct convolution's count, taps outside the image
 * included, whatever the algorithm) and the bytes that must move at least once. */
double p2p_op_flops(const p2p_op *op);
double p2p_op_bytes(const p2p_op *op);

/* One line: `conv_fwd x=f32:plain:1x3x8x8 w=f32:plain:4x3x4x4 y+=f32:plain:1x4x4x4 stride=2 pad_top=1 ...`.
 * `+=` marks accumulate. Only present operands and fields that differ from their default are printed; act,
 * act2, reduction and math by name. Reals print as the shortest text that reads back equal. parse(print(op))
 * is p2p_op_equal to op: a zero and the default that it stands for are the same. print returns the length of
 * the whole text, as snprintf does. */
enum { P2P_OP_TEXT = 2048 };
int p2p_op_print(const p2p_op *op, char *text, size_t size);
p2p_status p2p_op_parse(const char *text, p2p_op *op);
bool p2p_op_equal(const p2p_op *a, const p2p_op *b);

#endif
