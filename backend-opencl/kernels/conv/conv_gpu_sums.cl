/* The second pass of convolutions whose sums are divided into parts: adds the parts in order, then applies
 * bias, activation and accumulation, which the first pass applies if there are no parts. A work-item
 * computes 4 results; neighbouring work-items have neighbouring results.
 */

INLINED float4 sum_of_parts(__global const float *from, int parts, ulong part_size) {
    float4 sum = *(__global const float4 *)from;
    for (int p = 1; p < parts; p++) sum += *(__global const float4 *)(from + p * part_size);
    return sum;
}

/* y (+)= act(bias + sum of parts). Work-item (4 channels of a position, block, image). parts:
 * [part][image][block] [position][16]. */
KERNEL void conv_gpu_sum_data(MEMORY(const float, sums), const int parts, const ulong part_size,
                              MEMORY(const float, bias), const int bias_flags, VIEWED(STORED, y),
                              const int accumulate, const int act, const float slope, const int positions,
                              const int out_channels) {
    const long e = get_global_id(0);
    const int blocks = (out_channels + 15) / 16, c = (int)BLOCK * 16 + (int)(e % 4) * 4;
    if (e >= (long)positions * 4 || c >= out_channels) return;
    const float4 sum = sum_of_parts(
        sums + sums_start + ((IMAGE * blocks + BLOCK) * positions) * 16 + e * 4, parts, part_size);
    put_quad_of(finish_quad(sum, bias_flags ? bias + bias_start : 0, c, out_channels, act, slope),
                y + y_start + y_at + IMAGE * y_image + BLOCK * positions * 16 + e * 4, out_channels - c, accumulate);
}

/* dw (+)= sum of parts, each stored like dw, `part_size` floats. */
KERNEL void conv_gpu_sum_filter(MEMORY(const float, sums), const int parts, const ulong part_size, MEMORY(float, dw),
                                const int accumulate) {
    const ulong e = get_global_id(0) * 4;
    if (e < part_size)
        store_float4(sum_of_parts(sums + sums_start + e, parts, part_size), dw + dw_start + e, 4, accumulate);
}
