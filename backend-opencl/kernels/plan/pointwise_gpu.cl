/* Element-wise kernels on devices other than CPUs, traversed as described in quads.clh. Names, arguments
 * after WALK, and formulas are those of pointwise.cl. */

KERNEL void axpby(WALK, VIEWED(const STORED, x), VIEWED(STORED, y), const int accumulate, const float alpha) {
    __global const STORED *from = QUADS(x);
    __global STORED *to = QUADS(y);
    EACH_POSITION(p) {
        const int numbers = NUMBERS(p);
        put_walked(alpha * load_quad(from + AT(p), numbers), to + AT(p), numbers, flat, accumulate);
    }
}

KERNEL void axpby_vector(WALK, MEMORY(const float, x), VIEWED(STORED, y), const int accumulate, const float alpha) {
    __global STORED *to = QUADS(y);
    const int numbers = BLOCK < (ulong)blocks ? NUMBERS(0) : 0;
    const float4 v = alpha * load_plain(x + x_start + CHANNEL, numbers);
    EACH_POSITION(p) put_walked(v, to + AT(p), numbers, flat, accumulate);
}

KERNEL void act_fwd(WALK, VIEWED(const STORED, x), VIEWED(STORED, y), const int accumulate, const int act,
                    const float slope) {
    __global const STORED *from = QUADS(x);
    __global STORED *to = QUADS(y);
    EACH_POSITION(p) {
        const int numbers = NUMBERS(p);
        put_walked(act_value4(act, slope, load_quad(from + AT(p), numbers)), to + AT(p), numbers, flat, accumulate);
    }
}

KERNEL void act_bwd(WALK, VIEWED(const STORED, y), VIEWED(const STORED, dy), VIEWED(STORED, dx),
                    const int accumulate, const int act, const float slope) {
    __global const STORED *value = QUADS(y);
    __global const STORED *from = QUADS(dy);
    __global STORED *to = QUADS(dx);
    EACH_POSITION(p) {
        const int numbers = NUMBERS(p);
        const float4 s = act_slope4(act, slope, load_quad(value + AT(p), numbers));
        put_walked(s * load_quad(from + AT(p), numbers), to + AT(p), numbers, flat, accumulate);
    }
}

KERNEL void dropout(WALK, VIEWED(const STORED, x), MEMORY(const uint, step), VIEWED(STORED, y),
                    const int accumulate, DROPOUT) {
    __global const STORED *from = QUADS(x);
    __global STORED *to = QUADS(y);
    EACH_POSITION(p) {
        const int numbers = NUMBERS(p);
        const float4 mask =
            dropout_quad(step + step_start, IMAGE, CHANNEL / 4, p, layer, threshold, kept, width);
        put_walked(mask * load_quad(from + AT(p), numbers), to + AT(p), numbers, flat, accumulate);
    }
}

#define PREPARE(name, sample)                                                                                \
    KERNEL void name(WALK, VIEWED(const sample, x), const int x_channels, VIEWED(STORED, y),                 \
                     const int accumulate, const float alpha, const float offset) {                          \
        __global const sample *from = x + x_start + x_at + IMAGE * x_image + CHANNEL;                        \
        __global STORED *to = QUADS(y);                                                                      \
        EACH_POSITION(p) {                                                                                   \
            const int numbers = NUMBERS(p);                                                                  \
            __global const sample *one = from + (ulong)p * x_channels;                                       \
            const float4 v = (float4)(numbers > 0 ? one[0] : 0, numbers > 1 ? one[1] : 0,                    \
                                      numbers > 2 ? one[2] : 0, numbers > 3 ? one[3] : 0);                   \
            put_walked(v * alpha + offset, to + AT(p), numbers, flat, accumulate);                           \
        }                                                                                                    \
    }

PREPARE(prepare, uchar)
PREPARE(prepare_16, ushort)

/* Parameters are float even if STORED is bf16, and arenas are aligned. */
KERNEL void adam(WALK, MEMORY(float, p), MEMORY(const float, g), MEMORY(float, m), MEMORY(float, v),
                 MEMORY(const uint, step), const float beta1, const float rest1, const float beta2,
                 const float rest2, const float eps) {
    const float lr = as_float(step[step_start + STEP_LR]);
    const float root = as_float(step[step_start + STEP_ROOT_V]);
    __global float *to_p = p + p_start, *to_m = m + m_start, *to_v = v + v_start;
    __global const float *from = g + g_start;
    EACH_POSITION(i) {
        const ulong at = AT(i);
        const int numbers = NUMBERS(i);
        if (numbers == 4)
            ADAM(float4, *(__global float4 *)(to_p + at), *(__global const float4 *)(from + at),
                 *(__global float4 *)(to_m + at), *(__global float4 *)(to_v + at));
        else
            for (ulong j = at; j < at + numbers; j++) ADAM(float, to_p[j], from[j], to_m[j], to_v[j]);
    }
}
