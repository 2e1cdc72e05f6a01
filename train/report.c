/* Validation and sample pictures. See report.h. */
#include "report.h"

#include "sys.h"

#include <math.h>
#include <stdlib.h>

struct report {
    const dataset *validation; /* NULL: none */
    const dataset *shown;      /* where the grid's samples come from */
    pair_form form;
    double baseline_l1;
};

static size_t target_values(const report *shown) {
    return (size_t)shown->form.size * (size_t)shown->form.size * (size_t)shown->form.format.target.channels;
}

static double value_at(const image *picture, size_t index) {
    return picture->bits == 8 ? ((const uint8_t *)picture->pixels)[index]
                              : ((const uint16_t *)picture->pixels)[index];
}

static p2p_status add_targets(report *shown, const dataset *training, int64_t count, double *sum) {
    for (int64_t i = 0; i < count; i++) {
        image input, target;
        P2P_TRY(evaluate_load_pair(training, i, &shown->form, &input, &target));
        for (size_t j = 0; j < target_values(shown); j++) sum[j] += value_at(&target, j);
        image_free(&input);
        image_free(&target);
    }
    return P2P_OK;
}

/* Mean |mean - target| over the validation pairs, in the [-1, 1] units of the L1 loss. */
static p2p_status compare_with_mean(report *shown, int64_t count, const double *sum) {
    const double half = shown->form.format.target.bits == 8 ? 127.5 : 32767.5;
    double total = 0;
    int64_t pairs = dataset_count(shown->validation);
    for (int64_t i = 0; i < pairs; i++) {
        image input, target;
        P2P_TRY(evaluate_load_pair(shown->validation, i, &shown->form, &input, &target));
        for (size_t j = 0; j < target_values(shown); j++)
            total += fabs(sum[j] / (double)count - value_at(&target, j));
        image_free(&input);
        image_free(&target);
    }
    shown->baseline_l1 = total / half / (double)target_values(shown) / (double)pairs;
    return P2P_OK;
}

static p2p_status measure_baseline(report *shown, const dataset *training) {
    int64_t count = dataset_count(training);
    if (count > REPORT_BASELINE_PAIRS) count = REPORT_BASELINE_PAIRS;
    double *sum = calloc(target_values(shown), sizeof *sum);
    if (!sum) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the mean training target");
    p2p_status status = add_targets(shown, training, count, sum);
    if (status == P2P_OK) status = compare_with_mean(shown, count, sum);
    free(sum);
    return status;
}

p2p_status report_create(report **result, const dataset *training, const dataset *validation,
                         const pair_form *form) {
    *result = NULL;
    report *shown = calloc(1, sizeof *shown);
    if (!shown) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    *shown = (report){.validation = validation, .shown = validation ? validation : training, .form = *form};
    p2p_status status = validation ? measure_baseline(shown, training) : P2P_OK;
    if (status != P2P_OK) {
        report_destroy(shown);
        return status;
    }
    *result = shown;
    return P2P_OK;
}

void report_destroy(report *shown) {
    free(shown);
}

double report_baseline_l1(const report *shown) {
    return shown->baseline_l1;
}

/* ---- Running pictures --------------------------------------------------------------------------------- */

/* Pairs that run together, and what became of them. */
typedef struct {
    int count;
    image *inputs, *targets, *generated; /* of one allocation, which begins at inputs */
} picture_batch;

static void empty_batch(picture_batch *batch, int capacity) {
    for (int i = 0; i < 3 * capacity; i++) image_free(&batch->inputs[i]);
    batch->count = 0;
}

static p2p_status check_stop(void) {
    return sys_stop_signal() ? p2p_fail(P2P_STOPPED, "a signal asked to stop in validation") : P2P_OK;
}

static p2p_status run_batch(const report *shown, const evaluator *e, int64_t first, int count,
                            picture_batch *batch) {
    P2P_TRY(check_stop());
    batch->count = count;
    for (int i = 0; i < count; i++)
        P2P_TRY(
            evaluate_load_pair(shown->shown, first + i, &shown->form, &batch->inputs[i], &batch->targets[i]));
    return evaluate_pictures(e, count, batch->inputs, batch->generated);
}

/* A sample's column of the grid takes its pictures: cells[column], cells[columns + column], ... */
static p2p_status keep_column(picture_batch *batch, int index, image *cells, int columns, int column) {
    image *const rows[] = {&batch->inputs[index], &batch->generated[index], &batch->targets[index]};
    for (int row = 0; row < 3; row++) {
        image *cell = &cells[row * columns + column];
        *cell = *rows[row];
        *rows[row] = (image){0};
        P2P_TRY(image_reformat(cell, IMAGE_RGB8)); /* both sides of a pair may have forms of their own */
    }
    return P2P_OK;
}

/* Measure a batch that has run, and give the grid its share. */
static p2p_status use_batch(picture_batch *batch, int64_t first, image *cells, int columns,
                            quality_total *total) {
    for (int i = 0; i < batch->count; i++) {
        quality one;
        P2P_TRY(quality_of_images(&batch->generated[i], &batch->targets[i], &one));
        quality_add(total, &one);
        if (first + i < columns) P2P_TRY(keep_column(batch, i, cells, columns, (int)first + i));
    }
    return P2P_OK;
}

static p2p_status run_samples(const report *shown, const evaluator *e, int64_t count, image *cells,
                              int columns, quality_total *total) {
    picture_batch batch = {.inputs = calloc(3 * (size_t)e->batch, sizeof *batch.inputs)};
    if (!batch.inputs) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    batch.targets = batch.inputs + e->batch;
    batch.generated = batch.targets + e->batch;
    p2p_status status = P2P_OK;
    for (int64_t first = 0; first < count && status == P2P_OK; first += e->batch) {
        const int64_t left = count - first;
        status = run_batch(shown, e, first, left < e->batch ? (int)left : e->batch, &batch);
        if (status == P2P_OK) status = use_batch(&batch, first, cells, columns, total);
        empty_batch(&batch, e->batch);
    }
    free(batch.inputs);
    return status;
}

static p2p_status save_grid(const image *cells, int columns, const char *path) {
    image grid = {0};
    P2P_TRY(image_grid(cells, 3, columns, &grid));
    p2p_status status = image_save(path, &grid);
    image_free(&grid);
    return status;
}

p2p_status report_run(report *shown, const evaluator *e, const char *grid_path, quality *mean) {
    int64_t samples = dataset_count(shown->shown);
    int columns = samples < REPORT_GRID_SAMPLES ? (int)samples : REPORT_GRID_SAMPLES;
    int64_t count = shown->validation ? samples : columns;
    image cells[3 * REPORT_GRID_SAMPLES] = {{0}};
    quality_total total = {0};
    p2p_status status = run_samples(shown, e, count, cells, columns, &total);
    if (status == P2P_OK) status = save_grid(cells, columns, grid_path);
    for (int i = 0; i < 3 * columns; i++) image_free(&cells[i]);
    if (status == P2P_OK && shown->validation) *mean = quality_mean(&total);
    return status;
}
