/* Validation and sample pictures. See report.h. */
#include "report.h"

#include "evaluate.h"

#include <math.h>
#include <stdlib.h>

struct report {
    const dataset *validation; /* NULL: none */
    const dataset *shown;      /* where the grid's samples come from */
    int size;
    double baseline_l1;
    uint8_t *input, *target; /* one picture each */
    float *planes;
};

static size_t picture_bytes(const report *shown) {
    return (size_t)shown->size * (size_t)shown->size * IMAGE_CHANNELS;
}

static p2p_status add_targets(report *shown, const dataset *training, int64_t count, double *sum) {
    for (int64_t i = 0; i < count; i++) {
        P2P_TRY(evaluate_load_pair(training, i, shown->size, shown->input, shown->target));
        for (size_t j = 0; j < picture_bytes(shown); j++) sum[j] += shown->target[j];
    }
    return P2P_OK;
}

/* Mean |mean - target| over the validation pairs, in the [-1, 1] units of the L1 loss. */
static p2p_status compare_with_mean(report *shown, int64_t count, const double *sum) {
    double total = 0;
    int64_t pairs = dataset_count(shown->validation);
    for (int64_t i = 0; i < pairs; i++) {
        P2P_TRY(evaluate_load_pair(shown->validation, i, shown->size, shown->input, shown->target));
        for (size_t j = 0; j < picture_bytes(shown); j++)
            total += fabs(sum[j] / (double)count - shown->target[j]);
    }
    shown->baseline_l1 = total / 127.5 / (double)picture_bytes(shown) / (double)pairs;
    return P2P_OK;
}

static p2p_status measure_baseline(report *shown, const dataset *training) {
    int64_t count = dataset_count(training);
    if (count > REPORT_BASELINE_PAIRS) count = REPORT_BASELINE_PAIRS;
    double *sum = calloc(picture_bytes(shown), sizeof *sum);
    if (!sum) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the mean training target");
    p2p_status status = add_targets(shown, training, count, sum);
    if (status == P2P_OK) status = compare_with_mean(shown, count, sum);
    free(sum);
    return status;
}

p2p_status report_create(report **result, const dataset *training, const dataset *validation, int size) {
    *result = NULL;
    report *shown = calloc(1, sizeof *shown);
    if (!shown) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    *shown = (report){.validation = validation, .shown = validation ? validation : training, .size = size};
    shown->input = malloc(picture_bytes(shown));
    shown->target = malloc(picture_bytes(shown));
    shown->planes = malloc(picture_bytes(shown) * sizeof *shown->planes);
    p2p_status status = P2P_OK;
    if (!shown->input || !shown->target || !shown->planes)
        status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation pictures of %dx%d", size, size);
    if (status == P2P_OK && validation) status = measure_baseline(shown, training);
    if (status != P2P_OK) {
        report_destroy(shown);
        return status;
    }
    *result = shown;
    return P2P_OK;
}

void report_destroy(report *shown) {
    if (!shown) return;
    free(shown->input);
    free(shown->target);
    free(shown->planes);
    free(shown);
}

double report_baseline_l1(const report *shown) {
    return shown->baseline_l1;
}

static p2p_status copy_picture(const uint8_t *pixels, int size, image *cell) {
    P2P_TRY(image_create(cell, size, size));
    for (size_t i = 0; i < (size_t)size * (size_t)size * IMAGE_CHANNELS; i++) cell->pixels[i] = pixels[i];
    return P2P_OK;
}

/* The sample's column of the grid: cells[column], cells[columns + column], cells[2 columns + column]. */
static p2p_status keep_column(const report *shown, image *cells, int columns, int column) {
    P2P_TRY(copy_picture(shown->input, shown->size, &cells[column]));
    P2P_TRY(image_from_planes(shown->planes, shown->size, shown->size, &cells[columns + column]));
    return copy_picture(shown->target, shown->size, &cells[2 * columns + column]);
}

static p2p_status save_grid(const image *cells, int columns, const char *path) {
    image grid = {0};
    P2P_TRY(image_grid(cells, 3, columns, &grid));
    p2p_status status = image_save(path, &grid);
    image_free(&grid);
    return status;
}

static p2p_status run_samples(report *shown, p2p_plan *plan, int64_t count, image *cells, int columns,
                              double *total) {
    for (int64_t i = 0; i < count; i++) {
        double l1;
        P2P_TRY(evaluate_load_pair(shown->shown, i, shown->size, shown->input, shown->target));
        P2P_TRY(
            evaluate_image(plan, shown->input, shown->target, shown->size, shown->size, shown->planes, &l1));
        *total += l1;
        if (i < columns) P2P_TRY(keep_column(shown, cells, columns, (int)i));
    }
    return P2P_OK;
}

p2p_status report_run(report *shown, p2p_plan *plan, const char *grid_path, double *val_l1) {
    int64_t samples = dataset_count(shown->shown);
    int columns = samples < REPORT_GRID_SAMPLES ? (int)samples : REPORT_GRID_SAMPLES;
    int64_t count = shown->validation ? samples : columns;
    image cells[3 * REPORT_GRID_SAMPLES] = {{0}};
    double total = 0;
    p2p_status status = run_samples(shown, plan, count, cells, columns, &total);
    if (status == P2P_OK) status = save_grid(cells, columns, grid_path);
    for (int i = 0; i < 3 * columns; i++) image_free(&cells[i]);
    if (status == P2P_OK && shown->validation) *val_l1 = total / (double)count;
    return status;
}
