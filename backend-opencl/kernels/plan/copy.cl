/* Copies between layouts. In every layout the positions of one (n, c) plane have a constant distance, and n
 * and c are each split into blocks at most once, so two block sizes and five distances describe a layout
 * (ocl_copy.c). Devices other than CPUs have kernels of the same names, split into many short work-items. */

#define PLANES(name)                                                                                         \
    const ulong name##_n_block, const ulong name##_c_block, const ulong name##_n_outer,                      \
        const ulong name##_n_inner, const ulong name##_c_outer, const ulong name##_c_inner,                  \
        const ulong name##_step, const ulong name##_c0

/* Element indices fit into 32 bits, the widest integers that GPUs divide in hardware. */
#ifdef CPU
#define INDEX ulong
#else
#define INDEX uint
#endif
#define PLANE_START(name, n, c)                                                                              \
    (name##_start + (INDEX)(n) / (INDEX)name##_n_block * name##_n_outer +                                    \
     (INDEX)(n) % (INDEX)name##_n_block * name##_n_inner +                                                   \
     (INDEX)((c) + name##_c0) / (INDEX)name##_c_block * name##_c_outer +                                     \
     (INDEX)((c) + name##_c0) % (INDEX)name##_c_block * name##_c_inner)

/* Each side has a type of its own: X_BF16, Y_BF16. */
#ifdef X_BF16
#define X_TYPE    ushort
#define FROM_X(v) widen_bf16(v)
#else
#define X_TYPE    float
#define FROM_X(v) (v)
#endif
#ifdef Y_BF16
#define Y_TYPE    ushort
#define FROM_Y(v) widen_bf16(v)
#define TO_Y(v)   (ushort)bf16_bits(v)
#else
#define Y_TYPE    float
#define FROM_Y(v) (v)
#define TO_Y(v)   (v)
#endif

#ifdef CPU

/* y (+)= x. Work-item (i, b, n) handles `chunk` positions of the 16 channels from 16 b on. The grid covers
 * the stored extents of y: elements beyond n_real and c_real are padding and become zero. */
KERNEL void copy_planes(MEMORY(const X_TYPE, x), PLANES(x), MEMORY(Y_TYPE, y), PLANES(y), const int positions,
                        const int chunk, const ulong n_real, const ulong c_real, const ulong c_stored,
                        const int accumulate) {
    const ulong n = IMAGE, c_first = BLOCK * 16;
    const int lanes = (int)min(c_stored - c_first, (ulong)16);
    ulong from[16], to[16];
    for (int l = 0; l < lanes; l++) {
        from[l] = PLANE_START(x, n, c_first + l);
        to[l] = PLANE_START(y, n, c_first + l);
    }
    const int real = n >= n_real || c_first >= c_real ? 0 : (int)min(c_real - c_first, (ulong)16);
    for (long p = FIRST; p < END; p++) {
        for (int l = 0; l < real; l++) {
            const float v = FROM_X(x[from[l] + p * x_step]);
            __global Y_TYPE *target = y + to[l] + p * y_step;
            *target = TO_Y(accumulate ? FROM_Y(*target) + v : v);
        }
        for (int l = real; l < lanes; l++) y[to[l] + p * y_step] = TO_Y(0.0f);
    }
}

static inline void interleave(float16 a, float16 b, float16 *low, float16 *high) {
    *low = (float16)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7,
                     b.s7);
    *high = (float16)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se, b.se,
                      a.sf, b.sf);
}

/* One round of four that transpose 16 rows: rows i and i + 8 become rows 2i and 2i + 1. */
static inline void interleave_rows(const float16 *from, float16 *to) {
    for (int i = 0; i < 8; i++) interleave(from[i], from[i + 8], &to[2 * i], &to[2 * i + 1]);
}

/* Filters from [outer][inner][tap][a][b] to [inner][outer][tap][b][a], blocks of 16 x 16: ckrs to kcrs_t with
 * outer = blocks of k, inner = blocks of c, and back with the roles exchanged. A work-item transposes
 * `chunk` taps of one pair of blocks. Padding lanes are zero in x and so in y. */
KERNEL void filter_transpose(MEMORY(const float, x), MEMORY(float, y), const int positions, const int chunk,
                             const ulong inner_count, const int accumulate) {
    const ulong outer = BLOCK, inner = IMAGE, outer_count = get_global_size(1);
    __global const float *from = x + x_start + (outer * inner_count + inner) * positions * 256;
    __global float *to = y + y_start + (inner * outer_count + outer) * positions * 256;
    for (long p = FIRST; p < END; p++) {
        float16 a[16], b[16];
        for (int i = 0; i < 16; i++) a[i] = vload16(i, from + p * 256);
        interleave_rows(a, b);
        interleave_rows(b, a);
        interleave_rows(a, b);
        interleave_rows(b, a);
        for (int i = 0; i < 16; i++) add_lanes(a[i], to + p * 256 + 16 * i, 16, accumulate);
    }
}

#else

/* The same. A work-item copies one element: 1 << shift of the 16 channels from 16 b on are stored in y, and
 * consecutive work-items have consecutive channels. */
KERNEL void copy_planes(MEMORY(const X_TYPE, x), PLANES(x), MEMORY(Y_TYPE, y), PLANES(y), const int positions,
                        const int shift, const ulong n_real, const ulong c_real, const ulong c_stored,
                        const int accumulate) {
    const ulong p = get_global_id(0) >> shift, n = IMAGE;
    const ulong c = BLOCK * 16 + (get_global_id(0) & ((1u << shift) - 1u));
    if (p >= (ulong)positions || c >= c_stored) return;
    __global Y_TYPE *to = y + PLANE_START(y, n, c) + p * y_step;
    if (n >= n_real || c >= c_real) {
        *to = TO_Y(0.0f);
        return;
    }
    const float v = FROM_X(x[PLANE_START(x, n, c) + p * x_step]);
    *to = TO_Y(accumulate ? FROM_Y(*to) + v : v);
}

/* The same. A work-item transposes 4 x 4 of a tap's 16 x 16 elements. */
KERNEL void filter_transpose(MEMORY(const float, x), MEMORY(float, y), const int positions, const ulong inner_count,
                             const ulong outer_count, const int accumulate) {
    const ulong outer = BLOCK, inner = IMAGE, p = get_global_id(0) / 16;
    const uint i = get_global_id(0) / 4 % 4, j = get_global_id(0) % 4;
    if (p >= (ulong)positions) return;
    __global const float *from = x + x_start + ((outer * inner_count + inner) * positions + p) * 256 + 64 * i + 4 * j;
    __global float *to = y + y_start + ((inner * outer_count + outer) * positions + p) * 256 + 64 * j + 4 * i;
    const float4 a = vload4(0, from), b = vload4(4, from), c = vload4(8, from), d = vload4(12, from);
    const float4 rows[4] = {(float4)(a.x, b.x, c.x, d.x), (float4)(a.y, b.y, c.y, d.y), (float4)(a.z, b.z, c.z, d.z),
                            (float4)(a.w, b.w, c.w, d.w)};
    UNROLL for (int r = 0; r < 4; r++) vstore4(accumulate ? vload4(4 * r, to) + rows[r] : rows[r], 4 * r, to);
}

#endif
