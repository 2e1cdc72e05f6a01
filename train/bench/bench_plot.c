/* The picture of a sweep: a panel per axis and quantity, written as SVG. See bench_sweep.h. Panels of one
 * quantity share their vertical scale, so that axes can be compared. */
#include "bench_svg.h"
#include "bench_sweep.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { RADIUS = 4 };

typedef enum { TIME, MEMORY, QUANTITIES } quantity;

static const char *const quantity_names[QUANTITIES] = {"ms per image", "MB on the device"};

/* One panel. `low` and `high` are the decades (log10) at the ends of its vertical scale. */
typedef struct {
    FILE *out;
    const bench_sweep *sweep;
    sweep_axis axis;
    quantity what;
    svg_box box;
    double low, high;
    int64_t least, greatest; /* values on the axis */
} panel;

static double figure(const sweep_point *p, quantity what, bool floor_of) {
    if (what == TIME) return (floor_of ? p->floor_seconds : p->seconds) * 1e3;
    return floor_of ? p->floor_megabytes : p->megabytes;
}

static double across(const panel *p, int64_t value) {
    double range = log2((double)p->greatest / (double)p->least);
    return p->box.x + (range > 0 ? log2((double)value / (double)p->least) / range : 0.5) * p->box.width;
}

static double down(const panel *p, double value) {
    return p->box.y + (p->high - log10(value)) / (p->high - p->low) * p->box.height;
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
    const svg_box *box = &p->box;
    char text[64];
    for (int decade = (int)p->low; decade <= (int)p->high; decade++) {
        double y = down(p, pow(10, decade));
        svg_line(p->out, box->x, y, box->x + box->width, y);
        snprintf(text, sizeof text, "%g", pow(10, decade));
        svg_text(p->out, box->x - 6, y + 5, "end", text);
    }
    for (int i = 0; i < p->sweep->count; i++) {
        const sweep_point *point = &p->sweep->points[i];
        if (point->axis != p->axis || !is_drawn(point, p->what)) continue;
        snprintf(text, sizeof text, "%" PRId64, point->value);
        svg_line(p->out, across(p, point->value), box->y, across(p, point->value), box->y + box->height);
        svg_text(p->out, across(p, point->value), box->y + box->height + 18, "middle", text);
    }
    snprintf(text, sizeof text, "%s, by %s", quantity_names[p->what], sweep_axis_name(p->axis));
    svg_text(p->out, box->x + box->width / 2, box->y - 12, "middle", text);
}

static void draw_curve(const panel *p, bool floor_of) {
    const char *color = floor_of ? "#888" : "#06c", *dashes = floor_of ? "4 3" : "none";
    fprintf(p->out,
            "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" stroke-dasharray=\"%s\" points=\"",
            color, dashes);
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

static void draw_panel(panel *p) {
    if (!find_values(p)) return;
    find_decades(p->sweep, p->what, &p->low, &p->high);
    draw_grid(p);
    draw_curve(p, true);
    draw_curve(p, false);
}

/* A single axis has its panels side by side, several have one column each. */
static svg_grid grid_of(int axes) {
    return axes > 1 ? (svg_grid){axes, QUANTITIES, 1} : (svg_grid){QUANTITIES, 1, 1};
}

static void draw_panels(FILE *out, const bench_sweep *sweep, const sweep_axis *axes, int count) {
    const svg_grid grid = grid_of(count);
    for (int i = 0; i < count; i++)
        for (int what = 0; what < QUANTITIES; what++) {
            panel p = {.out = out, .sweep = sweep, .axis = axes[i], .what = (quantity)what};
            p.box = count > 1 ? svg_panel(&grid, i, what) : svg_panel(&grid, what, 0);
            draw_panel(&p);
        }
}

/* The axes of which something is drawn. */
static int find_axes(const bench_sweep *sweep, sweep_axis axes[SWEEP_AXES]) {
    int count = 0;
    for (int i = 0; i < sweep->count; i++) {
        const sweep_point *p = &sweep->points[i];
        if (!is_drawn(p, TIME) && !is_drawn(p, MEMORY)) continue;
        if (count == 0 || axes[count - 1] != p->axis) axes[count++] = p->axis;
    }
    return count;
}

p2p_status bench_sweep_plot(const bench_sweep *sweep, const char *path) {
    sweep_axis axes[SWEEP_AXES];
    const int count = find_axes(sweep, axes);
    const svg_grid grid = grid_of(count);
    const svg_box foot = svg_foot(&grid, 0);
    svg_picture svg;
    P2P_TRY(svg_begin(&svg, path));
    draw_panels(svg.out, sweep, axes, count);
    svg_text(svg.out, foot.x, foot.y, "start",
             "points: measured; dashed: convolutions at the best rate, and weights, gradients and moments");
    return svg_finish(&svg, P2P_OK);
}
