/* Validation and sample pictures. See validation.h. */
#include "validation.h"

#include "host/sys.h"
#include "image/picture_grid.h"

#include <math.h>
#include <stdlib.h>

struct validator {
    const dataset *validation; /* NULL: none */
    const dataset *shown;      /* of the grid's samples */
    pair_form form;
    ranks *ranks; /* NULL: one */
    double baseline_l1;
    picture_grid grid; /* of the last run, until it is written */
};

static size_t target_values(const validator *shown) {
    return (size_t)shown->form.size * (size_t)shown->form.size * (size_t)shown->form.format.target.channels;
}

static double value_at(const image *picture, size_t index) {
    return picture->bits == 8 ? ((const uint8_t *)picture->pixels)[index]
                              : ((const uint16_t *)picture->pixels)[index];
}

static p2p_status add_targets(validator *shown, const dataset *training, int64_t count, double *sum) {
    for (int64_t i = 0; i < count; i++) {
        image input, target;
        P2P_TRY(evaluate_load_pair(training, i, &shown->form, &input, &target));
        for (size_t j = 0; j < target_values(shown); j++) sum[j] += value_at(&target, j);
        image_free(&input);
        image_free(&target);
    }
    return P2P_OK;
}

/* Mean |mean - target| over the validation pairs, of samples scaled to [-1, 1] as in the L1 loss. */
static p2p_status compare_with_mean(validator *shown, int64_t count, const double *sum) {
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

static p2p_status measure_baseline(validator *shown, const dataset *training) {
    int64_t count = dataset_count(training);
    if (count > VALIDATION_BASELINE_PAIRS) count = VALIDATION_BASELINE_PAIRS;
    double *sum = calloc(target_values(shown), sizeof *sum);
    if (!sum) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the mean training target");
    p2p_status status = add_targets(shown, training, count, sum);
    if (status == P2P_OK) status = compare_with_mean(shown, count, sum);
    free(sum);
    return status;
}

p2p_status validation_create(validator **result, const dataset *training, const dataset *validation,
                             const pair_form *form, ranks *together) {
    *result = NULL;
    validator *shown = calloc(1, sizeof *shown);
    if (!shown) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    *shown = (validator){.validation = validation,
                         .shown = validation ? validation : training,
                         .form = *form,
                         .ranks = together};
    const bool measures = validation && ranks_number(together) == 0;
    p2p_status status = measures ? measure_baseline(shown, training) : P2P_OK;
    if (status != P2P_OK) {
        validation_destroy(shown);
        return status;
    }
    *result = shown;
    return P2P_OK;
}

void validation_destroy(validator *shown) {
    if (shown) picture_grid_free(&shown->grid);
    free(shown);
}

double validation_baseline_l1(const validator *shown) {
    return shown->baseline_l1;
}

/* ---- Running pictures --------------------------------------------------------------------------------- */

typedef struct {
    picture_grid *grid;
    const dataset *data;
    quality *measured; /* per pair; zeros for those of other ranks */
} shown_pairs;

static p2p_status show_pair(void *context, const evaluated_pair *pair) {
    shown_pairs *pairs = context;
    P2P_TRY(sys_stop_check());
    P2P_TRY(quality_of_images(pair->generated, pair->target, &pairs->measured[pair->sample]));
    if (pair->sample >= pairs->grid->columns) return P2P_OK;
    const picture_grid_column column = {dataset_name(pairs->data, pair->sample), pair->input, pair->generated,
                                        pair->target};
    return picture_grid_put(pairs->grid, (int)pair->sample, &column);
}

/* A failure of one rank ends the validation in all, and so does a signal to one. */
static p2p_status agree_on_end(const validator *shown, p2p_status status) {
    const int mine = sys_stop_signal(), size = ranks_size(shown->ranks);
    if (!shown->ranks) return status;
    P2P_TRY(ranks_agree(shown->ranks, status == P2P_STOPPED ? P2P_OK : status));
    int *all = calloc((size_t)size, sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    status = ranks_gather(shown->ranks, &mine, sizeof mine, all);
    for (int i = 0; i < size && status == P2P_OK; i++) {
        if (all[i] == 0) continue;
        sys_stop_adopt(all[i]);
        status = sys_stop_check();
    }
    free(all);
    return status;
}

/* The mean over the pairs of all ranks, in the order of pairs. */
static p2p_status find_mean(const validator *shown, quality *measured, int64_t count, quality *mean) {
    enum { NUMBERS = sizeof(quality) / sizeof(double) };
    quality_total total = {.pictures = 0};
    P2P_TRY(ranks_add(shown->ranks, &measured->l1, NUMBERS * (size_t)count));
    for (int64_t i = 0; i < count; i++) quality_add(&total, &measured[i]);
    if (shown->validation) *mean = quality_mean(&total);
    return P2P_OK;
}

static p2p_status run_pairs(validator *shown, const evaluator *e, int64_t count, quality *measured,
                            quality *mean) {
    shown_pairs pairs = {.grid = &shown->grid, .data = shown->shown, .measured = measured};
    evaluator divided = *e;
    divided.first = shown->grid.columns;
    P2P_TRY(
        agree_on_end(shown, evaluate_pairs(&divided, shown->shown, &shown->form, count, show_pair, &pairs)));
    return find_mean(shown, measured, count, mean);
}

p2p_status validation_run(validator *shown, const evaluator *e, const char *title, quality *mean) {
    const int64_t samples = dataset_count(shown->shown);
    const int columns = picture_grid_columns(samples, shown->form.size);
    const int64_t count = shown->validation ? samples : columns;
    quality *measured = calloc((size_t)count + 1, sizeof *measured);
    if (!measured) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    picture_grid_free(&shown->grid);
    shown->grid = (picture_grid){.columns = columns};
    snprintf(shown->grid.title, sizeof shown->grid.title, "%s", title);
    const p2p_status status = run_pairs(shown, e, count, measured, mean);
    free(measured);
    return status;
}

p2p_status validation_save_grid(validator *shown, const char *path, const char *label) {
    return picture_grid_save(&shown->grid, path, label);
}
