/* Charts of quantities over the number of devices, for pictures of bench_growth.c and bench_predict.c. */
#ifndef P2P_BENCH_CHART_H
#define P2P_BENCH_CHART_H

#include "bench_svg.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    const char *name; /* in the legend; NULL in charts without one */
    const double *y;  /* per number of devices; NAN: none, and it is left out */
    int color;        /* of a fixed list */
    bool dashed;
} chart_curve;

/* Devices have a logarithmic scale, y a linear one from 0 to a round number above the greatest. */
typedef struct {
    const char *title;
    const int64_t *devices; /* ascending */
    int count;
    const chart_curve *curves;
    int curve_count;
    double most; /* 0: the greatest y; else the end of the scale */
} chart;

/* Draw the chart with its panel in the box. */
void chart_draw(const chart *c, FILE *out, svg_box box);
/* Draw the names of the curves into the foot, CHART_NAMES in each line. */
enum { CHART_NAMES = 3 };
void chart_legend(const chart *c, FILE *out, const svg_grid *grid);

#endif
