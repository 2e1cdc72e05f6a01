/* A prediction as tables, JSON and a picture. See bench_predict.h. */
#include "bench_chart.h"
#include "bench_predict.h"
#include "bench_report.h"
#include "host/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

/* ---- Tables ------------------------------------------------------------------------------------------- */

static double reduced_bytes(const bench_segments *segments) {
    double bytes = 0;
    for (int i = 0; i < segments->count; i++) bytes += segments->of[i].bytes;
    return bytes;
}

static void print_machine(const predict_machine *m) {
    printf("%-16s", m->machine->name);
    for (int i = 0; i < PREDICT_COUNTS; i++) {
        if (isnan(m->efficiency[i]))
            printf(" %6s", "-");
        else
            printf(" %6.1f", 100 * m->efficiency[i]);
    }
    printf("\n");
}

/* What takes the time of the reduction that is waited for: "bandwidth of PCIe". */
static void print_cause(const model_machine *machine, predict_cause cause, char *text, size_t size) {
    const model_link *link = cause == PREDICT_INSIDE ? &machine->inside : &machine->between;
    if (cause == PREDICT_LATENCY)
        snprintf(text, size, "latency");
    else
        snprintf(text, size, "bandwidth of %s", link->name);
}

static void print_remedy(const predict_break *first) {
    if (first->accumulate > 0)
        printf("; --grad-accumulate %d: %.1f %%\n", first->accumulate, 100 * first->remedied);
    else
        printf("; --grad-accumulate 64: %.1f %%\n", 100 * first->remedied);
}

static void print_break(const bench_prediction *prediction, const predict_batch *batch,
                        const predict_machine *m) {
    const predict_break *first = &m->first;
    char cause[64];
    if (first->at < 0) return;
    print_cause(m->machine, first->cause, cause, sizeof cause);
    printf("%s: below %.0f %% from %" PRId64
           " devices on, by %s: reduction %d of %d, ready after %.0f %% of a "
           "step",
           m->machine->name, 100 * PREDICT_LIMIT, prediction->devices[first->at], cause, first->reduction + 1,
           batch->segments.reductions, 100 * first->ready);
    print_remedy(first);
}

static void print_batch(const bench_prediction *prediction, const predict_batch *batch) {
    printf("\nbatch %" PRId64 ": a step of %.3f ms, %d reductions of %.1f MB\n%-16s", batch->batch,
           batch->step_s * 1e3, batch->segments.reductions, reduced_bytes(&batch->segments) * 1e-6,
           "efficiency, %");
    for (int i = 0; i < PREDICT_COUNTS; i++) printf(" %6" PRId64, prediction->devices[i]);
    printf("\n");
    for (int i = 0; i < batch->machine_count; i++) print_machine(&batch->machines[i]);
    for (int i = 0; i < batch->machine_count; i++) print_break(prediction, batch, &batch->machines[i]);
}

static void print_tables(const settings *all, const bench_prediction *prediction) {
    int count;
    const model_machine *machines = model_machines(&count);
    text_line(stdout, "prediction for devices like %s, %s", prediction->device, prediction->device_name);
    printf("%s, %" PRId64 "x%" PRId64 " pixels, %" PRId64 " and %" PRId64
           " filters; Ethernet is between nodes of %d "
           "devices on NVLink\n",
           prediction->precision, all->size, all->size, all->ngf, all->ndf, machines[0].node);
    for (int i = 0; i < prediction->count; i++)
        if (prediction->batches[i].fits) print_batch(prediction, &prediction->batches[i]);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static json_t *segments_to_json(const bench_segments *segments) {
    json_t *array = json_array();
    for (int i = 0; i < segments->count; i++) {
        const model_segment *s = &segments->of[i];
        array = bench_append_json(
            array, json_pack("{s:f, s:i, s:f}", "s", s->seconds, "needed", s->needed, "bytes", s->bytes));
    }
    return array;
}

static json_t *points_to_json(const int64_t *devices, const predict_machine *m) {
    json_t *array = json_array();
    for (int i = 0; i < PREDICT_COUNTS; i++) {
        const model_step *step = &m->steps[i];
        if (isnan(m->efficiency[i])) continue;
        array = bench_append_json(array, json_pack("{s:I, s:f, s:f, s:f}", "devices", (json_int_t)devices[i],
                                                   "efficiency", m->efficiency[i], "step_s", step->seconds,
                                                   "reduction_s", step->reduced));
    }
    return array;
}

static json_t *break_to_json(const int64_t *devices, const predict_machine *m) {
    static const char *const causes[] = {
        [PREDICT_LATENCY] = "latency", [PREDICT_INSIDE] = "inside", [PREDICT_BETWEEN] = "between"};
    const predict_break *first = &m->first;
    if (first->at < 0) return json_null();
    return json_pack("{s:I, s:i, s:s, s:f, s:i, s:f}", "devices", (json_int_t)devices[first->at], "reduction",
                     first->reduction, "cause", causes[first->cause], "ready", first->ready,
                     "grad_accumulate", first->accumulate, "efficiency", first->remedied);
}

static json_t *machines_to_json(const int64_t *devices, const predict_batch *batch) {
    json_t *array = json_array();
    for (int i = 0; i < batch->machine_count; i++) {
        const predict_machine *m = &batch->machines[i];
        array = bench_append_json(array,
                                  json_pack("{s:s, s:o, s:o}", "name", m->machine->name, "points",
                                            points_to_json(devices, m), "breaks", break_to_json(devices, m)));
    }
    return array;
}

static json_t *batches_to_json(const bench_prediction *prediction) {
    json_t *array = json_array();
    for (int i = 0; i < prediction->count; i++) {
        const predict_batch *batch = &prediction->batches[i];
        array =
            bench_append_json(array, json_pack("{s:I, s:b, s:f, s:o, s:o}", "batch", (json_int_t)batch->batch,
                                               "fits", batch->fits, "step_s", batch->step_s, "segments",
                                               segments_to_json(&batch->segments), "machines",
                                               machines_to_json(prediction->devices, batch)));
    }
    return array;
}

static json_t *prediction_to_json(const settings *all, const bench_prediction *prediction) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "what", "prediction", "version",
                     P2P_VERSION, "device", prediction->device, "device_name", prediction->device_name,
                     "precision", prediction->precision, "size", (json_int_t)all->size, "ngf",
                     (json_int_t)all->ngf, "ndf", (json_int_t)all->ndf, "batches",
                     batches_to_json(prediction));
}

p2p_status bench_predict_report(const settings *all, const bench_prediction *prediction) {
    if (all->json) return bench_print_json(prediction_to_json(all, prediction));
    print_tables(all, prediction);
    return P2P_OK;
}

/* ---- The picture -------------------------------------------------------------------------------------- */

static void draw_batch(const bench_prediction *prediction, int number, const svg_grid *grid, FILE *out) {
    const predict_batch *batch = &prediction->batches[number];
    chart_curve curves[PREDICT_MACHINES];
    double percent[PREDICT_MACHINES][PREDICT_COUNTS];
    char title[64];
    for (int i = 0; i < batch->machine_count; i++) {
        for (int k = 0; k < PREDICT_COUNTS; k++) percent[i][k] = 100 * batch->machines[i].efficiency[k];
        curves[i] = (chart_curve){batch->machines[i].machine->name, percent[i], i, false};
    }
    snprintf(title, sizeof title, "predicted efficiency at batch %" PRId64 " per device, %%", batch->batch);
    const chart c = {title, prediction->devices, PREDICT_COUNTS, curves, batch->machine_count, 100};
    chart_draw(&c, out, svg_panel(grid, number, 0));
    if (number == 0) chart_legend(&c, out, grid);
}

/* The number of batches that fit. They come first, and there is at least one. */
static int count_fitting(const bench_prediction *prediction) {
    int count = 0;
    while (count < prediction->count && prediction->batches[count].fits) count++;
    return count;
}

p2p_status bench_predict_plot(const bench_prediction *prediction, const char *path) {
    svg_picture svg;
    char caption[160];
    const int legend_lines = (prediction->batches[0].machine_count + CHART_NAMES - 1) / CHART_NAMES;
    const int count = count_fitting(prediction);
    const svg_grid grid = {count, 1, legend_lines + 1};
    const svg_box foot = svg_foot(&grid, legend_lines);
    snprintf(caption, sizeof caption,
             "segments measured on %s; Ethernet is between nodes of devices on NVLink", prediction->device);
    P2P_TRY(svg_begin(&svg, path));
    for (int i = 0; i < count; i++) draw_batch(prediction, i, &grid, svg.out);
    svg_text(svg.out, foot.x, foot.y, "start", caption);
    return svg_finish(&svg, P2P_OK);
}
