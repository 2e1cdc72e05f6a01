/* The results of a bench on stdout, as a table or as one JSON object. FORMATS.md describes the fields. */
#ifndef P2P_BENCH_REPORT_H
#define P2P_BENCH_REPORT_H

#include "bench.h"
#include "bench_peaks.h"

#include <jansson.h>

/* Print the object on one line of stdout and release it. NULL is P2P_OUT_OF_MEMORY. */
p2p_status bench_print_json(json_t *object);

/* Add the fields of `more` to `object`. Owns both. NULL if either is NULL or memory runs out. */
json_t *bench_join_json(json_t *object, json_t *more);
/* Append to the array. Likewise. */
json_t *bench_append_json(json_t *array, json_t *item);

/* How the peak was measured: "fma" or "convolution". */
const char *bench_peak_source(const bench_peaks *peaks);
/* Print the peak and the memory rate on one line. */
void bench_print_peaks(const bench_peaks *peaks);

/* Prints JSON with --json, else text. */
p2p_status bench_report_speed(const bench *b, const bench_speed *speed, double convolution_flops,
                              const bench_peaks *peaks);
p2p_status bench_report_operations(const bench *b, const bench_profile *profile, const bench_peaks *peaks);
p2p_status bench_report_transfers(const settings *all, const p2p_device *device,
                                  const bench_transfers *transfers);

#endif
