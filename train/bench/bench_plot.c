/* The picture of a sweep: a panel per axis and quantity, written as SVG. See bench_sweep.h. Panels of one
 * quantity share their vertical scale, so that axes can be compared. */
#include "bench_svg.h"
#include "bench_sweep.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { LEFT = 70, TOP = 30, WIDTH = 250, HEIGHT = 200, GAP_X = 60, GAP_Y = 60, RADIUS = 3 };

typedef enum { TIME, MEMORY, QUANTITIES } quantity;

static const char *const quantity_names[QUANTITIES] = {"ms per image", "MB on the device"};

/* One panel. `low` and `high` are the decades (log10) at the ends of its vertical scale. */
typedef struct {
    FILE *out;
    const bench_sweep *sweep;
    sweep_axis axis;
    quantity what;
    double x, y; /* upper left corner */
    double low, high;
    int64_t least, greatest; /* values on the axis */
} panel;

static double figure(const sweep_point *p, quantity what, bool floor_of) {
    if (what == TIME) return (floor_of ? p->floor_seconds : p->seconds) * 1e3;
    return floor_of ? p->floor_megabytes : p->megabytes;
}

static double across(const panel *p, int64_t value) {
    double range = log2((double)p->greatest / (double)p->least);
    return p->x + (range > 0 ? log2((double)value / (double)p->least) / range : 0.5) * WIDTH;
}

static double down(const panel *p, double value) {
    return p->y + HEIGHT - (log10(value) - p->low) / (p->high - p->low) * HEIGHT;
}

/* ---- Scales ------------------------------------------------------------------------------------------- */

static bool is_drawn(const sweep_point *p, quantity what) {
    return p->fits && figure(p, what, false) > 0 && figure(p, what, true) > 0;
}

/* The range of whole decades that holds every figure of the quantity. */
static void find_decades(const bench_sweep *sweep, quantity what, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < sweep->count; i++) {
        if (!is_drawn(&sweep->points[i], what)) continue;
        for (int floor_of = 0; floor_of < 2; floor_of++) {
            double decade = log10(figure(&sweep->points[i], what, floor_of));
            *low = fmin(*low, floor(decade));
            *high = fmax(*high, ceil(decade));
        }
    }
    if (!(*low < *high)) *high = *low + 1;
}

static bool find_values(panel *p) {
    int count = 0;
    for (int i = 0; i < p->sweep->count; i++) {
        const sweep_point *point = &p->sweep->points[i];
        if (point->axis != p->axis || !is_drawn(point, p->what)) continue;
        if (count++ == 0) p->least = point->value;
        p->greatest = point->value;
    }
    return count > 0;
}

/* ---- Drawing ------------------------------------------------------------------------------------------ */

static void draw_grid(const panel *p) {
    char text[64];
    for (double decade = p->low; decade <= p->high; decade++) {
        double y = down(p, pow(10, decade));
        svg_line(p->out, p->x, y, p->x + WIDTH, y);
        snprintf(text, sizeof text, "%g", pow(10, decade));
        svg_text(p->out, p->x - 6, y + 4, "end", text);
    }
    for (int i = 0; i < p->sweep->count; i++) {
        const sweep_point *point = &p->sweep->points[i];
        if (point->axis != p->axis || !is_drawn(point, p->what)) continue;
        snprintf(text, sizeof text, "%" PRId64, point->value);
        svg_line(p->out, across(p, point->value), p->y, across(p, point->value), p->y + HEIGHT);
        svg_text(p->out, across(p, point->value), p->y + HEIGHT + 16, "middle", text);
    }
    snprintf(text, sizeof text, "%s, by %s", quantity_names[p->what], sweep_axis_name(p->axis));
    svg_text(p->out, p->x + WIDTH / 2.0, p->y - 8, "middle", text);
}

static void draw_curve(const panel *p, bool floor_of) {
    const char *color = floor_of ? "#888" : "#06c", *dashes = floor_of ? "4 3" : "none";
    fprintf(p->out, "<polyline fill=\"none\" stroke=\"%s\" stroke-dasharray=\"%s\" points=\"", color, dashes);
    for (int i = 0; i < p->sweep->count; i++) {
        const sweep_point *point = &p->sweep->points[i];
        if (point->axis == p->axis && is_drawn(point, p->what))
            fprintf(p->out, "%.1f,%.1f ", across(p, point->value), down(p, figure(point, p->what, floor_of)));
    }
    fprintf(p->out, "\"/>\n");
    for (int i = 0; i < p->sweep->count && !floor_of; i++) {
        const sweep_point *point = &p->sweep->points[i];
        if (point->axis == p->axis && is_drawn(point, p->what))
            fprintf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\"/>\n",
                    across(p, point->value), down(p, figure(point, p->what, false)), RADIUS, color);
    }
}

static void draw_panels(FILE *out, const bench_sweep *sweep) {
    int column = 0;
    for (int axis = 0; axis < SWEEP_AXES; axis++) {
        bool drawn = false;
        for (int what = 0; what < QUANTITIES; what++) {
            panel p = {.out = out, .sweep = sweep, .axis = (sweep_axis)axis, .what = (quantity)what};
            p.x = LEFT + column * (WIDTH + GAP_X);
            p.y = TOP + what * (HEIGHT + GAP_Y);
            if (!find_values(&p)) continue;
            find_decades(sweep, p.what, &p.low, &p.high);
            draw_grid(&p);
            draw_curve(&p, true);
            draw_curve(&p, false);
            drawn = true;
        }
        column += drawn;
    }
}

p2p_status bench_sweep_plot(const bench_sweep *sweep, const char *path) {
    enum {
        ALL_WIDTH = LEFT + SWEEP_AXES * (WIDTH + GAP_X),
        ALL_HEIGHT = TOP + QUANTITIES * (HEIGHT + GAP_Y)
    };
    svg_picture svg;
    P2P_TRY(svg_begin(&svg, path, ALL_WIDTH, ALL_HEIGHT));
    draw_panels(svg.out, sweep);
    svg_text(svg.out, LEFT, ALL_HEIGHT - 10, "start",
             "points: measured; dashed: convolutions at the best rate, and weights, gradients and moments");
    return svg_finish(&svg, P2P_OK);
}
