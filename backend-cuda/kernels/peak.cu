/* Multiply-adds on registers only, to measure the device's peak rate: see device/cuda_peak.c. */
enum { CHAINS = 16 };

/* counts[i] = steps * CHAINS for i < items: each chain counts its steps, sum * factor + addend with both 1.
 * The values are arguments, so that a compiler cannot remove the work. Chains have different initial values,
 * because it would merge equal ones; they are subtracted at the end. All sums are whole numbers below 2^24,
 * so they are exact. */
extern "C" __global__ void __launch_bounds__(256, 1)
    peak(float *counts, int items, int steps, float factor, float addend) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= items) return;
    float sum[CHAINS];
#pragma unroll
    for (int j = 0; j < CHAINS; j++) sum[j] = (float)j;
#pragma unroll 4
    for (int s = 0; s < steps; s++) {
#pragma unroll
        for (int j = 0; j < CHAINS; j++) sum[j] = fmaf(sum[j], factor, addend);
    }
    float count = 0.0f;
#pragma unroll
    for (int j = 0; j < CHAINS; j++) count += sum[j] - (float)j;
    counts[i] = count;
}
