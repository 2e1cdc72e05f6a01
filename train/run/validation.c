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
    picture_grid grid;              /* of the last run, until it is written */
    int64_t left_out;               /* pairs of the last run, in all ranks */
    char reason[P2P_MESSAGE_BYTES]; /* of the first that was left out here; "": none was */
};

static p2p_status no_pair_left(const char *kind) {
    p2p_fail(P2P_INPUT, "no usable %s pair is left: all were left out as unusable", kind);
    return p2p_hint(P2P_INPUT, "replace them; without --on-bad-image skip the first is named");
}

static size_t target_values(const validator *shown) {
    return (size_t)shown->form.size * (size_t)shown->form.size * (size_t)shown->form.format.target.channels;
}

/* Load a pair's target. It is empty if the pair is left out. */
static p2p_status load_target(const validator *shown, const dataset *data, int64_t sample, image *target) {
    image input;
    const p2p_status status = evaluate_load_pair(data, sample, &shown->form, &input, target);
    image_free(&input);
    return dataset_leaves_out(data, status) ? P2P_OK : status;
}

/* *taken receives the number of pairs that are not left out. */
static p2p_status add_targets(const validator *shown, const dataset *training, int64_t count, double *sum,
                              int64_t *taken) {
    *taken = 0;
    for (int64_t i = 0; i < count; i++) {
        image target;
        P2P_TRY(load_target(shown, training, i, &target));
        if (!target.pixels) continue;
        for (size_t j = 0; j < target_values(shown); j++) sum[j] += image_sample(&target, j);
        image_free(&target);
        ++*taken;
    }
    return *taken > 0 ? P2P_OK : no_pair_left("training");
}

/* Mean |mean - target| over the validation pairs, of samples scaled to [-1, 1] as in the L1 loss. */
static p2p_status compare_with_mean(validator *shown, int64_t count, const double *sum) {
    const double half = shown->form.format.target.bits == 8 ? 127.5 : 32767.5;
    double total = 0;
    int64_t taken = 0;
    for (int64_t i = 0; i < dataset_count(shown->validation); i++) {
        image target;
        P2P_TRY(load_target(shown, shown->validation, i, &target));
        if (!target.pixels) continue;
        for (size_t j = 0; j < target_values(shown); j++)
            total += fabs(sum[j] / (double)count - image_sample(&target, j));
        image_free(&target);
        taken++;
    }
    if (taken == 0) return no_pair_left("validation");
    shown->baseline_l1 = total / half / (double)target_values(shown) / (double)taken;
    return P2P_OK;
}

static p2p_status measure_baseline(validator *shown, const dataset *training) {
    int64_t count = dataset_count(training), taken;
    if (count > VALIDATION_BASELINE_PAIRS) count = VALIDATION_BASELINE_PAIRS;
    double *sum = calloc(target_values(shown), sizeof *sum);
    if (!sum) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the mean training target");
    p2p_status status = add_targets(shown, training, count, sum, &taken);
    if (status == P2P_OK) status = compare_with_mean(shown, taken, sum);
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

/* The metrics of a pair: zero for pairs of other ranks and pairs that are left out. */
typedef struct {
    quality measured;
    double taken; /* 1: measured */
} pair_result;

typedef struct {
    validator *shown;
    pair_result *results;
} shown_pairs;

/* Keep the reason of the first. */
static p2p_status leave_out(validator *shown) {
    if (!shown->reason[0]) snprintf(shown->reason, sizeof shown->reason, "%s", p2p_message());
    return P2P_OK;
}

static p2p_status show_pair(void *context, const evaluated_pair *pair) {
    const shown_pairs *pairs = context;
    validator *shown = pairs->shown;
    pair_result *result = &pairs->results[pair->sample];
    if (!pair->generated) return leave_out(shown);
    P2P_TRY(sys_stop_check());
    P2P_TRY(quality_of_images(pair->generated, pair->target, &result->measured));
    result->taken = 1;
    if (pair->sample >= shown->grid.columns) return P2P_OK;
    const picture_grid_column column = {dataset_name(shown->shown, pair->sample), pair->input,
                                        pair->generated, pair->target};
    return picture_grid_put(&shown->grid, (int)pair->sample, &column);
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
static p2p_status find_mean(validator *shown, pair_result *results, int64_t count, quality *mean) {
    enum { NUMBERS = sizeof(pair_result) / sizeof(double) };
    quality_total total = {.pictures = 0};
    P2P_TRY(ranks_add(shown->ranks, &results->measured.l1, NUMBERS * (size_t)count));
    for (int64_t i = 0; i < count; i++)
        if (results[i].taken > 0) quality_add(&total, &results[i].measured);
    shown->left_out = count - total.pictures;
    if (!shown->validation) return P2P_OK;
    if (total.pictures == 0) return no_pair_left("validation");
    *mean = quality_mean(&total);
    return P2P_OK;
}

/* Rank 0 runs the pairs of the grid. */
static p2p_status run_pairs(validator *shown, const evaluator *e, int64_t count, pair_result *results) {
    shown_pairs pairs = {.shown = shown, .results = results};
    evaluator divided = *e;
    divided.first = shown->grid.columns;
    return agree_on_end(shown,
                        evaluate_pairs(&divided, shown->shown, &shown->form, count, show_pair, &pairs));
}

static void begin_grid(validator *shown, const char *title) {
    picture_grid_free(&shown->grid);
    shown->grid =
        (picture_grid){.columns = picture_grid_columns(dataset_count(shown->shown), shown->form.size)};
    snprintf(shown->grid.title, sizeof shown->grid.title, "%s", title);
    shown->reason[0] = '\0';
}

/* Run `count` pairs, or those of the grid if there are more; *mean is theirs unless `mean` is NULL. */
static p2p_status run(validator *shown, const evaluator *e, const char *title, int64_t count, quality *mean) {
    begin_grid(shown, title);
    if (count < shown->grid.columns) count = shown->grid.columns;
    pair_result *results = calloc((size_t)count + 1, sizeof *results);
    if (!results) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    p2p_status status = run_pairs(shown, e, count, results);
    if (status == P2P_OK && mean) status = find_mean(shown, results, count, mean);
    free(results);
    return status;
}

p2p_status validation_run(validator *shown, const evaluator *e, const char *title, quality *mean) {
    return run(shown, e, title, shown->validation ? dataset_count(shown->validation) : 0, mean);
}

p2p_status validation_draw(validator *shown, const evaluator *e, const char *title) {
    return run(shown, e, title, 0, NULL);
}

p2p_status validation_save_grid(validator *shown, const char *path, const char *label) {
    return shown->grid.picture.pixels ? picture_grid_save(&shown->grid, path, label) : P2P_OK;
}

int64_t validation_left_out(const validator *shown, const char **reason) {
    *reason = shown->reason[0] ? shown->reason : "one of another rank";
    return shown->validation ? shown->left_out : 0;
}
