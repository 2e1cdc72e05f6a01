/* The picture of a growth: rate, efficiency, and reductions that were not hidden. See bench_growth.h. */
#include "bench_chart.h"
#include "bench_growth.h"

#include <inttypes.h>
#include <math.h>

enum { CHARTS = 3 };

typedef struct {
    int64_t devices[GROWTH_MOST];
    double rate[GROWTH_MOST], ideal[GROWTH_MOST], efficiency[GROWTH_MOST], not_hidden[GROWTH_MOST];
} columns;

/* The ideal rate of devices that share a processor is that of one with the same batch. */
static void fill_column(const bench_growth *growth, int i, columns *to) {
    const growth_point *p = &growth->points[i], *first = &growth->points[0];
    const double grown = (double)p->devices / (double)first->devices;
    to->devices[i] = p->devices;
    to->rate[i] = bench_rate((double)p->images, p->step_s.median);
    to->ideal[i] = p->shared ? to->rate[i] / p->efficiency
                             : bench_rate((double)first->images, first->step_s.median) * grown;
    to->efficiency[i] = 100 * p->efficiency;
    to->not_hidden[i] = p->not_hidden >= 0 ? 100 * p->not_hidden : (double)NAN;
}

p2p_status bench_growth_plot(const bench_growth *growth, const char *path) {
    columns c;
    for (int i = 0; i < growth->count; i++) fill_column(growth, i, &c);
    const chart_curve rates[] = {
        {"measured", c.rate, 0, false},
        {growth->shared ? "one device with the same batch" : "the first rate for each device", c.ideal, 5,
         true}};
    const chart_curve efficiency = {NULL, c.efficiency, 0, false},
                      not_hidden = {NULL, c.not_hidden, 0, false};
    const chart charts[CHARTS] = {
        {"images per second", c.devices, growth->count, rates, 2, 0},
        {"efficiency, %", c.devices, growth->count, &efficiency, 1, 0},
        {"time in reductions that were not hidden, %", c.devices, growth->count, &not_hidden, 1, 0}};
    const svg_grid halves = {2, 1, 2}, quarters = {2, 2, 2}; /* the foot: the legend, then the caption */
    char caption[160];
    svg_picture svg;
    P2P_TRY(svg_begin(&svg, path));
    chart_draw(&charts[0], svg.out, svg_panel(&halves, 0, 0));
    chart_draw(&charts[1], svg.out, svg_panel(&quarters, 1, 0));
    chart_draw(&charts[2], svg.out, svg_panel(&quarters, 1, 1));
    snprintf(caption, sizeof caption, "%s on %s, batch %" PRId64 " per device",
             growth->training ? "training" : "translation", growth->device, growth->batch);
    chart_legend(&charts[0], svg.out, &halves);
    const svg_box foot = svg_foot(&halves, 1);
    svg_text(svg.out, foot.x, foot.y, "start", caption);
    return svg_finish(&svg, P2P_OK);
}
