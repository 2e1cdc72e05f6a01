/* Direct convolutions on CPUs of feature maps so small that reading or writing the filter dominates the
 * time.
 *
 *   forward          y[n, k, i, j] = act(bias[k] + sum over c, r, s of w[k, c, r, s] x[n, c, h, w])
 *   data gradient    dx[n, c, h, w] = act(bias[c] + sum over k, r, s of w[k, c, r, s] dy[n, k, i, j])
 *   filter gradient  dw[k, c, r, s] (+)= sum over n, i, j of dy[n, k, i, j] x[n, c, h, w]
 *   where            h = STRIDE*i + r - PAD_TOP, w = STRIDE*j + s - PAD_LEFT
 *
 * Each part of the filter passes through a core once, in memory order, while the next part is prefetched;
 * all images use it while it is in the nearest cache. The positions that a tap meets are known at compile
 * time, so products with padding are omitted, and nothing is copied. The order of every sum depends on the
 * shape of one image alone.
 *
 * Filters are [k/16][c/16][tap][16 c][16 k]; channels fill their blocks. One work-item per work-group.
 * Compile-time: X_H, X_W, Y_H, Y_W, TAPS_H, TAPS_W, STRIDE, PAD_TOP, PAD_LEFT of one image; IMAGES, the
 * maximum per work-item; and the constants named at each kernel. `images` need not be a multiple of IMAGES.
 */
#define POSITIONS (Y_H * Y_W)
#define PIXELS    (X_H * X_W)
#define TAPS      (TAPS_H * TAPS_W)
#define X_ROW(p, t)    (STRIDE * ((p) / Y_W) + (t) / TAPS_W - PAD_TOP)
#define X_COLUMN(p, t) (STRIDE * ((p) % Y_W) + (t) % TAPS_W - PAD_LEFT)

/* Whether tap t of position p of y meets a pixel of x, and the index of that pixel. */
#define MEETS(p, t)                                                                                          \
    (X_ROW(p, t) >= 0 && X_ROW(p, t) < X_H && X_COLUMN(p, t) >= 0 && X_COLUMN(p, t) < X_W)
#define PIXEL_AT(p, t) (X_ROW(p, t) * X_W + X_COLUMN(p, t))

static bool is_used(int t) {
    bool used = false;
    UNROLL for (int p = 0; p < POSITIONS; p++) used = used || MEETS(p, t);
    return used;
}

/* ---- Forward --------------------------------------------------------------------------------------- */

/* A work-item computes one block of y. Registers hold PART positions of IMAGES_AT_ONCE images at a time,
 * each in CHAINS sums over every CHAINS-th channel; IMAGES_AT_ONCE is 1 unless PART covers all positions.
 * Grid: (blocks of y, shares of images). */
#ifdef CHAINS
#define PARTS    ((POSITIONS + PART - 1) / PART)
#define AT_ONCE  (IMAGES_AT_ONCE * PART)
#define GROUPS   ((IMAGES + IMAGES_AT_ONCE - 1) / IMAGES_AT_ONCE)
/* Floats of the sums of one part of IMAGES_AT_ONCE images. */
#define PART_SUMS (AT_ONCE * CHAINS * 16)

/* Adds one block of x. `ahead`: distance of the filters to prefetch. */
static void add_block(float *sums, __global const float *x, ulong x_image, const int *image, int part,
                      __global const float *filter, long ahead, bool fresh) {
    float16 sum[AT_ONCE * CHAINS];
    UNROLL for (int i = 0; i < AT_ONCE * CHAINS; i++) sum[i] = fresh ? (float16)(0.0f) : vload16(i, sums);
    UNROLL for (int t = 0; t < TAPS; t++)
        if (is_used(t))
            for (int c = 0; c < 16; c += CHAINS)
                UNROLL for (int h = 0; h < CHAINS; h++) {
                    const float16 w = vload16(t * 16 + c + h, filter);
                    if (part == 0) PREFETCH_FAR(filter + ahead + (t * 16 + c + h) * 16);
                    UNROLL for (int i = 0; i < AT_ONCE; i++) {
                        const int p = part * PART + i % PART;
                        if (p < POSITIONS && MEETS(p, t)) {
                            const float xp = x[image[i / PART] * x_image + PIXEL_AT(p, t) * 16 + c + h];
                            sum[i * CHAINS + h] = (float16)(xp) * w + sum[i * CHAINS + h];
                        }
                    }
                }
    UNROLL for (int i = 0; i < AT_ONCE * CHAINS; i++) vstore16(sum[i], i, sums);
}

KERNEL void conv_stream_forward(VIEWED(const float, x), MEMORY(const float, filter), MEMORY(const float, bias),
                                int has_bias, VIEWED(float, y), int x_blocks, int images, int act, float slope,
                                int accumulate) {
    const long block = get_global_id(0), first = get_global_id(1) * IMAGES;
    const int count = min(IMAGES, images - (int)first);
    float sums[GROUPS * PARTS * PART_SUMS];
    x += x_start + x_at + first * x_image;
    y += y_start + y_at + first * y_image + block * POSITIONS * 16;
    filter += filter_start + block * x_blocks * TAPS * 256;
    for (int b = 0; b < x_blocks; b++) {
        const long ahead = (b + AHEAD < x_blocks ? AHEAD : 0) * TAPS * 256;
        for (int g = 0; g * IMAGES_AT_ONCE < count; g++) {
            int image[IMAGES_AT_ONCE];
            UNROLL for (int i = 0; i < IMAGES_AT_ONCE; i++) image[i] = min(g * IMAGES_AT_ONCE + i, count - 1);
            UNROLL for (int part = 0; part < PARTS; part++)
                add_block(sums + (g * PARTS + part) * PART_SUMS, x + (long)b * PIXELS * 16, x_image, image, part,
                          filter + (long)b * TAPS * 256, g == 0 ? ahead : 0, b == 0);
        }
    }
    const float16 shift = has_bias ? vload16(block, bias + bias_start) : (float16)(0.0f);
    for (int n = 0; n < count; n++)
        for (int p = 0; p < POSITIONS; p++) {
            const float *from = sums + (n / IMAGES_AT_ONCE * PARTS + p / PART) * PART_SUMS +
                                (n % IMAGES_AT_ONCE * PART + p % PART) * CHAINS * 16;
            float16 z = vload16(0, from);
            for (int h = 1; h < CHAINS; h++) z += vload16(h, from);
            put_lanes(act_value(act, slope, z + shift), y + n * y_image + p * 16, 16, accumulate);
        }
}
#endif

/* ---- Data gradient --------------------------------------------------------------------------------- */

/* A work-item computes one block of dx, all pixels. It transposes one tap of a block of dy at a time, so
 * that lanes run along dx's channels, and adds it to the pixels that it connects with positions of dy, PART
 * of them at a time. Grid: (blocks of dx, shares of images). */
#ifdef TURN
#define PARTS ((POSITIONS + PART - 1) / PART)

/* Adds one tap, `turned`, of one block of dy to the sums of an image's pixels. */
static void add_tap(float *sums, __global const float *dy, const float *turned, int t) {
    UNROLL for (int part = 0; part < PARTS; part++) {
        float16 sum[PART];
        UNROLL for (int i = 0; i < PART; i++) {
            const int p = part * PART + i;
            if (p < POSITIONS && MEETS(p, t)) sum[i] = vload16(PIXEL_AT(p, t), sums);
        }
        for (int k = 0; k < 16; k++) {
            const float16 w = vload16(k, turned);
            UNROLL for (int i = 0; i < PART; i++) {
                const int p = part * PART + i;
                if (p < POSITIONS && MEETS(p, t)) sum[i] = (float16)(dy[p * 16 + k]) * w + sum[i];
            }
        }
        UNROLL for (int i = 0; i < PART; i++) {
            const int p = part * PART + i;
            if (p < POSITIONS && MEETS(p, t)) vstore16(sum[i], PIXEL_AT(p, t), sums);
        }
    }
}

KERNEL void conv_stream_data(VIEWED(const float, dy), MEMORY(const float, filter), MEMORY(const float, bias),
                             int has_bias, VIEWED(float, dx), int dy_blocks, int dx_blocks, int images, int act,
                             float slope, int accumulate) {
    const long block = get_global_id(0), first = get_global_id(1) * IMAGES;
    const int count = min(IMAGES, images - (int)first);
    float sums[IMAGES * PIXELS * 16];
    dy += dy_start + dy_at + first * dy_image;
    dx += dx_start + dx_at + first * dx_image + block * PIXELS * 16;
    filter += filter_start + block * TAPS * 256;
    for (int i = 0; i < count * PIXELS; i++) vstore16((float16)(0.0f), i, sums);
    for (int b = 0; b < dy_blocks; b++, filter += (long)dx_blocks * TAPS * 256) {
        const long ahead = b + AHEAD < dy_blocks ? (long)AHEAD * dx_blocks * TAPS * 256 : 0;
        UNROLL for (int t = 0; t < TAPS; t++)
            if (is_used(t)) {
                float turned[256];
                TRANSPOSE(turned, filter + t * 256)
                for (int c = 0; c < 16; c++) PREFETCH_FAR(filter + ahead + (t * 16 + c) * 16);
                for (int n = 0; n < count; n++)
                    add_tap(sums + n * PIXELS * 16, dy + n * dy_image + (long)b * POSITIONS * 16, turned, t);
            }
    }
    const float16 shift = has_bias ? vload16(block, bias + bias_start) : (float16)(0.0f);
    for (int n = 0; n < count; n++)
        for (int i = 0; i < PIXELS; i++)
            put_lanes(act_value(act, slope, vload16(n * PIXELS + i, sums) + shift), dx + n * dx_image + i * 16, 16,
                      accumulate);
}
#endif

/* ---- Filter gradient ------------------------------------------------------------------------------- */

/* A work-item holds one block of dy in registers and writes its filters in dw once, in memory order;
 * CHANNELS channels of x at a time are in registers too. Grid: (blocks of dy). */
#ifdef CHANNELS
/* Adds one image. `sums`: the sums over the previous images; with `last` the results are stored at `to`. */
static void add_image(float *sums, __global const float *x, __global const float *dy, __global float *to,
                      bool first, bool last, int accumulate) {
    float16 g[POSITIONS];
    UNROLL for (int p = 0; p < POSITIONS; p++) g[p] = vload16(p, dy);
    UNROLL for (int t = 0; t < TAPS; t++)
        for (int c = 0; c < 16; c += CHANNELS) {
            float16 sum[CHANNELS];
            UNROLL for (int a = 0; a < CHANNELS; a++) {
                const int i = t * 16 + c + a;
                sum[a] = !first ? vload16(i, sums) : accumulate ? vload16(i, to) : (float16)(0.0f);
            }
            UNROLL for (int p = 0; p < POSITIONS; p++)
                if (MEETS(p, t))
                    UNROLL for (int a = 0; a < CHANNELS; a++)
                        sum[a] = (float16)(x[PIXEL_AT(p, t) * 16 + c + a]) * g[p] + sum[a];
            UNROLL for (int a = 0; a < CHANNELS; a++) {
                if (last)
                    STREAM(sum[a], t * 16 + c + a, to)
                else
                    vstore16(sum[a], t * 16 + c + a, sums);
            }
        }
}

KERNEL void conv_stream_filter(VIEWED(const float, x), VIEWED(const float, dy), MEMORY(float, dw), int x_blocks,
                               int images, int accumulate) {
    const long block = get_global_id(0);
    float sums[TAPS * 256];
    x += x_start + x_at;
    dy += dy_start + dy_at + block * POSITIONS * 16;
    dw += dw_start + block * x_blocks * TAPS * 256;
    for (int b = 0; b < x_blocks; b++)
        for (int n = 0; n < images; n++)
            add_image(sums, x + n * x_image + (long)b * PIXELS * 16, dy + n * dy_image,
                      dw + (long)b * TAPS * 256, n == 0, n == images - 1, accumulate);
    STREAMS_END
}
#endif
