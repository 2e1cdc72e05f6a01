/* Statistics of repeated measurements. */
#ifndef P2P_BENCH_SUMMARY_H
#define P2P_BENCH_SUMMARY_H

/* A repeated measurement. */
typedef struct {
    double median, least, greatest;
} bench_range;

/* Median and extremes of `count` > 0 values. Sorts `values`. */
bench_range bench_summary(double *values, int count);

/* Work per second; 0 if `seconds` is not positive. */
double bench_rate(double work, double seconds);

#endif
