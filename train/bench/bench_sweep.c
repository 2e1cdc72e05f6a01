/* Measurements along the axes, and their table or JSON. See bench_sweep.h. */
#include "bench_sweep.h"

#include "bench.h"
#include "bench_report.h"
#include "host/text.h"
#include "setup/setup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t values[SWEEP_MOST_VALUES]; /* a shorter list ends with 0 */
} axes[SWEEP_AXES] = {
    [SWEEP_BATCH] = {"batch", {1, 2, 4, 8, 16, 32}},
    [SWEEP_SIZE] = {"size", {64, 128, 256, 512, 1024}},
    [SWEEP_FILTERS] = {"filters", {16, 32, 64, 128}},
};

const char *sweep_axis_name(sweep_axis axis) {
    return axes[axis].name;
}

/* ---- Measuring ---------------------------------------------------------------------------------------- */

/* The given settings with the point's value on its axis. The strings still belong to `all`. */
static settings settings_at(const settings *all, const sweep_point *point) {
    settings at = *all;
    if (point->axis == SWEEP_BATCH) at.batch = point->value;
    if (point->axis == SWEEP_SIZE) at.size = point->value;
    if (point->axis == SWEEP_FILTERS) at.ngf = at.ndf = point->value;
    return at;
}

static p2p_status measure_opened(bench *b, int steps, bench_profile *profile, sweep_point *point) {
    bench_speed speed;
    P2P_TRY(bench_measure_speed(b, steps, &speed));
    P2P_TRY(bench_profile_take(b, 1, profile));
    double images = (double)bench_images(b);
    point->fits = true;
    point->math = bench_profile_math(profile);
    point->seconds = speed.step_s.median / images;
    point->gflop = bench_profile_convolution_flops(profile) * 1e-9 / images;
    point->megabytes = (double)speed.memory.total * 1e-6;
    point->floor_megabytes =
        (double)(speed.memory.parameters + speed.memory.gradients + speed.memory.moments) * 1e-6;
    return P2P_OK;
}

static p2p_status measure_point(const settings *all, int steps, sweep_point *point) {
    settings at = settings_at(all, point);
    bench b;
    bench_profile profile = {0};
    fprintf(stderr, "%s %" PRId64 "\n", axes[point->axis].name, point->value);
    p2p_status status = bench_open(&b, &at, NULL, strcmp(all->what, "train") == 0);
    if (status == P2P_OK) status = measure_opened(&b, steps, &profile, point);
    bench_profile_free(&profile);
    bench_close(&b);
    return status;
}

static p2p_status measure_axis(const settings *all, int steps, sweep_axis axis, bench_sweep *sweep) {
    for (int i = 0; i < SWEEP_MOST_VALUES && axes[axis].values[i] > 0; i++) {
        sweep_point *point = &sweep->points[sweep->count++];
        *point = (sweep_point){.axis = axis, .value = axes[axis].values[i]};
        p2p_status status = measure_point(all, steps, point);
        if (status == P2P_OUT_OF_MEMORY) {
            text_line(stderr, "%s %" PRId64 " does not fit: %s", axes[axis].name, point->value,
                      p2p_message());
            return P2P_OK;
        }
        P2P_TRY(status);
    }
    return P2P_OK;
}

static p2p_status measure_ceilings(const settings *all, bench_sweep *sweep) {
    p2p_device *device = NULL;
    P2P_TRY(setup_device_open(all, &device));
    p2p_status status = bench_measure_peaks(
        device, sweep->count > 0 ? sweep->points[0].math : P2P_MATH_stored, &sweep->peaks);
    p2p_device_close(device);
    for (int i = 0; i < sweep->count; i++)
        sweep->points[i].floor_seconds = bench_rate(sweep->points[i].gflop * 1e9, sweep->peaks.flops_per_s);
    return status;
}

p2p_status bench_sweep_measure(const settings *all, int steps, bench_sweep *sweep) {
    *sweep = (bench_sweep){0};
    for (int axis = 0; axis < SWEEP_AXES; axis++) {
        if (strcmp(all->sweep, "all") == 0 || strcmp(all->sweep, axes[axis].name) == 0)
            P2P_TRY(measure_axis(all, steps, (sweep_axis)axis, sweep));
    }
    return measure_ceilings(all, sweep);
}

/* ---- Reporting ---------------------------------------------------------------------------------------- */

static void print_point(const sweep_point *p) {
    printf("%-8s %6" PRId64 " ", axes[p->axis].name, p->value);
    if (!p->fits) {
        printf("%s\n", "does not fit");
        return;
    }
    printf("%12.3f %12.3f %10.2f %14.3f %14.1f %14.1f\n", p->seconds * 1e3, p->floor_seconds * 1e3, p->gflop,
           p->seconds * 1e3 / p->gflop, p->megabytes, p->floor_megabytes);
}

static void print_table(const settings *all, const bench_sweep *sweep) {
    printf("%s; otherwise batch %" PRId64 ", %" PRId64 "x%" PRId64 " pixels, %" PRId64 " filters\n",
           all->what, all->batch, all->size, all->size, all->ngf);
    bench_print_peaks(&sweep->peaks);
    printf("\n");
    printf("%-15s %12s %12s %10s %14s %14s %14s\n", "", "ms per image", "floor", "GFLOP", "ms per GFLOP",
           "MB", "floor");
    for (int i = 0; i < sweep->count; i++) print_point(&sweep->points[i]);
}

static json_t *point_to_json(const sweep_point *p) {
    return json_pack("{s:s, s:I, s:b, s:f, s:f, s:f, s:f, s:f}", "axis", axes[p->axis].name, "value",
                     (json_int_t)p->value, "fits", (int)p->fits, "gflop_per_image", p->gflop, "s_per_image",
                     p->seconds, "floor_s_per_image", p->floor_seconds, "device_mb", p->megabytes, "floor_mb",
                     p->floor_megabytes);
}

static json_t *sweep_to_json(const settings *all, const bench_sweep *sweep) {
    json_t *points = json_array();
    for (int i = 0; points && i < sweep->count; i++) {
        if (json_array_append_new(points, point_to_json(&sweep->points[i])) == 0) continue;
        json_decref(points);
        points = NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:s, s:o}", "what", all->what, "version",
                     P2P_VERSION, "sweep", all->sweep, "batch", (json_int_t)all->batch, "size",
                     (json_int_t)all->size, "ngf", (json_int_t)all->ngf, "ndf", (json_int_t)all->ndf,
                     "peak_gflops", sweep->peaks.flops_per_s * 1e-9, "peak_source",
                     bench_peak_source(&sweep->peaks), "points", points);
}

p2p_status bench_sweep_report(const settings *all, const bench_sweep *sweep) {
    if (all->json) return bench_print_json(sweep_to_json(all, sweep));
    print_table(all, sweep);
    return P2P_OK;
}
