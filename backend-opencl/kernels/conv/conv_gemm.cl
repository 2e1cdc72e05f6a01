/* Convolutions as matrix products: im2col and col2im.
 *
 * A row belongs to one output position of the forward convolution and holds [tap][channel] or, with one
 * tap, the channels of one pixel. `first_image` is the first image of the pass.
 */

#define GEOMETRY                                                                                             \
    const int in_h, const int in_w, const int out_h, const int out_w, const int taps_h, const int taps_w,    \
        const int stride, const int pad_top, const int pad_left, const int first_image

#define PLANE_OF_PASS(name) (name + name##_start + name##_at + (first_image + IMAGE) * name##_image)

/* rows[image][position][tap][channel] = x at the tap, 0 outside. Work-item (i, b, n) handles `chunk` output
 * positions, tap b % taps of block b / taps, image n. `channels` are x's. */
KERNEL void im2col(VIEWED(const STORED, x), MEMORY(float, rows), GEOMETRY, const int channels,
                   const int chunk) {
    const int taps = taps_h * taps_w, tap = BLOCK % taps, block = BLOCK / taps;
    const int lanes = min(channels - block * 16, 16);
    const long first = FIRST, positions = (long)out_h * out_w;
    __global const STORED *from = PLANE_OF_PASS(x) + (ulong)block * in_h * in_w * 16;
    __global float *to = rows + rows_start + block * 16;
    for (long p = first; p < min(first + chunk, positions); p++) {
        const int h = (int)(p / out_w) * stride - pad_top + tap / taps_w;
        const int w = (int)(p % out_w) * stride - pad_left + tap % taps_w;
        float16 v = 0.0f;
        if (h >= 0 && h < in_h && w >= 0 && w < in_w)
            v = load_viewed(from + ((ulong)h * in_w + w) * 16, lanes);
        store_lanes(v, to + ((IMAGE * positions + p) * taps + tap) * channels, lanes);
    }
}

/* y (+)= act(bias + the sum of rows[.][.][tap][channel] over the taps that reach y's position): the reverse
 * of im2col, as a gather, so that the order of the sum is fixed. `channels` are y's, in_h x in_w its
 * positions. */
KERNEL void col2im(MEMORY(const float, rows), VIEWED(STORED, y), GEOMETRY, const int channels,
                   const int chunk, MEMORY(const float, bias), const int bias_flags, const int accumulate,
                   const int act, const float slope) {
    const int taps = taps_h * taps_w;
    const int lanes = min(channels - (int)BLOCK * 16, 16);
    const long first = FIRST, positions = (long)in_h * in_w;
    __global const float *from = rows + rows_start + IMAGE * out_h * out_w * taps * channels + BLOCK * 16;
    __global STORED *to = PLANE_OF_PASS(y) + BLOCK * in_h * in_w * 16;
    float16 base = 0.0f;
    if (bias_flags) base = load_lanes(bias + bias_start + BLOCK * 16, lanes);
    for (long p = first; p < min(first + chunk, positions); p++) {
        float16 sum = base;
        for (int tap = 0; tap < taps; tap++) {
            const int h = (int)(p / in_w) + pad_top - tap / taps_w,
                      w = (int)(p % in_w) + pad_left - tap % taps_w;
            if (h < 0 || w < 0 || h % stride || w % stride || h / stride >= out_h || w / stride >= out_w)
                continue;
            sum += load_lanes(from + (((ulong)(h / stride) * out_w + w / stride) * taps + tap) * channels,
                              lanes);
        }
        put_lanes(act_value(act, slope, sum), to + 16 * p, lanes, accumulate);
    }
}
