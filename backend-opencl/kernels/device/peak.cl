/* Multiply-adds on registers only, to measure the device's peak rate. */

#define JOIN(a, b)    a##b
#define STORE(width)  JOIN(vstore, width)
#define VECTOR(width) JOIN(float, width)
#if WIDTH == 1
typedef float vector;
#define SUM(v) (v)
#else
typedef VECTOR(WIDTH) vector;
static inline float sum_of(vector v) {
    float part[WIDTH], sum = 0.0f;
    STORE(WIDTH)(v, 0, part);
    for (int i = 0; i < WIDTH; i++) sum += part[i];
    return sum;
}
#define SUM(v) sum_of(v)
#endif

/* One step of a chain: sum * factor + addend or, in bf16, the products of two pairs, (factor, factor) and
 * (addend, addend). All are 1, so each chain counts its steps. The values are arguments, so that a compiler
 * cannot remove the work. */
#ifdef BF16
#define STEP(sum, b, c) ADD_PAIRS(sum, b, c)
#define FACTOR(x)       pair_lanes((float16)(x), (float16)(x))
#else
#define STEP(sum, b, c) sum = sum * b + c;
#define FACTOR(x)       ((vector)(x))
#endif

/* counts[i] = steps * CHAINS * WIDTH (twice that in bf16), for i < items. Chains have different initial
 * values, because a compiler would merge equal ones; the initial values are subtracted at the end. All sums
 * are whole numbers below 2^24, so they are exact. */
KERNEL void peak(MEMORY(float, counts), const int items, const int steps, const float factor,
                 const float addend) {
    const int i = (int)get_global_id(0);
    if (i >= items) return;
    const vector b = FACTOR(factor), c = FACTOR(addend);
    vector sum[CHAINS];
#pragma unroll
    for (int j = 0; j < CHAINS; j++) sum[j] = (vector)((float)j);
    for (int s = 0; s < steps; s++) {
#pragma unroll
        for (int j = 0; j < CHAINS; j++) {
            STEP(sum[j], b, c)
        }
    }
    float count = 0.0f;
#pragma unroll
    for (int j = 0; j < CHAINS; j++) count += SUM(sum[j] - (float)j);
    counts[counts_start + i] = count;
}
