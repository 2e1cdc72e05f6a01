/* Element-wise kernels on CPUs: each work-item reads its vectors once and writes each result once.
 * common.clh describes the traversal; p2p_op.h defines the formulas. */

/* y (+)= alpha x. A copy has alpha 1. */
KERNEL void axpby(VIEW, VIEWED(const STORED, x), VIEWED(STORED, y), const int accumulate, const float alpha) {
    __global const STORED *from = PLANE(x);
    __global STORED *to = PLANE(y);
    for (long p = FIRST; p < END; p++) {
        const int lanes = LANES(p);
        put_viewed(alpha * load_viewed(from + 16 * p, lanes), to + 16 * p, lanes, flat, accumulate);
    }
}

/* y (+)= alpha x with one element of x per channel. */
KERNEL void axpby_vector(VIEW, MEMORY(const float, x), VIEWED(STORED, y), const int accumulate,
                         const float alpha) {
    const int lanes = LANES(0);
    const float16 v = alpha * load_lanes(x + x_start + BLOCK * 16, lanes);
    __global STORED *to = PLANE(y);
    for (long p = FIRST; p < END; p++) put_viewed(v, to + 16 * p, lanes, flat, accumulate);
}

KERNEL void act_fwd(VIEW, VIEWED(const STORED, x), VIEWED(STORED, y), const int accumulate, const int act,
                    const float slope) {
    __global const STORED *from = PLANE(x);
    __global STORED *to = PLANE(y);
    for (long p = FIRST; p < END; p++) {
        const int lanes = LANES(p);
        put_viewed(act_value(act, slope, load_viewed(from + 16 * p, lanes)), to + 16 * p, lanes, flat,
                   accumulate);
    }
}

KERNEL void act_bwd(VIEW, VIEWED(const STORED, y), VIEWED(const STORED, dy), VIEWED(STORED, dx),
                    const int accumulate, const int act, const float slope) {
    __global const STORED *value = PLANE(y);
    __global const STORED *from = PLANE(dy);
    __global STORED *to = PLANE(dx);
    for (long p = FIRST; p < END; p++) {
        const int lanes = LANES(p);
        const float16 s = act_slope(act, slope, load_viewed(value + 16 * p, lanes));
        put_viewed(s * load_viewed(from + 16 * p, lanes), to + 16 * p, lanes, flat, accumulate);
    }
}

KERNEL void dropout(VIEW, VIEWED(const STORED, x), MEMORY(const uint, step), VIEWED(STORED, y),
                    const int accumulate, DROPOUT) {
    __global const STORED *from = PLANE(x);
    __global STORED *to = PLANE(y);
    for (long p = FIRST; p < END; p++) {
        const int lanes = LANES(p);
        const float16 mask = dropout_mask(step + step_start, IMAGE, BLOCK, p, layer, threshold, kept, width);
        put_viewed(mask * load_viewed(from + 16 * p, lanes), to + 16 * p, lanes, flat, accumulate);
    }
}

/* y (+)= x * alpha + offset from interleaved samples; x stores x_channels samples per position. */
#define PREPARE(name, sample)                                                                                \
    KERNEL void name(VIEW, VIEWED(const sample, x), const int x_channels, VIEWED(STORED, y),                 \
                     const int accumulate, const float alpha, const float offset) {                          \
        __global const sample *from = x + x_start + x_at + IMAGE * x_image + BLOCK * 16;                     \
        __global STORED *to = PLANE(y);                                                                      \
        const int lanes = LANES(0);                                                                          \
        for (long p = FIRST; p < END; p++) {                                                                 \
            float16 v = 0.0f;                                                                                \
            for (int l = 0; l < lanes; l++) ((float *)&v)[l] = from[p * x_channels + l];                     \
            put_viewed(v * alpha + offset, to + 16 * p, lanes, flat, accumulate);                            \
        }                                                                                                    \
    }

PREPARE(prepare, uchar)
PREPARE(prepare_16, ushort)

/* Bound by memory: four streams are read, three written. */
KERNEL void adam(VIEW, MEMORY(float, p), MEMORY(const float, g), MEMORY(float, m), MEMORY(float, v),
                 MEMORY(const uint, step), const float beta1, const float rest1, const float beta2,
                 const float rest2, const float eps) {
    const float lr = as_float(step[step_start + STEP_LR]);
    const float root = as_float(step[step_start + STEP_ROOT_V]);
    __global float *to_p = p + p_start, *to_m = m + m_start, *to_v = v + v_start;
    __global const float *from = g + g_start;
    for (long i = FIRST; i < END; i++) {
        const int lanes = LANES(i);
        float16 p1 = load_lanes(to_p + 16 * i, lanes), m1 = load_lanes(to_m + 16 * i, lanes);
        float16 v1 = load_lanes(to_v + 16 * i, lanes);
        ADAM(float16, p1, load_lanes(from + 16 * i, lanes), m1, v1);
        store_lanes(m1, to_m + 16 * i, lanes);
        store_lanes(v1, to_v + 16 * i, lanes);
        store_lanes(p1, to_p + 16 * i, lanes);
    }
}
