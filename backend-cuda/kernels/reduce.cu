/* Sums: bias gradients and losses. The last block merges the partial results of all. */
#include "reduce.cuh"

/* The sum of dy over all positions, which are one group. `partial` and `counters` are NULL with one part. */
#define BIAS_GRAD(T) SLABS, VIEW(const T, dy), MERGE, float *db, const int db_flags
template <typename T> INLINE void bias_grad_of(BIAS_GRAD(T)) {
    enum { N = lanes_of<T>::count };
    TREE_MEMORY(1, N)
    const place at = block_place<N>(SLABBED);
    pack<N> sum = filled<N>(0.0f);
    UNROLL_4
    for (unsigned p = at.first + (unsigned)at.row; p < at.end; p += (unsigned)at.rows)
        add_pack(sum, load_lanes<N>(AT(dy, p, at.channel), at.count));
    sum_rows(tree, sum, at.row, rows_with(at.rows, part), shift);
    if (parts > 1) {
        if (at.row == 0) store_floats(partial_at<N>(partial, 1, at.index, parts, slabs, shift, at), sum);
        if (!is_last(counters + at.slab, parts)) return;
        sum = filled<N>(0.0f);
        for (int i = at.row; i < parts; i += at.rows)
            add_pack(sum, load_stored(partial_at<N>(partial, 1, i, parts, slabs, shift, at), pack<N>()));
        sum_rows(tree, sum, at.row, rows_with(at.rows, parts), shift);
    }
    if (at.row == 0) EACH(i, N) if (i < at.count) add_one(db + at.channel + i, sum.v[i], db_flags);
}
ENTRIES(bias_grad, BIAS_GRAD, (SLABBED, VIEWED(dy), MERGED, db, db_flags))

/* ---- Losses ---------------------------------------------------------------------------------------- */

/* A loss: `value` and its derivative `slope` at x. For bce and mse `label` is 0 or 1 for all elements. */
enum loss_kind { BCE, MSE, L1 };

/* max(x, 0) - x label + log(1 + exp(-|x|)), and sigmoid(x) - label: sigmoid(x) - 1 = -sigmoid(-x) is accurate
 * where sigmoid(x) is near 1. */
INLINE void bce(float x, float label, float *value, float *slope) {
    const float sign = label > 0.0f ? -1.0f : 1.0f;
    *value = fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))) - (label > 0.0f ? x : 0.0f);
    *slope = sign / (1.0f + expf(-sign * x));
}

template <loss_kind kind> INLINE void loss_at(float x, float label, float *value, float *slope) {
    const float d = x - label;
    if (kind == BCE) bce(x, label, value, slope);
    if (kind == MSE) *value = d * d, *slope = 2.0f * d;
    if (kind == L1) *value = fabsf(d), *slope = d > 0.0f ? 1.0f : d < 0.0f ? -1.0f : 0.0f;
}

/* The sum of `mine` over the block, in every thread. */
INLINE float sum_block(float *tree, float mine) {
    tree[threadIdx.x] = mine;
    for (unsigned behind = BLOCK_THREADS / 2; behind > 0; behind >>= 1) {
        __syncthreads();
        if (threadIdx.x < behind) tree[threadIdx.x] += tree[threadIdx.x + behind];
    }
    __syncthreads();
    return tree[0];
}

/* A block sums `chunk` packs. `partial` and `counters` are NULL with one block. dx_flags 0: no gradient. l1
 * has the labels in `target`. */
#define LOSS(T)                                                                                              \
    WALK, const int chunk, VIEW(const T, x), VIEW(const T, target), const float label, MERGE, float *loss,   \
        const int loss_flags, const float loss_scale, VIEW(T, dx), const int dx_flags,                       \
        const float grad_scale
template <loss_kind kind, typename T> INLINE void loss_of(LOSS(T)) {
    enum { N = lanes_of<T>::count };
    __shared__ float tree[BLOCK_THREADS];
    const unsigned first = blockIdx.x * (unsigned)chunk, end = min(first + (unsigned)chunk, (unsigned)items);
    float sum = 0.0f;
    for (unsigned item = first + threadIdx.x; item < end; item += BLOCK_THREADS) {
        const unsigned position = item / (unsigned)packs;
        const int channel = (int)(item - position * (unsigned)packs) * N, count = channels - channel;
        const pack<N> v = load_lanes<N>(AT(x, position, channel), count);
        pack<N> labels = filled<N>(label), slopes = filled<N>(0.0f);
        if (kind == L1) labels = load_lanes<N>(AT(target, position, channel), count);
        EACH(i, N) {
            float value, slope;
            if (i >= count) continue;
            loss_at<kind>(v.v[i], labels.v[i], &value, &slope);
            sum += value;
            slopes.v[i] = grad_scale * slope;
        }
        if (dx_flags & PRESENT) put_lanes(AT(dx, position, channel), slopes, count, dx_flags);
    }
    float total = sum_block(tree, sum);
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) partial[blockIdx.x] = total;
        if (!is_last(counters, (int)gridDim.x)) return;
        sum = 0.0f;
        for (unsigned i = threadIdx.x; i < gridDim.x; i += BLOCK_THREADS) sum += __ldcg(partial + i);
        total = sum_block(tree, sum);
    }
    if (threadIdx.x == 0) add_one(loss, loss_scale * total, loss_flags);
}
#define LOSS_ENTRY(name, kind, type)                                                                         \
    KERNEL name(LOSS(type)) {                                                                                \
        loss_of<kind, type>(WALKED, chunk, VIEWED(x), VIEWED(target), label, MERGED, loss, loss_flags,       \
                            loss_scale, VIEWED(dx), dx_flags, grad_scale);                                   \
    }
LOSS_ENTRY(loss_bce_f32, BCE, float)
LOSS_ENTRY(loss_bce_bf16, BCE, bf16)
LOSS_ENTRY(loss_mse_f32, MSE, float)
LOSS_ENTRY(loss_mse_bf16, MSE, bf16)
LOSS_ENTRY(loss_l1_f32, L1, float)
LOSS_ENTRY(loss_l1_bf16, L1, bf16)
