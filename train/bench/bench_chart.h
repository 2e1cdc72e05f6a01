/* Charts of quantities over the number of devices, for pictures of bench_growth.c and bench_predict.c. */
#ifndef P2P_BENCH_CHART_H
#define P2P_BENCH_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CHART_WIDTH = 330, CHART_HEIGHT = 220, CHART_LEFT = 60, CHART_TOP = 40, CHART_GAP = 70 };

typedef struct {
    const char *name; /* in the legend; NULL: not there */
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

/* Draw the chart with the upper left corner of its panel at (x, y). */
void chart_draw(const chart *c, FILE *out, double x, double y);
/* Draw the names of the curves below one another, from (x, y) on. */
void chart_legend(const chart *c, FILE *out, double x, double y);

#endif
