/* Convolutions for GPUs by sub-groups of 16 work-items, without local memory: for Intel's GPUs, on which
 * operands from another work-item's registers are as cheap as a work-item's own, and local memory is slow.
 *
 * The 16 lanes of a sub-group are the 16 channels of a block of results; each work-item has ROWS results of
 * each of BLOCKS blocks. A step of the sum reads one vector of 16 per row and per block, and multiplies
 * with broadcasts. A group consists of SUBGROUPS sub-groups with different rows; there is no barrier and no
 * local memory. The terms of every sum are added in the same order as in conv_gpu_data.cl and
 * conv_gpu_filter.cl, so the bits are equal.
 */

#pragma OPENCL EXTENSION cl_intel_subgroups : enable

#define SUBGROUPS 4
#define SUBGROUP_KERNEL                                                                                      \
    __kernel __attribute__((intel_reqd_sub_group_size(16)))                                                  \
    __attribute__((reqd_work_group_size(16 * SUBGROUPS, 1, 1)))

/* Lane i gets from[i]. */
INLINED float lane_of(__global const float *from) {
    return as_float(intel_sub_group_block_read((__global const uint *)from));
}

INLINED float stored_lane_of(__global const STORED *from) {
#ifdef STORED_BF16
    return load_stored(from + get_sub_group_local_id());
#else
    return lane_of(from);
#endif
}

/* ---- Forward, and the gradient of the data --------------------------------------------------------- */

#ifndef GRADIENT
/* Channel `lane` of the input's block that each row meets at a tap (h, w) after tap (0, 0); 0 outside the image.
 * `from` includes the tap's offset. Lanes that are not channels may hold NaN. */
INLINED void load_rows(float xs[ROWS], __global const STORED *from, const long at[ROWS], const place rows[ROWS],
                             int h, int w, int in_h, int in_w, bool is_channel) {
    UNROLL for (int i = 0; i < ROWS; i++) {
        xs[i] = 0.0f;
        if (is_inside(rows[i].h + h, rows[i].w + w, in_h, in_w)) {
            const float value = stored_lane_of(from + at[i]);
            xs[i] = is_channel ? value : 0.0f;
        }
    }
}

/* acc[i] += x[i] of lane `lane` * w, for all rows. */
INLINED void multiply_lane(float acc[ROWS], const float xs[ROWS], int lane, float w) {
    UNROLL for (int i = 0; i < ROWS; i++) acc[i] = sub_group_broadcast(xs[i], lane) * w + acc[i];
}

/* acc += the rows times a 16 x 16 block of the filter, over the input channels in order. */
INLINED void multiply_block(float acc[ROWS], const float xs[ROWS], __global const float *block, int lane) {
#ifdef TRANSPOSED
    __global const float4 *from = (__global const float4 *)(block + lane * 16);
    UNROLL for (int q = 0; q < 4; q++) {
        const float4 ws = from[q];
        multiply_lane(acc, xs, 4 * q, ws.s0);
        multiply_lane(acc, xs, 4 * q + 1, ws.s1);
        multiply_lane(acc, xs, 4 * q + 2, ws.s2);
        multiply_lane(acc, xs, 4 * q + 3, ws.s3);
    }
#else
    UNROLL for (int c = 0; c < 16; c++) multiply_lane(acc, xs, c, lane_of(block + c * 16));
#endif
}

/* Like conv_gpu_data_tile in conv_gpu_data.cl, with all 16 lanes of the input's blocks. Group (SUBGROUPS *
 * ROWS rows, BLOCKS blocks of output channels, phase and part). */
SUBGROUP_KERNEL void conv_gpu_data_subgroup(VIEWED(const STORED, x), MEMORY(const float, w),
                                            MEMORY(const float, bias), const int bias_flags, VIEWED(RESULT, y),
                                            const int accumulate, const int act, const float slope, const int parts,
                                            const ulong part_size, GEOMETRY) {
    const int lane = get_sub_group_local_id(), first_block = (int)GROUP_INDEX(1) * BLOCKS;
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int part = (int)GROUP_INDEX(2) % parts;
    const long in_plane = (long)in_h * in_w, taps = (long)taps_h * taps_w;
    phase p = phase_of((int)GROUP_INDEX(2) / parts, GIVEN_GEOMETRY);
    drop_taps_of(&p, in_h, in_w);
    const long first_row = ((long)GROUP_INDEX(0) * SUBGROUPS + get_sub_group_id()) * ROWS;
    const long end_row = min(first_row + ROWS, rows_of(&p, images));
    long at[ROWS];
    place rows[ROWS];
    for (int i = 0; i < ROWS; i++) {
        rows[i] = place_of(&p, first_row + i, images);
        at[i] = first_row + i < end_row ? input_of(&p, first_row + i, rows[i].h, rows[i].w, in_w, x_image) : 0;
    }

    float acc[BLOCKS][ROWS];
    for (int j = 0; j < BLOCKS; j++)
        for (int i = 0; i < ROWS; i++) acc[j][i] = 0.0f;
    const long taps_of_phase = (long)p.count_r * p.count_s;
    const long steps = first_row < end_row ? in_blocks * taps_of_phase : 0;
    for (long step = part_of(steps, part, parts); step < part_of(steps, part + 1, parts); step++) {
        const long block = step / taps_of_phase;
        const int a = (int)(step % taps_of_phase) / p.count_s, b = (int)(step % taps_of_phase) % p.count_s;
        const long shift = (block * in_plane + (a * in_w + b) * p.direction) * 16, tap = tap_at(&p, a, b, taps_w);
        float xs[ROWS];
        load_rows(xs, x + x_start + x_at + shift, at, rows, a * p.direction, b * p.direction, in_h, in_w,
                  block * 16 + lane < in_channels);
        for (int j = 0; j < BLOCKS; j++) {
            if (first_block + j >= out_blocks) break;
#ifdef TRANSPOSED
            const long filter_block = (block * out_blocks + first_block + j) * taps + tap;
#else
            const long filter_block = ((long)(first_block + j) * in_blocks + block) * taps + tap;
#endif
            multiply_block(acc[j], xs, w + w_start + filter_block * 256, lane);
        }
    }

    for (int i = 0; i < ROWS; i++) {
        if (first_row + i >= end_row) continue;
        __global RESULT *to = y + y_start + part * part_size + y_at + result_of(&p, first_row + i, out_w, y_image);
        for (int j = 0; j < BLOCKS; j++)
            PUT_ONE_RESULT(acc[j][i], to, (first_block + j) * 16 + lane)
    }
}
#endif

/* ---- The gradient of the filter -------------------------------------------------------------------- */

#ifdef GRADIENT
/* Like conv_gpu_filter_tile in conv_gpu_filter.cl, with the 16 channels c of one block at one tap as the
 * rows of a sub-group. Group (SUBGROUPS pairs of block and tap, BLOCKS blocks of channels k, part). */
SUBGROUP_KERNEL void conv_gpu_filter_subgroup(VIEWED(const STORED, x), VIEWED(const STORED, dy), MEMORY(float, dw),
                                              const int accumulate, const int parts, const ulong part_size,
                                              GEOMETRY) {
    const int lane = get_sub_group_local_id(), first_block = (int)GROUP_INDEX(1) * BLOCKS;
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int taps = taps_h * taps_w, part = (int)GROUP_INDEX(2);
    const long pair = (long)GROUP_INDEX(0) * SUBGROUPS + get_sub_group_id(), block = pair / taps;
    const int tap_h = (int)(pair % taps) / taps_w - pad_top, tap_w = (int)(pair % taps) % taps_w - pad_left;
    const long in_plane = (long)in_h * in_w, out_plane = (long)out_h * out_w;
    const long steps = (images * out_plane + 15) / 16; /* divided into parts as in conv_gpu_filter.cl */
    const long begin = part_of(steps, part, parts) * 16;
    const long end = block < in_blocks ? min(part_of(steps, part + 1, parts) * 16, images * out_plane) : begin;
    const bool is_c = block * 16 + lane < in_channels;

    float acc[BLOCKS][16];
    for (int j = 0; j < BLOCKS; j++)
        for (int c = 0; c < 16; c++) acc[j][c] = 0.0f;
    int image = (int)(begin / out_plane), h = (int)(begin % out_plane) / out_w, v = (int)(begin % out_plane) % out_w;
    for (long p = begin; p < end; p++) {
        const int in_row = h * stride + tap_h, in_column = v * stride + tap_w;
        if ((uint)in_row < (uint)in_h && (uint)in_column < (uint)in_w) {
            const float value = stored_lane_of(x + x_start + x_at + image * x_image +
                                               (block * in_plane + (long)in_row * in_w + in_column) * 16);
            const float xs = is_c ? value : 0.0f;
            for (int j = 0; j < BLOCKS; j++) {
                if (first_block + j >= out_blocks) break;
                const float ys = stored_lane_of(dy + dy_start + dy_at + image * dy_image +
                                                ((first_block + j) * out_plane + (long)h * out_w + v) * 16);
                const float factor = (first_block + j) * 16 + lane < out_channels ? ys : 0.0f;
#pragma unroll
                for (int c = 0; c < 16; c++) acc[j][c] = sub_group_broadcast(xs, c) * factor + acc[j][c];
            }
        }
        if (++v == out_w) {
            v = 0;
            if (++h == out_h) h = 0, image++;
        }
    }

    if (block >= in_blocks) return;
    for (int j = 0; j < BLOCKS && first_block + j < out_blocks; j++) {
        __global float *to =
            dw + dw_start + part * part_size +
            (((long)(first_block + j) * in_blocks + block) * taps + pair % taps) * 256 + lane;
        for (int c = 0; c < 16; c++) to[c * 16] = accumulate ? to[c * 16] + acc[j][c] : acc[j][c];
    }
}
#endif
