/* See bench_summary.h. */
#include "bench_summary.h"

#include <stdlib.h>

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

bench_range bench_summary(double *values, int count) {
    qsort(values, (size_t)count, sizeof values[0], compare);
    double middle = values[count / 2];
    if (count % 2 == 0) middle = (middle + values[count / 2 - 1]) / 2;
    return (bench_range){.median = middle, .least = values[0], .greatest = values[count - 1]};
}

double bench_rate(double work, double seconds) {
    return seconds > 0 ? work / seconds : 0;
}
