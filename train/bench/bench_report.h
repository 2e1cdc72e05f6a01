/* Results of a bench on stdout: a table for people or one JSON object. Fields are described in README.md. */
#ifndef P2P_BENCH_REPORT_H
#define P2P_BENCH_REPORT_H

#include "bench.h"

#include <jansson.h>

/* One line on stdout. Takes the object; NULL, when memory failed while it was made, is P2P_OUT_OF_MEMORY. */
p2p_status bench_print_json(json_t *object);

/* How the peak was found: "fma" or "convolution". */
const char *bench_peak_source(const bench_peaks *peaks);
/* A line of text about it, and about memory. */
void bench_print_peaks(const bench_peaks *peaks);

p2p_status bench_report_speed(const bench *b, const bench_speed *speed, double convolution_flops,
                              const bench_peaks *peaks);
p2p_status bench_report_operations(const bench *b, const bench_profile *profile, const bench_peaks *peaks);
p2p_status bench_report_transfers(const settings *all, const p2p_device *device,
                                  const bench_transfers *transfers);

#endif
