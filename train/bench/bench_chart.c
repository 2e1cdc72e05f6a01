/* See bench_chart.h. */
#include "bench_chart.h"

#include "bench_svg.h"

#include <inttypes.h>
#include <math.h>

enum { LINES = 4, LEGEND_LINE = 18, RADIUS = 3 };

typedef struct {
    const chart *c;
    FILE *out;
    double x, y, top; /* the upper left corner; the end of the vertical scale */
} panel;

static const char *const colors[] = {"#06c", "#c40", "#283", "#909", "#a70", "#777"};
enum { COLORS = sizeof colors / sizeof colors[0] };

/* ---- Scales ------------------------------------------------------------------------------------------- */

static double greatest(const chart *c) {
    double most = 0;
    for (int i = 0; i < c->curve_count; i++)
        for (int k = 0; k < c->count; k++)
            if (c->curves[i].y[k] > most) most = c->curves[i].y[k];
    return most;
}

/* The least of 1, 2, 4, 5 or 10 times a power of ten that is not below the value. */
static double round_up(double value) {
    static const double steps[] = {1, 2, 4, 5};
    if (!(value > 0)) return 1;
    const double power = pow(10, floor(log10(value)));
    for (int i = 0; i < 4; i++)
        if (value <= steps[i] * power) return steps[i] * power;
    return 10 * power;
}

static double across(const panel *p, int k) {
    const double least = (double)p->c->devices[0], most = (double)p->c->devices[p->c->count - 1];
    const double range = log2(most / least);
    return p->x + (range > 0 ? log2((double)p->c->devices[k] / least) / range : 0.5) * CHART_WIDTH;
}

static double down(const panel *p, double value) {
    return p->y + CHART_HEIGHT * (1 - value / p->top);
}

/* ---- Drawing ------------------------------------------------------------------------------------------ */

static void draw_grid(const panel *p) {
    char text[32];
    for (int i = 0; i <= LINES; i++) {
        const double value = p->top * i / LINES;
        svg_line(p->out, p->x, down(p, value), p->x + CHART_WIDTH, down(p, value));
        snprintf(text, sizeof text, "%.10g", value);
        svg_text(p->out, p->x - 6, down(p, value) + 4, "end", text);
    }
    for (int k = 0; k < p->c->count; k++) {
        svg_line(p->out, across(p, k), p->y, across(p, k), p->y + CHART_HEIGHT);
        snprintf(text, sizeof text, "%" PRId64, p->c->devices[k]);
        svg_text(p->out, across(p, k), p->y + CHART_HEIGHT + 16, "middle", text);
    }
    svg_text(p->out, p->x + CHART_WIDTH / 2.0, p->y - 10, "middle", p->c->title);
    svg_text(p->out, p->x + CHART_WIDTH / 2.0, p->y + CHART_HEIGHT + 34, "middle", "devices");
}

static const char *color_of(const chart_curve *curve) {
    return colors[curve->color % COLORS];
}

static void begin_line(FILE *out, const chart_curve *curve) {
    fprintf(out,
            "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"%s\" stroke-dasharray=\"%s\" points=\"",
            color_of(curve), curve->dashed ? "4 3" : "none");
}

static void draw_curve(const panel *p, const chart_curve *curve) {
    begin_line(p->out, curve);
    for (int k = 0; k < p->c->count; k++)
        if (!isnan(curve->y[k])) fprintf(p->out, "%.1f,%.1f ", across(p, k), down(p, curve->y[k]));
    fprintf(p->out, "\"/>\n");
    for (int k = 0; k < p->c->count && !curve->dashed; k++)
        if (!isnan(curve->y[k]))
            fprintf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\"/>\n", across(p, k),
                    down(p, curve->y[k]), RADIUS, color_of(curve));
}

void chart_draw(const chart *c, FILE *out, double x, double y) {
    const panel p = {c, out, x, y, c->most > 0 ? c->most : round_up(greatest(c))};
    draw_grid(&p);
    for (int i = 0; i < c->curve_count; i++) draw_curve(&p, &c->curves[i]);
}

void chart_legend(const chart *c, FILE *out, double x, double y) {
    for (int i = 0; i < c->curve_count; i++) {
        const chart_curve *curve = &c->curves[i];
        if (!curve->name) continue;
        begin_line(out, curve);
        fprintf(out, "%.1f,%.1f %.1f,%.1f\"/>\n", x, y - 4, x + 24, y - 4);
        svg_text(out, x + 30, y, "start", curve->name);
        y += LEGEND_LINE;
    }
}
