/* Filter gradient of a direct convolution on CPUs.
 *
 *   dw[k, c, r, s] (+)=
 *       sum over n, i, j of dy[n, k, i, j] x[n, c, STRIDE*i - pad_top + r, STRIDE*j - pad_left + s]
 *
 * A work-item computes all taps of one block of 16 input channels by VECS blocks of 16 output channels,
 * over a part of the images' rows. It processes its rows in chunks that fit the nearest cache. In a chunk,
 * each tap and each ROWS of the input channels form a register tile of ROWS x VECS sums over the pixels
 * whose tap lies inside the image; the sums are kept in dw between chunks. If there are too few filters for
 * all threads, `parts` > 1: each part sums into scratch memory of its own, and conv_direct_add_parts adds
 * the parts in order. Sums run over n, i, j in order within a part, so the bits depend on `parts` alone.
 *
 * Grid: (blocks of input channels, groups of output channels, parts), one work-item per work-group.
 * Compile-time: STRIDE, ROWS, VECS. ROWS divides 16, or there is only one block of input channels.
 */

/* The positions of [first, end) whose tap at `offset` from STRIDE * position lies in [0, extent). */
static int2 positions_inside(int first, int end, int offset, int extent) {
    const int low = offset < 0 ? (-offset + STRIDE - 1) / STRIDE : 0;
    const int high = extent - offset > 0 ? (extent - offset - 1) / STRIDE + 1 : 0;
    return (int2)(max(first, low), min(end, high));
}

/* Rows of x and dy of the next chunk, prefetched in slices: one slice per row of each tile. */
typedef struct {
    __global const float *x, *dy;
    int x_lines, dy_lines; /* per slice; a line is one vector of 16 */
} next_rows;

static next_rows rows_ahead(__global const float *x, __global const float *dy, int x_lines, int dy_lines,
                            int slices) {
    return (next_rows){x, dy, (x_lines + slices - 1) / slices, (dy_lines + slices - 1) / slices};
}

static void ask_for_slice(next_rows *next, long dy_plane) {
    for (int l = 0; l < next->x_lines; l++) PREFETCH_FAR(next->x + l * 16);
    for (int v = 0; v < VECS; v++)
        for (int l = 0; l < next->dy_lines; l++) PREFETCH_FAR(next->dy + v * dy_plane + l * 16);
    next->x += next->x_lines * 16;
    next->dy += next->dy_lines * 16;
}

/* ---- A tile: ROWS input channels by VECS blocks of output channels, at one tap --------------------- */

/* Clears the rows of the filters of `tap` that belong to no input channel. */
static void clear_rows(__global float *const *sums, int vecs, int tap, int channels) {
    for (int v = 0; v < vecs; v++)
        for (int c = channels; c < 16; c++) vstore16((float16)(0.0f), tap * 16 + c, sums[v]);
}

/* `first` is the tile's first row in the filter's block. */
static void load_sums(float16 sum[ROWS * VECS], __global float *const *sums, int first, bool fresh) {
    UNROLL for (int a = 0; a < ROWS; a++)
        UNROLL for (int v = 0; v < VECS; v++) sum[a * VECS + v] = fresh ? (float16)(0.0f) : vload16(first + a, sums[v]);
}

/* Adds the products of the pixels [z, end) of dy with the inputs from `p` on. */
static void multiply_pixels(float16 sum[ROWS * VECS], __global const float *p, __global const float *const *grad, int z,
                            int end) {
    for (; z < end; z++, p += STRIDE * 16) {
        float16 g[VECS];
        UNROLL for (int v = 0; v < VECS; v++) g[v] = vload16(z, grad[v]);
        UNROLL for (int a = 0; a < ROWS; a++) {
            const float16 pa = (float16)(p[a]);
            UNROLL for (int v = 0; v < VECS; v++) sum[a * VECS + v] = pa * g[v] + sum[a * VECS + v];
        }
    }
}

/* Stores `rows` rows of `vecs` blocks, of which `channels` output channels from the first on are real. */
static void store_sums(const float16 sum[ROWS * VECS], __global float *const *sums, int first, int rows, int vecs,
                       int channels) {
    UNROLL for (int v = 0; v < VECS; v++) {
        const int lanes = min(16, channels - v * 16);
        UNROLL for (int a = 0; a < ROWS; a++)
            if (v < vecs && a < rows) vstore16(real_lanes(sum[a * VECS + v], lanes), first + a, sums[v]);
    }
}

/* ---- Kernels --------------------------------------------------------------------------------------- */

KERNEL void conv_direct_filter(VIEWED(const float, x), int x_c, int x_h, int x_w, VIEWED(const float, dy), int dy_c,
                               int dy_h, int dy_w, MEMORY(float, dw), ulong part_size, int taps_h, int taps_w,
                               int images, int pad_top, int pad_left, int rows, int parts, int accumulate) {
    const int block = get_global_id(0), k0 = get_global_id(1) * VECS, part = get_global_id(2);
    const int x_blocks = (x_c + 15) / 16, dy_blocks = (dy_c + 15) / 16, taps = taps_h * taps_w;
    const int channels = min(16, x_c - block * 16), vecs = min(VECS, dy_blocks - k0);
    const long x_plane = (long)x_h * x_w * 16, dy_plane = (long)dy_h * dy_w * 16;
    const int chunks = (dy_h + rows - 1) / rows;
    const int begin = (long)images * chunks * part / parts, end = (long)images * chunks * (part + 1) / parts;
    __global float *sums[VECS];
    UNROLL for (int v = 0; v < VECS; v++)
        sums[v] = dw + dw_start + part * part_size +
                  ((long)(k0 + min(v, vecs - 1)) * x_blocks + block) * taps * 256;

    for (int q = begin; q < end; q++) {
        const int n = q / chunks, row = q % chunks * rows, row_end = min(row + rows, dy_h);
        const bool fresh = q == begin && !accumulate;
        __global const float *from = x + x_start + x_at + n * x_image + block * x_plane;
        __global const float *grad[VECS];
        UNROLL for (int v = 0; v < VECS; v++)
            grad[v] = dy + dy_start + dy_at + n * dy_image + (k0 + min(v, vecs - 1)) * dy_plane;
        const int next_n = (q + 1) / chunks, next_row = (q + 1) % chunks * rows;
        const int wanted = q + 1 < end ? rows : 0;
        next_rows next = rows_ahead(
            x + x_start + x_at + next_n * x_image + block * x_plane + (long)next_row * STRIDE * x_w * 16,
            dy + dy_start + dy_at + next_n * dy_image + k0 * dy_plane + (long)next_row * dy_w * 16,
            wanted * STRIDE * x_w, wanted * dy_w, rows * taps * ((channels + ROWS - 1) / ROWS));
        for (int tap = 0; tap < taps; tap++) {
            const int h = tap / taps_w - pad_top, w = tap % taps_w - pad_left;
            const int2 i = positions_inside(row, row_end, h, x_h), j = positions_inside(0, dy_w, w, x_w);
            if (q == begin) clear_rows(sums, vecs, tap, channels);
            for (int c = 0; c < channels; c += ROWS) {
                float16 sum[ROWS * VECS];
                load_sums(sum, sums, tap * 16 + c, fresh);
                for (int y = i.x; y < i.y; y++) {
                    ask_for_slice(&next, dy_plane);
                    multiply_pixels(sum, from + ((long)(STRIDE * y + h) * x_w + STRIDE * j.x + w) * 16 + c, grad,
                                    y * dy_w + j.x, y * dy_w + j.y);
                }
                store_sums(sum, sums, tap * 16 + c, channels - c, vecs, dy_c - k0 * 16);
            }
        }
    }
}

/* dw (+)= the parts' sums, in order. A work-item adds 256 elements. */
KERNEL void conv_direct_add_parts(MEMORY(const float, part), ulong part_size, int parts, MEMORY(float, dw),
                                  int accumulate) {
    part += part_start;
    dw += dw_start;
    for (ulong i = get_global_id(0) * 16; i < (get_global_id(0) + 1) * 16; i++) {
        float16 sum = accumulate ? vload16(i, dw) : (float16)(0.0f);
        for (int p = 0; p < parts; p++) sum += vload16(i, part + p * part_size);
        vstore16(sum, i, dw);
    }
}

#ifdef TAPS_W
/* The same for at most FEW output channels: lanes run along the input channels. A work-item computes one
 * block of input channels and one row of taps, TAPS_W of them. Grid: (blocks of input channels, rows of
 * taps). */
KERNEL void conv_direct_filter_few(VIEWED(const float, x), int x_c, int x_h, int x_w, VIEWED(const float, dy),
                                   int dy_c, int dy_h, int dy_w, MEMORY(float, dw), int images, int pad_top,
                                   int pad_left, int accumulate) {
    const int block = get_global_id(0), r = get_global_id(1), taps_h = get_global_size(1);
    const int2 rows = positions_inside(0, dy_h, r - pad_top, x_h);
    float sums[FEW * TAPS_W * 16];
    for (int k = 0; k < dy_c; k++) {
        float16 sum[TAPS_W];
        UNROLL for (int s = 0; s < TAPS_W; s++) sum[s] = (float16)(0.0f);
        for (int n = 0; n < images; n++)
            for (int i = rows.x; i < rows.y; i++) {
                __global const float *p =
                    x + x_start + x_at + n * x_image +
                    ((long)(block * x_h + STRIDE * i + r - pad_top) * x_w - pad_left) * 16;
                __global const float *g = dy + dy_start + dy_at + n * dy_image + (long)i * dy_w * 16 + k;
                for (int j = 0; j < dy_w; j++, p += STRIDE * 16, g += 16) {
                    const int left = pad_left - STRIDE * j, right = left + x_w;
                    if (left <= 0 && right >= TAPS_W) {
                        UNROLL for (int s = 0; s < TAPS_W; s++)
                            sum[s] = vload16(s, p) * (float16)(*g) + sum[s];
                    } else {
                        UNROLL for (int s = 0; s < TAPS_W; s++)
                            if (s >= left && s < right) sum[s] = vload16(s, p) * (float16)(*g) + sum[s];
                    }
                }
            }
        UNROLL for (int s = 0; s < TAPS_W; s++) vstore16(sum[s], k * TAPS_W + s, sums);
    }
    for (int s = 0; s < TAPS_W; s++) {
        __global float *to = dw + dw_start + ((long)(block * taps_h + r) * TAPS_W + s) * 256;
        for (int c = 0; c < 16; c++) {
            float16 row = (float16)(0.0f);
            for (int k = 0; k < dy_c && block * 16 + c < x_c; k++)
                ((float *)&row)[k] = sums[(k * TAPS_W + s) * 16 + c];
            if (accumulate) row += vload16(c, to);
            vstore16(row, c, to);
        }
    }
}
#endif
