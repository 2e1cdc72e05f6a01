/* See bench_chart.h. */
#include "bench_chart.h"

#include <inttypes.h>
#include <math.h>

enum { LINES = 4, RADIUS = 4 };

typedef struct {
    const chart *c;
    FILE *out;
    svg_box box;
    double top; /* the end of the vertical scale */
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
    return p->box.x + (range > 0 ? log2((double)p->c->devices[k] / least) / range : 0.5) * p->box.width;
}

static double down(const panel *p, double value) {
    return p->box.y + p->box.height * (1 - value / p->top);
}

/* ---- Drawing ------------------------------------------------------------------------------------------ */

static void draw_grid(const panel *p) {
    const svg_box *box = &p->box;
    const double bottom = box->y + box->height, middle = box->x + box->width / 2;
    char text[32];
    for (int i = 0; i <= LINES; i++) {
        const double value = p->top * i / LINES;
        svg_line(p->out, box->x, down(p, value), box->x + box->width, down(p, value));
        snprintf(text, sizeof text, "%.10g", value);
        svg_text(p->out, box->x - 6, down(p, value) + 5, "end", text);
    }
    for (int k = 0; k < p->c->count; k++) {
        svg_line(p->out, across(p, k), box->y, across(p, k), bottom);
        snprintf(text, sizeof text, "%" PRId64, p->c->devices[k]);
        svg_text(p->out, across(p, k), bottom + 18, "middle", text);
    }
    svg_text(p->out, middle, box->y - 12, "middle", p->c->title);
    svg_text(p->out, middle, bottom + 38, "middle", "devices");
}

static const char *color_of(const chart_curve *curve) {
    return colors[curve->color % COLORS];
}

static void begin_line(FILE *out, const chart_curve *curve) {
    fprintf(out, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" stroke-dasharray=\"%s\" points=\"",
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

void chart_draw(const chart *c, FILE *out, svg_box box) {
    const panel p = {c, out, box, c->most > 0 ? c->most : round_up(greatest(c))};
    draw_grid(&p);
    for (int i = 0; i < c->curve_count; i++) draw_curve(&p, &c->curves[i]);
}

void chart_legend(const chart *c, FILE *out, const svg_grid *grid) {
    for (int i = 0; i < c->curve_count; i++) {
        const svg_box line = svg_foot(grid, i / CHART_NAMES);
        const double x = line.x + i % CHART_NAMES * line.width / CHART_NAMES, y = line.y - 5;
        begin_line(out, &c->curves[i]);
        fprintf(out, "%.1f,%.1f %.1f,%.1f\"/>\n", x, y, x + 24, y);
        svg_text(out, x + 30, line.y, "start", c->curves[i].name);
    }
}
