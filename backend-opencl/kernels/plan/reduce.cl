/* Sums over images and positions on CPUs: bias gradients, losses, and the second stage of both.
 *
 * Sums have two stages with a partition that depends on the shape alone, added in order without atomics, so
 * bits do not depend on the number of threads. Partial results are stored [image][chunk][block][rows][16].
 */

/* One partial sum per chunk of dy. */
KERNEL void bias_partial(VIEW, VIEWED(const STORED, dy), MEMORY(float, partial), const int chunks) {
    if (get_global_id(0) >= chunks) return;
    __global const STORED *from = PLANE(dy);
    const int lanes = LANES(0);
    const long end = END;
    float16 sum = 0.0f;
    for (long p = FIRST; p < end; p += 32) {
        float16 run = 0.0f; /* short runs first: the error grows with the length of a sum */
        for (long q = p; q < min(p + 32, end); q++) run += load_viewed(from + 16 * q, lanes);
        sum += run;
    }
    vstore16(sum, PARTIAL((ulong)chunks, IMAGE, get_global_id(0), BLOCK, get_global_size(1)),
             partial + partial_start);
}

/* Per block of channels: `rows` (1 or 2) sums of each group to sums[group][row][channel], and the totals
 * over all groups of row 0 to total0 and of row 1 to total1, each if given. One work-item per block. */
KERNEL void combine_sums(MEMORY(const float, partial), const int rows, const int chunks, const int groups,
                         const int images, const int channels, MEMORY(float, sums), const int sums_flags,
                         MEMORY(float, total0), const int total0_flags, MEMORY(float, total1),
                         const int total1_flags) {
    const ulong block = get_global_id(0), blocks = (channels + 15) / 16;
    if (block >= blocks) return;
    const int lanes = min(channels - (int)block * 16, 16);
    for (int row = 0; row < rows; row++) {
        float16 total = 0.0f;
        for (int g = 0; g < groups; g++) {
            float16 sum = 0.0f;
            for (int i = g * images; i < (g + 1) * images; i++) {
                float16 run = 0.0f;
                for (int j = 0; j < chunks; j++)
                    run += vload16(PARTIAL((ulong)chunks, i, j, block, blocks) * rows + row,
                                   partial + partial_start);
                sum += run;
            }
            if (sums_flags)
                store_lanes(sum, sums + sums_start + (ulong)(g * rows + row) * channels + block * 16, lanes);
            total += sum;
        }
        if (row == 0 && total0_flags)
            add_lanes(total, total0 + total0_start + block * 16, lanes, total0_flags & HAS_ACCUMULATE);
        if (row == 1 && total1_flags)
            add_lanes(total, total1 + total1_start + block * 16, lanes, total1_flags & HAS_ACCUMULATE);
    }
}

/* ---- Losses ---------------------------------------------------------------------------------------- */

/* Sum of max(x, 0) - x target + log(1 + exp(-|x|)) over one chunk; dx (+)= grad_scale (sigmoid(x) - target).
 */
KERNEL void bce_partial(VIEW, VIEWED(const STORED, x), MEMORY(float, partial), const int chunks,
                        VIEWED(STORED, dx), const int dx_flags, const int target, const float grad_scale) {
    if (get_global_id(0) >= chunks) return;
    __global const STORED *from = PLANE(x);
    __global STORED *to = PLANE(dx);
    const int lanes = LANES(0);
    float16 sum = 0.0f;
    for (long p = FIRST; p < END; p++) {
        const float16 v = load_viewed(from + 16 * p, lanes);
        sum += max(v, 0.0f) - (target ? v : (float16)(0.0f)) + log1p(exp(-fabs(v)));
        if (dx_flags) {
            /* sigmoid(x) - 1 = -sigmoid(-x) is accurate where sigmoid(x) is near 1 */
            const float16 d = target ? -1.0f / (1.0f + exp(v)) : 1.0f / (1.0f + exp(-v));
            put_lanes(grad_scale * d, to + 16 * p, lanes, dx_flags & HAS_ACCUMULATE);
        }
    }
    vstore16(real_lanes(sum, lanes),
             PARTIAL((ulong)chunks, IMAGE, get_global_id(0), BLOCK, get_global_size(1)),
             partial + partial_start);
}

/* Sum of (x - target)^2 over one chunk; dx (+)= grad_scale 2 (x - target). */
KERNEL void mse_partial(VIEW, VIEWED(const STORED, x), MEMORY(float, partial), const int chunks,
                        VIEWED(STORED, dx), const int dx_flags, const int target, const float grad_scale) {
    if (get_global_id(0) >= chunks) return;
    __global const STORED *from = PLANE(x);
    __global STORED *to = PLANE(dx);
    const int lanes = LANES(0);
    float16 sum = 0.0f;
    for (long p = FIRST; p < END; p++) {
        const float16 d = load_viewed(from + 16 * p, lanes) - (float)target;
        sum += d * d;
        if (dx_flags) put_lanes(grad_scale * 2.0f * d, to + 16 * p, lanes, dx_flags & HAS_ACCUMULATE);
    }
    vstore16(real_lanes(sum, lanes),
             PARTIAL((ulong)chunks, IMAGE, get_global_id(0), BLOCK, get_global_size(1)),
             partial + partial_start);
}

/* Sum of |x - target| over one chunk; dx (+)= grad_scale sign(x - target). */
KERNEL void l1_partial(VIEW, VIEWED(const STORED, x), VIEWED(const STORED, target), MEMORY(float, partial),
                       const int chunks, VIEWED(STORED, dx), const int dx_flags, const float grad_scale) {
    if (get_global_id(0) >= chunks) return;
    __global const STORED *from = PLANE(x), *from_target = PLANE(target);
    __global STORED *to = PLANE(dx);
    const int lanes = LANES(0);
    float16 sum = 0.0f;
    for (long p = FIRST; p < END; p++) {
        const float16 d = load_viewed(from + 16 * p, lanes) - load_viewed(from_target + 16 * p, lanes);
        sum += fabs(d);
        if (dx_flags) {
            const float16 s = select((float16)(0.0f), (float16)(grad_scale), d > 0.0f);
            put_lanes(select(s, (float16)(-grad_scale), d < 0.0f), to + 16 * p, lanes,
                      dx_flags & HAS_ACCUMULATE);
        }
    }
    vstore16(real_lanes(sum, lanes),
             PARTIAL((ulong)chunks, IMAGE, get_global_id(0), BLOCK, get_global_size(1)),
             partial + partial_start);
}

/* loss (+)= loss_scale * sum of `count` vectors. One work-item, because there are only a few hundred
 * vectors. */
KERNEL void loss_total(MEMORY(const float, partial), const ulong count, MEMORY(float, loss),
                       const int accumulate, const float loss_scale) {
    if (get_global_id(0) > 0) return;
    float16 sum = 0.0f;
    for (ulong first = 0; first < count; first += 32) {
        float16 run = 0.0f;
        for (ulong i = first; i < min(first + 32, count); i++) run += vload16(i, partial + partial_start);
        sum += run;
    }
    const float8 s8 = sum.lo + sum.hi;
    const float4 s4 = s8.lo + s8.hi;
    const float2 s2 = s4.lo + s4.hi;
    const float total = loss_scale * (s2.x + s2.y);
    loss[loss_start] = accumulate ? loss[loss_start] + total : total;
}
