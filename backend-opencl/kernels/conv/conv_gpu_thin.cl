/* Convolutions of small feature maps with many channels for GPUs, whose time is dominated by reading the
 * filter or, in a filter gradient, by writing it: each vector of the filter passes through registers once,
 * and neighbouring work-items handle neighbouring vectors.
 */

#define THIN_ITEMS 64 /* a vector of 4 of a 16 x 16 filter block for each */

/* ---- Forward, and the gradient of the data --------------------------------------------------------- */

#ifndef GRADIENT
/* Offsets of the inputs that the positions from `first_row` on meet at tap (a, b) of the phase; -1 if there is
 * none. Returns whether there is one. */
INLINED bool find_inputs(long at[POSITIONS], const phase *p, long first_row, int a, int b, ulong image_size,
                               GEOMETRY) {
    bool found = false;
    UNROLL for (int i = 0; i < POSITIONS; i++) {
        const place c = place_of(p, first_row + i, images);
        const int h = c.h + a * p->direction, w = c.w + b * p->direction;
        const bool inside = a < p->count_r && p->count_s > 0 && is_inside(h, w, in_h, in_w);
        at[i] = inside ? input_of(p, first_row + i, h, w, in_w, image_size) : -1;
        found = found || inside;
    }
    return found;
}

/* acc += products of the positions' inputs in a block, of which `lanes` from the first on are channels, and a
 * vector of the filter. */
INLINED void multiply_inputs(float4 acc[POSITIONS], __global const STORED *from, const long at[POSITIONS],
                                   int lanes, float4 filter) {
    UNROLL for (int i = 0; i < POSITIONS; i++) {
        if (at[i] < 0 || lanes <= 0) continue; /* lanes beyond may hold NaN */
#ifdef TRANSPOSED
        const float4 v = first_lanes(load_stored4(from + at[i]), lanes);
#else
        const float v = load_stored(from + at[i]);
#endif
        acc[i] = v * filter + acc[i];
    }
}

/* 4 output channels of a position: sums over the work-items' products, in order of the input channels. */
INLINED float4 sum_of_products(__local const float4 *products, int quad) {
    float4 sum = 0.0f;
#ifdef TRANSPOSED
    for (int i = 0; i < 4; i++) { /* 4 input channels, of 4 neighbouring outputs */
        const float4 s0 = products[quad * 16 + i], s1 = products[quad * 16 + 4 + i];
        const float4 s2 = products[quad * 16 + 8 + i], s3 = products[quad * 16 + 12 + i];
        sum += (float4)(s0.s0, s1.s0, s2.s0, s3.s0);
        sum += (float4)(s0.s1, s1.s1, s2.s1, s3.s1);
        sum += (float4)(s0.s2, s1.s2, s2.s2, s3.s2);
        sum += (float4)(s0.s3, s1.s3, s2.s3, s3.s3);
    }
#else
    for (int i = 0; i < 16; i++) sum += products[i * 4 + quad];
#endif
    return sum;
}

/* One part of y's sum: one tap (of a phase, see conv_gpu.clh) of the input blocks [in_blocks * chunk /
 * chunks, in_blocks * (chunk + 1) / chunks), for POSITIONS outputs of one block. Parts go to scratch
 * memory, to be added in order by conv_gpu_sums.cl: by taps, then by chunks.
 *
 * Group (POSITIONS rows of the phase, block of output channels, phase and part). A work-item multiplies the
 * vectors at a fixed place of the filter's blocks: forward one input channel with 4 output channels,
 * TRANSPOSED 4 with one. The products of one output are then added through local memory, in order. No
 * barrier is in a loop. */
__kernel __attribute__((reqd_work_group_size(THIN_ITEMS, 1, 1))) void conv_gpu_data_thin(
    VIEWED(const STORED, x), MEMORY(const float, w), MEMORY(float, sums), const ulong part_size,
    const ulong image_size, const int parts, const int chunks, GEOMETRY) {
    __local float4 shared[POSITIONS][THIN_ITEMS];
    const int item = get_local_id(0), in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int out_block = (int)GROUP_INDEX(1), part = (int)GROUP_INDEX(2) % parts;
    const phase p = phase_of((int)GROUP_INDEX(2) / parts, GIVEN_GEOMETRY);
    const int tap_of_phase = part / chunks, a = tap_of_phase / max(p.count_s, 1), b = tap_of_phase % max(p.count_s, 1);
    const long in_plane = (long)in_h * in_w, taps = (long)taps_h * taps_w, tap = tap_at(&p, a, b, taps_w);
#ifdef TRANSPOSED
    const long block_step = out_blocks * taps * 256, first_block = out_block * taps + tap;
    const int lane = item % 4 * 4; /* of the input's block */
#else
    const long block_step = taps * 256, first_block = (long)out_block * in_blocks * taps + tap;
    const int lane = item / 4;
#endif
    __global const float *from_w = w + w_start + first_block * 256 + item * 4;
    __global const STORED *from_x = x + x_start + x_at + lane;

    long at[POSITIONS];
    const long first_row = (long)GROUP_INDEX(0) * POSITIONS;
    const bool reads = find_inputs(at, &p, first_row, a, b, x_image, GIVEN_GEOMETRY);
    const int begin = (int)part_of(in_blocks, part % chunks, chunks);
    const int end = reads ? (int)part_of(in_blocks, part % chunks + 1, chunks) : begin;
    float4 acc[POSITIONS];
    UNROLL for (int i = 0; i < POSITIONS; i++) acc[i] = 0.0f;
#if POSITIONS < 16
#pragma unroll 4
#endif
    for (int block = begin; block < end; block++)
        multiply_inputs(acc, from_x + block * in_plane * 16, at, in_channels - block * 16 - lane,
                        *(__global const float4 *)(from_w + block * block_step));

    UNROLL for (int i = 0; i < POSITIONS; i++) shared[i][item] = acc[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int e = item; e < POSITIONS * 4; e += THIN_ITEMS) {
        const long row = first_row + e / 4;
        if (row >= rows_of(&p, images)) continue;
        *(__global float4 *)(sums + sums_start + part * part_size + result_of(&p, row, out_w, image_size) +
                             (long)out_block * out_h * out_w * 16 + e % 4 * 4) =
            sum_of_products(shared[e / 4], e % 4);
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
