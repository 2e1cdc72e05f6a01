/* Computes what device/ocl_bf16.c checks before bf16 is used. values: a, b, c, then two results; see
 * there. */
KERNEL void bf16_test(MEMORY(float, values)) {
    values += values_start;
    const float16 a = vload16(0, values), b = vload16(1, values), c = vload16(2, values);
    const float16 pairs = pair_lanes(a, b);
    float16 squares = c, sums = (float16)(0.0f);
    ADD_PAIRS(squares, pairs, pairs)
    vstore16(squares, 3, values);
    const float16 both = (float16)(pair_halves(c), pair_halves(c)), again = pair_neighbours(c, c);
    const float16 factors = pair_lanes((float16)(0.5f), (float16)(128.0f));
    ADD_PAIRS(sums, both, factors)
    ADD_PAIRS(sums, again, factors)
    vstore16(sums, 4, values);
}
