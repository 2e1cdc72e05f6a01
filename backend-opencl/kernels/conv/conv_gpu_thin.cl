/* Convolutions of small feature maps with many channels for GPUs, whose time is dominated by reading the
 * filter or, in a filter gradient, by writing it: each vector of the filter passes through registers once,
 * and neighbouring work-items handle neighbouring vectors.
 */

#define THIN_ITEMS 64 /* a vector of 4 of a 16 x 16 filter block for each */

/* ---- Forward, and the gradient of the data --------------------------------------------------------- */

/* One part of y's sum: one tap (of a phase, see conv_gpu.clh) of the input blocks [in_blocks * chunk /
 * chunks, in_blocks * (chunk + 1) / chunks), for POSITIONS outputs of one block. Parts go to scratch
 * memory, to be added in order by conv_gpu_sums.cl: by taps, then by chunks.
 *
 * Group (POSITIONS rows of the phase, block of output channels, phase and part). A work-item multiplies the
 * vectors at a fixed place of the filter's blocks: forward one input channel with 4 output channels,
 * TRANSPOSED 4 with one. The products of one output are then added through local memory, in order. No
 * barrier is in a loop. */
#ifndef GRADIENT
__kernel __attribute__((reqd_work_group_size(THIN_ITEMS, 1, 1))) void conv_gpu_data_thin(
    VIEWED(const STORED, x), MEMORY(const float, w), MEMORY(float, sums), const ulong part_size,
    const ulong image_size, const int parts, const int chunks, GEOMETRY) {
    __local float4 shared[POSITIONS][THIN_ITEMS];
    const int item = get_local_id(0), major = item / 4, minor = item % 4 * 4; /* of the filter's block */
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int out_block = (int)GROUP_INDEX(1), part = (int)GROUP_INDEX(2) % parts;
    const long in_plane = (long)in_h * in_w, taps = (long)taps_h * taps_w;
    PHASE((int)GROUP_INDEX(2) / parts)
    const long plane = max((long)rows_h * rows_w, 1L), rows = images * (long)rows_h * rows_w;
    const long first_row = (long)GROUP_INDEX(0) * POSITIONS;
    const int tap_of_phase = part / chunks, a = tap_of_phase / max(count_s, 1), b = tap_of_phase % max(count_s, 1);

    /* Offset of the input that each position meets at this tap; -1 if it is outside. */
    long at[POSITIONS];
    bool reads = false;
#pragma unroll
    for (int p = 0; p < POSITIONS; p++) {
        const long row = first_row + p;
        const int in_image = (int)(row % plane);
        const int h = in_image / max(rows_w, 1) * in_step + origin_h + a * direction;
        const int v = in_image % max(rows_w, 1) * in_step + origin_w + b * direction;
        const bool inside = row < rows && a < count_r && count_s > 0 && (uint)h < (uint)in_h && (uint)v < (uint)in_w;
        at[p] = inside ? row / plane * (long)x_image + ((long)h * in_w + v) * 16 : -1;
        reads = reads || inside;
    }

    const long tap = (long)(first_r + a * tap_step) * taps_w + first_s + b * tap_step;
#ifdef TRANSPOSED
    const long block_step = out_blocks * taps * 256, first_block = out_block * taps + tap;
    const int lane = minor;
#else
    const long block_step = taps * 256, first_block = (long)out_block * in_blocks * taps + tap;
    const int lane = major;
#endif
    __global const float *from_w = w + w_start + first_block * 256 + item * 4;
    __global const STORED *from_x = x + x_start + x_at + lane;
    const int begin = (int)part_of(in_blocks, part % chunks, chunks);
    const int end = reads ? (int)part_of(in_blocks, part % chunks + 1, chunks) : begin;

    float4 acc[POSITIONS];
#pragma unroll
    for (int p = 0; p < POSITIONS; p++) acc[p] = 0.0f;
#if POSITIONS < 16
#pragma unroll 4
#endif
    for (int block = begin; block < end; block++) {
        const float4 filter = *(__global const float4 *)(from_w + block * block_step);
        const int real = in_channels - block * 16 - lane; /* lanes beyond may hold NaN */
#pragma unroll
        for (int p = 0; p < POSITIONS; p++) {
            if (at[p] < 0 || real <= 0) continue;
#ifdef TRANSPOSED
            const float4 v = first_lanes(load_stored4(from_x + at[p] + block * in_plane * 16), real);
#else
            const float v = load_stored(from_x + at[p] + block * in_plane * 16);
#endif
            acc[p] = v * filter + acc[p];
        }
    }

#pragma unroll
    for (int p = 0; p < POSITIONS; p++) shared[p][item] = acc[p];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int e = item; e < POSITIONS * 4; e += THIN_ITEMS) {
        const int p = e / 4, quad = e % 4; /* 4 output channels of a position */
        const long row = first_row + p;
        if (row >= rows) continue;
        float4 sum = 0.0f;
#ifdef TRANSPOSED
        for (int i = 0; i < 4; i++) { /* 4 input channels, of 4 neighbouring outputs */
            const float4 s0 = shared[p][quad * 16 + i], s1 = shared[p][quad * 16 + 4 + i];
            const float4 s2 = shared[p][quad * 16 + 8 + i], s3 = shared[p][quad * 16 + 12 + i];
            sum += (float4)(s0.s0, s1.s0, s2.s0, s3.s0);
            sum += (float4)(s0.s1, s1.s1, s2.s1, s3.s1);
            sum += (float4)(s0.s2, s1.s2, s2.s2, s3.s2);
            sum += (float4)(s0.s3, s1.s3, s2.s3, s3.s3);
        }
#else
        for (int i = 0; i < 16; i++) sum += shared[p][i * 4 + quad];
#endif
        const int in_image = (int)(row % plane);
        const long position =
            (long)(in_image / rows_w * out_step + phase_h) * out_w + in_image % rows_w * out_step + phase_w;
        *(__global float4 *)(sums + sums_start + part * part_size + row / plane * image_size +
                             ((long)out_block * out_h * out_w + position) * 16 + quad * 4) = sum;
    }
}
#endif

/* ---- The gradient of the filter -------------------------------------------------------------------- */

/* dw[k][c][tap] (+)= sum over the few output positions of dy[k] x[c] at the tap. Work-item ((block of c,
 * tap, 4 channels c, 4 channels k), block of k): 4 x 4 results; 16 work-items write a block of the filter. */
#ifdef GRADIENT
KERNEL void conv_gpu_filter_thin(VIEWED(const STORED, x), VIEWED(const STORED, dy), MEMORY(float, dw),
                                 const int accumulate, GEOMETRY) {
    const int in_blocks = (in_channels + 15) / 16, taps = taps_h * taps_w, quad = (int)(get_global_id(0) % 16);
    const long t = get_global_id(0) / 16, out_plane = (long)out_h * out_w, out_block = get_global_id(1);
    const int tap = (int)(t % taps), c = (int)(t / taps) * 16 + quad / 4 * 4, k = (int)out_block * 16 + quad % 4 * 4;
    if (t >= (long)in_blocks * taps) return;
    __global const STORED *from_x = x + x_start + x_at + c / 16 * (long)in_h * in_w * 16 + c % 16;
    __global const STORED *from_dy = dy + dy_start + dy_at + out_block * out_plane * 16 + k % 16;
    float4 acc[4];
    for (int i = 0; i < 4; i++) acc[i] = 0.0f;
    for (int image = 0; image < images && c < in_channels; image++)
        for (int i = 0; i < out_h; i++)
            for (int j = 0; j < out_w; j++) {
                const int h = i * stride + tap / taps_w - pad_top, v = j * stride + tap % taps_w - pad_left;
                if (h < 0 || h >= in_h || v < 0 || v >= in_w || k >= out_channels) continue;
                const float4 a = first_lanes(
                    load_stored4(from_x + image * x_image + ((long)h * in_w + v) * 16), in_channels - c);
                const float4 b = first_lanes(
                    load_stored4(from_dy + image * dy_image + ((long)i * out_w + j) * 16), out_channels - k);
                acc[0] = a.s0 * b + acc[0];
                acc[1] = a.s1 * b + acc[1];
                acc[2] = a.s2 * b + acc[2];
                acc[3] = a.s3 * b + acc[3];
            }
    __global float *to =
        dw + dw_start + ((out_block * in_blocks + c / 16) * taps + tap) * 256 + c % 16 * 16 + k % 16;
    for (int i = 0; i < 4; i++) store_float4(acc[i], to + i * 16, 4, accumulate);
}
#endif
