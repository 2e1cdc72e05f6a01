/* Repacks filters into the layouts that conv_direct_tile reads, in scratch memory.
 *
 * `in` is the side that the convolution sums over, `out` the side that it produces; a block is 16 channels.
 */

/* [in block][out block][tap][16 out][16 in] to [out block][in block][tap][16 in][16 out].
 * Grid: (in blocks, out blocks). */
KERNEL void conv_direct_repack_turn(MEMORY(const float, filter), MEMORY(float, turned), int taps) {
    const long i = get_global_id(0), o = get_global_id(1);
    const long in_blocks = get_global_size(0), out_blocks = get_global_size(1);
    filter += filter_start + (i * out_blocks + o) * taps * 256;
    turned += turned_start + (o * in_blocks + i) * taps * 256;
    for (int tap = 0; tap < taps; tap++) TRANSPOSE(turned + tap * 256, filter + tap * 256)
}

/* [in block][tap][16 in][16 out] to [out][in block][tap][16 in], for at most 16 output channels. Grid: (in
 * blocks, output channels). */
KERNEL void conv_direct_repack_dot(MEMORY(const float, filter), MEMORY(float, lanes), int taps) {
    const long i = get_global_id(0), k = get_global_id(1), in_blocks = get_global_size(0);
    filter += filter_start + i * taps * 256 + k;
    lanes += lanes_start + (k * in_blocks + i) * taps * 16;
    for (int l = 0; l < taps * 16; l++) lanes[l] = filter[l * 16];
}

/* To [out block][in block][a][b][16 in][16 lanes]: lane l of out block o is channel L % width and phase L /
 * width, L = 16*o + l, of the data gradient with `stride`. Row a is tap L / width / stride +
 * stride*(rows-1-a), column b tap L / width % stride + stride*(columns-1-b); it is zero if there is no such
 * tap. Element (channel, in) of a tap of `filter` is at channel*channel_distance + in*in_distance. Grid: (in
 * blocks, out blocks). */
KERNEL void conv_direct_repack_spread(MEMORY(const float, filter), MEMORY(float, spread), int taps_h, int taps_w,
                                      int rows, int columns, int stride, int channels, int width,
                                      int channel_distance, int in_distance) {
    const long block = get_global_id(0), o = get_global_id(1), in_blocks = get_global_size(0);
    filter += filter_start + block * taps_h * taps_w * 256;
    spread += spread_start + (o * in_blocks + block) * rows * columns * 256;
    for (int tap = 0; tap < rows * columns; tap++)
        for (int l = 0; l < 16; l++) {
            const int phase = (16 * o + l) / width, channel = (16 * o + l) % width;
            const int r = phase / stride + stride * (rows - 1 - tap / columns);
            const int s = phase % stride + stride * (columns - 1 - tap % columns);
            const bool real = channel < channels && phase < stride * stride && r < taps_h && s < taps_w;
            for (int i = 0; i < 16; i++)
                spread[(tap * 16 + i) * 16 + l] =
                    real ? filter[(r * taps_w + s) * 256 + channel * channel_distance + i * in_distance]
                         : 0.0f;
        }
}
