/* The ceilings of a device, measured: the peak of its arithmetic and the rate of its memory, and transfers
 * between host and device.
 */
#ifndef P2P_BENCH_PEAKS_H
#define P2P_BENCH_PEAKS_H

#include "bench_summary.h"
#include "p2p.h"

typedef struct {
    bool by_convolution; /* the device has no kernel that only multiplies and adds */
    p2p_math math;       /* of the factors for flops_per_s; sums are always float32 */
    /* Of a kernel or a matrix product that only multiplies and adds; if the device has none, the best of a
     * fixed set of convolutions. */
    double flops_per_s, fp32_flops_per_s;
    /* The best of a copy within the device and of the operations of a layer with 16 million parameters. The
     * layer is smaller if 16 million take too long. */
    double bytes_per_s;
} bench_peaks;

/* Measures the peaks in float32 and with `math`. If the device has no instructions for `math`, it computes in
 * float32: flops_per_s equals fp32_flops_per_s. */
p2p_status bench_measure_peaks(p2p_device *device, p2p_math math, bench_peaks *peaks);

/* The rate of work that only multiplies and adds with `math`. P2P_UNSUPPORTED if the device has none. */
p2p_status bench_measure_fma(p2p_device *device, p2p_math math, double *flops_per_s);

enum { BENCH_TRANSFER_BYTES = 64 << 20 };

/* Seconds for one transfer of the size given to bench_measure_transfers: host to device, device to host, and
 * within the device by the driver's copy command and by a kernel. */
typedef struct {
    bench_range write_s, read_s, copy_s, kernel_s;
    int count;
} bench_transfers;

p2p_status bench_measure_transfers(p2p_device *device, size_t bytes, int count, bench_transfers *transfers);

#endif
