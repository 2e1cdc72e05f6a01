/* Sums over positions, by slabs: up to 32 consecutive channels, a power of two of packs of N.
 *
 * The positions of a group of images are cut into parts, and the grid is [group][part][slab]. In a block,
 * consecutive threads have the packs of a slab, then the next position: thread = row << shift | pack. Each
 * thread sums its positions in registers, then the block sums its rows as a tree in shared memory. What is
 * added to what depends on the shape alone, so equal data has equal bits.
 *
 * Partial results are stored [group][part][slab][row of numbers][channel of the slab]. The block that
 * finishes last among those of a group and slab merges them, in the order of the parts, whichever block it
 * is.
 */
#ifndef CUDA_REDUCE_CUH
#define CUDA_REDUCE_CUH

#include "common.cuh"

enum { WIDEST_SLAB = 32 }; /* channels */

/* span: positions of a group; a part has `part` of them, the last fewer. */
#define SLABS                                                                                                \
    const int span, const int channels, const int shift, const int slabs, const int part, const int parts
#define SLABBED span, channels, shift, slabs, part, parts
/* Memory of partial results, and counters of blocks: [group][slab], then [slab] for all groups. They are 0
 * between launches, and nothing else uses them. */
#define MERGE  float *partial, unsigned *counters
#define MERGED partial, counters

/* A thread's place. Positions `first` to `end`, `rows` apart, are counted in the group. */
struct place {
    int group, index, slab; /* of the block; index: of the part */
    int row, rows;
    int channel, count; /* the first channel, and how many lanes of the pack are channels; may be below 1 */
    unsigned first, end;
};

template <int N> INLINE place block_place(SLABS) {
    place at;
    const int outer = (int)(blockIdx.x / (unsigned)slabs);
    at.slab = (int)(blockIdx.x % (unsigned)slabs);
    at.group = outer / parts;
    at.index = outer - at.group * parts;
    at.row = (int)(threadIdx.x >> shift);
    at.rows = BLOCK_THREADS >> shift;
    at.channel = ((at.slab << shift) + (int)(threadIdx.x & ((1u << shift) - 1u))) * N;
    at.count = channels - at.channel;
    at.first = (unsigned)at.index * (unsigned)part;
    at.end = min(at.first + (unsigned)part, (unsigned)span);
    if (at.channel >= (channels + 7) / 8 * 8) at.end = at.first; /* the last slab may end after the tensor */
    return at;
}

/* The partial result `index` of a group, at this thread's pack; row r of numbers is r * (N << shift) further.
 */
template <int N>
INLINE float *partial_at(float *partial, int rows, int index, int parts, int slabs, int shift,
                         const place &at) {
    const size_t number =
        ((size_t)at.group * (size_t)parts + (size_t)index) * (size_t)slabs + (size_t)at.slab;
    return partial + number * (size_t)(rows * (N << shift)) + (threadIdx.x & ((1u << shift) - 1u)) * N;
}

template <int N> INLINE void store_floats(float *to, const pack<N> &p) {
    EACH(i, N / 4)
    *(float4 *)(to + 4 * i) = make_float4(p.v[4 * i], p.v[4 * i + 1], p.v[4 * i + 2], p.v[4 * i + 3]);
}

/* ---- The last block -------------------------------------------------------------------------------- */

/* Whether this block is the last of `blocks` that call this with a counter. Then load_stored and
 * load_stored_vector load what all of them stored before. All threads of the block call it, and are at a
 * barrier before and after.
 *
 * The fences of one thread order what all threads of its block have stored before the barrier. The counter
 * wraps around to 0. */
INLINE bool is_last(unsigned *counter, int blocks) {
    __shared__ unsigned last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicInc(counter, (unsigned)blocks - 1u) == (unsigned)blocks - 1u;
        __threadfence();
    }
    __syncthreads();
    return last;
}

/* From the second level cache, because the first may have what was there before. */
INLINE pack<4> load_stored(const float *from, pack<4>) {
    const float4 a = __ldcg((const float4 *)from);
    return {{a.x, a.y, a.z, a.w}};
}

INLINE pack<8> load_stored(const float *from, pack<8>) {
    const float4 a = __ldcg((const float4 *)from), b = __ldcg((const float4 *)(from + 4));
    return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

/* Elements of a plain vector. */
template <int N> INLINE pack<N> load_stored_vector(const float *from, int count) {
    pack<N> p;
    EACH(i, N) p.v[i] = i < count ? __ldcg(from + i) : 0.0f;
    return p;
}

/* ---- Trees ----------------------------------------------------------------------------------------- */

/* Shared memory of a tree of packs: element i of thread t is at [i][t]. */
#define TREE_MEMORY(packs, N) __shared__ float tree[(packs) * (N)][BLOCK_THREADS];

template <int N> INLINE void leave(float (*to)[BLOCK_THREADS], const pack<N> &p) {
    EACH(i, N) to[i][threadIdx.x] = p.v[i];
}

template <int N> INLINE pack<N> fetch(float (*from)[BLOCK_THREADS], unsigned thread) {
    pack<N> p;
    EACH(i, N) p.v[i] = from[i][thread];
    return p;
}

template <int N> INLINE void add_pack(pack<N> &a, const pack<N> &b) {
    EACH(i, N) a.v[i] += b.v[i];
}

/* The number of rows, a power of two, that get a term if `terms` are dealt out in turn. */
INLINE int rows_with(int rows, int terms) {
    while (rows / 2 >= terms) rows /= 2;
    return rows;
}

/* Sums over the first `rows` rows, a power of two; the others have zeros: on return every thread has the sums
 * of its pack. All threads of the block call it, after a barrier since the last use of the memory. */
template <int N>
INLINE void sum_rows(float (*tree)[BLOCK_THREADS], pack<N> &a, pack<N> &b, int row, int rows, int shift) {
    if (row < rows) {
        leave(tree, a);
        leave(tree + N, b);
    }
    for (int behind = rows >> 1; behind > 0; behind >>= 1) {
        __syncthreads();
        if (row >= behind) continue;
        add_pack(a, fetch<N>(tree, threadIdx.x + (unsigned)(behind << shift)));
        add_pack(b, fetch<N>(tree + N, threadIdx.x + (unsigned)(behind << shift)));
        leave(tree, a);
        leave(tree + N, b);
    }
    __syncthreads();
    const unsigned lane = threadIdx.x & ((1u << shift) - 1u);
    a = fetch<N>(tree, lane);
    b = fetch<N>(tree + N, lane);
}

template <int N>
INLINE void sum_rows(float (*tree)[BLOCK_THREADS], pack<N> &a, int row, int rows, int shift) {
    if (row < rows) leave(tree, a);
    for (int behind = rows >> 1; behind > 0; behind >>= 1) {
        __syncthreads();
        if (row >= behind) continue;
        add_pack(a, fetch<N>(tree, threadIdx.x + (unsigned)(behind << shift)));
        leave(tree, a);
    }
    __syncthreads();
    a = fetch<N>(tree, threadIdx.x & ((1u << shift) - 1u));
}

#endif
