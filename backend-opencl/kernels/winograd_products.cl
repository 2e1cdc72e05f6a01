/* The products of Winograd convolution, a matrix product for each point:
 *
 *   products[point][group][tile][v] =
 *       sum over input rows of inputs[point][row][tile] filters[point][group][row][v]
 *
 * in the arrangements of winograd_transform.cl. The sums of TILE tiles and VECS output vectors are registers.
 * Each runs over the input rows in order, whatever the tile and the grid. A point's inputs and a few groups
 * of its filters fit the second-level cache together, so everything is read from beyond it about once.
 *
 * Grid: (shares of `groups_each` groups, points). Compile-time: TILE, VECS.
 */
KERNEL void winograd_products(MEMORY(const float, inputs), ulong inputs_distance,
                              MEMORY(const float, filters), ulong filters_distance, MEMORY(float, products),
                              ulong products_distance, int row_blocks, int tiles, int groups,
                              int groups_each) {
    const int first = get_global_id(0) * groups_each, end = min(first + groups_each, groups);
    inputs += inputs_start + get_global_id(1) * inputs_distance;
    filters += filters_start + get_global_id(1) * filters_distance;
    products += products_start + get_global_id(1) * products_distance;
    for (int group = first; group < end; group++)
        for (int t = 0; t < tiles; t += TILE) {
            __global const float *x = inputs + t * 16;
            __global const float *f = filters + (long)group * row_blocks * 16 * VECS * 16;
            float16 sum[TILE * VECS];
            UNROLL for (int i = 0; i < TILE * VECS; i++) sum[i] = (float16)(0.0f);
            for (int block = 0; block < row_blocks; block++, x += tiles * 16)
                for (int c = 0; c < 16; c++, f += VECS * 16) {
                    float16 w[VECS];
                    UNROLL for (int v = 0; v < VECS; v++) w[v] = vload16(v, f);
                    UNROLL for (int p = 0; p < TILE; p++) {
                        const float16 xp = (float16)(x[p * 16 + c]);
                        UNROLL for (int v = 0; v < VECS; v++)
                            sum[p * VECS + v] = xp * w[v] + sum[p * VECS + v];
                    }
                }
            __global float *to = products + ((long)group * tiles + t) * VECS * 16;
            UNROLL for (int i = 0; i < TILE * VECS; i++) vstore16(sum[i], i, to);
        }
}
