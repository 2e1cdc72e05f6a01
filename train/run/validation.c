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

static size_t target_values(const validator *v) {
    return (size_t)v->form.size * (size_t)v->form.size * (size_t)v->form.format.target.channels;
}

/* Load a pair's target. It is empty if the pair is left out. */
static p2p_status load_target(const validator *v, const dataset *data, int64_t sample, image *target) {
    image input;
    const p2p_status status = evaluate_load_pair(data, sample, &v->form, &input, target);
    image_free(&input);
    return dataset_leaves_out(data, status) ? P2P_OK : status;
}

/* *taken receives the number of pairs that are not left out. */
static p2p_status add_targets(const validator *v, const dataset *training, int64_t count, double *sum,
                              int64_t *taken) {
    *taken = 0;
    for (int64_t i = 0; i < count; i++) {
        image target;
        P2P_TRY(load_target(v, training, i, &target));
        if (!target.pixels) continue;
        for (size_t j = 0; j < target_values(v); j++) sum[j] += image_sample(&target, j);
        image_free(&target);
        ++*taken;
    }
    return *taken > 0 ? P2P_OK : no_pair_left("training");
}

/* Mean |mean - target| over the validation pairs, of samples scaled to [-1, 1] as in the L1 loss. */
static p2p_status compare_with_mean(validator *v, int64_t count, const double *sum) {
    const double half = v->form.format.target.bits == 8 ? 127.5 : 32767.5;
    double total = 0;
    int64_t taken = 0;
    for (int64_t i = 0; i < dataset_count(v->validation); i++) {
        image target;
        P2P_TRY(load_target(v, v->validation, i, &target));
        if (!target.pixels) continue;
        for (size_t j = 0; j < target_values(v); j++)
            total += fabs(sum[j] / (double)count - image_sample(&target, j));
        image_free(&target);
        taken++;
    }
    if (taken == 0) return no_pair_left("validation");
    v->baseline_l1 = total / half / (double)target_values(v) / (double)taken;
    return P2P_OK;
}

static p2p_status measure_baseline(validator *v, const dataset *training) {
    int64_t count = dataset_count(training), taken;
    if (count > VALIDATION_BASELINE_PAIRS) count = VALIDATION_BASELINE_PAIRS;
    double *sum = calloc(target_values(v), sizeof *sum);
    if (!sum) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the mean training target");
    p2p_status status = add_targets(v, training, count, sum, &taken);
    if (status == P2P_OK) status = compare_with_mean(v, taken, sum);
    free(sum);
    return status;
}

p2p_status validation_create(validator **result, const dataset *training, const dataset *validation,
                             const pair_form *form, ranks *r) {
    *result = NULL;
    validator *v = calloc(1, sizeof *v);
    if (!v) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    *v = (validator){
        .validation = validation, .shown = validation ? validation : training, .form = *form, .ranks = r};
    const bool measures = validation && ranks_number(r) == 0;
    p2p_status status = measures ? measure_baseline(v, training) : P2P_OK;
    if (status != P2P_OK) {
        validation_destroy(v);
        return status;
    }
    *result = v;
    return P2P_OK;
}

void validation_destroy(validator *v) {
    if (v) picture_grid_free(&v->grid);
    free(v);
}

double validation_baseline_l1(const validator *v) {
    return v->baseline_l1;
}

/* ---- Running pictures --------------------------------------------------------------------------------- */

/* The metrics of a pair: zero for pairs of other ranks and pairs that are left out. */
typedef struct {
    quality measured;
    double taken; /* 1: measured */
} pair_result;

typedef struct {
    validator *validator;
    pair_result *results;
} shown_pairs;

/* Keep the reason of the first. */
static p2p_status leave_out(validator *v) {
    if (!v->reason[0]) snprintf(v->reason, sizeof v->reason, "%s", p2p_message());
    return P2P_OK;
}

static p2p_status show_pair(void *context, const evaluated_pair *pair) {
    const shown_pairs *pairs = context;
    validator *v = pairs->validator;
    pair_result *result = &pairs->results[pair->sample];
    if (!pair->generated) return leave_out(v);
    P2P_TRY(sys_stop_check());
    P2P_TRY(quality_of_images(pair->generated, pair->target, &result->measured));
    result->taken = 1;
    if (pair->sample >= v->grid.columns) return P2P_OK;
    const picture_grid_column column = {dataset_name(v->shown, pair->sample), pair->input, pair->generated,
                                        pair->target};
    return picture_grid_put(&v->grid, (int)pair->sample, &column);
}

/* A failure of one rank ends the validation in all, and so does a signal to one. */
static p2p_status agree_on_end(const validator *v, p2p_status status) {
    const int mine = sys_stop_signal(), size = ranks_size(v->ranks);
    if (!v->ranks) return status;
    P2P_TRY(ranks_agree(v->ranks, status == P2P_STOPPED ? P2P_OK : status));
    int *all = calloc((size_t)size, sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    status = ranks_gather(v->ranks, &mine, sizeof mine, all);
    for (int i = 0; i < size && status == P2P_OK; i++) {
        if (all[i] == 0) continue;
        sys_stop_adopt(all[i]);
        status = sys_stop_check();
    }
    free(all);
    return status;
}

/* The mean over the pairs of all ranks, in the order of pairs. */
static p2p_status find_mean(validator *v, pair_result *results, int64_t count, quality *mean) {
    enum { NUMBERS = sizeof(pair_result) / sizeof(double) };
    quality_total total = {.pictures = 0};
    P2P_TRY(ranks_add(v->ranks, &results->measured.l1, NUMBERS * (size_t)count));
    for (int64_t i = 0; i < count; i++)
        if (results[i].taken > 0) quality_add(&total, &results[i].measured);
    v->left_out = count - total.pictures;
    if (!v->validation) return P2P_OK;
    if (total.pictures == 0) return no_pair_left("validation");
    *mean = quality_mean(&total);
    return P2P_OK;
}

/* Rank 0 runs the pairs of the grid. */
static p2p_status run_pairs(validator *v, const evaluator *e, int64_t count, pair_result *results) {
    shown_pairs pairs = {.validator = v, .results = results};
    evaluator divided = *e;
    divided.first = v->grid.columns;
    return agree_on_end(v, evaluate_pairs(&divided, v->shown, &v->form, count, show_pair, &pairs));
}

static void begin_grid(validator *v, const char *title) {
    picture_grid_free(&v->grid);
    v->grid = (picture_grid){.columns = picture_grid_columns(dataset_count(v->shown), v->form.size)};
    snprintf(v->grid.title, sizeof v->grid.title, "%s", title);
    v->reason[0] = '\0';
}

/* Run `count` pairs, or those of the grid if there are more; *mean is theirs unless `mean` is NULL. */
static p2p_status run(validator *v, const evaluator *e, const char *title, int64_t count, quality *mean) {
    begin_grid(v, title);
    if (count < v->grid.columns) count = v->grid.columns;
    pair_result *results = calloc((size_t)count + 1, sizeof *results);
    if (!results) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for validation");
    p2p_status status = run_pairs(v, e, count, results);
    if (status == P2P_OK && mean) status = find_mean(v, results, count, mean);
    free(results);
    return status;
}

p2p_status validation_run(validator *v, const evaluator *e, const char *title, quality *mean) {
    return run(v, e, title, v->validation ? dataset_count(v->validation) : 0, mean);
}

p2p_status validation_draw(validator *v, const evaluator *e, const char *title) {
    return run(v, e, title, 0, NULL);
}

p2p_status validation_save_grid(validator *v, const char *path, const char *label) {
    return v->grid.picture.pixels ? picture_grid_save(&v->grid, path, label) : P2P_OK;
}

int64_t validation_left_out(const validator *v, const char **reason) {
    *reason = v->reason[0] ? v->reason : "one of another rank";
    return v->validation ? v->left_out : 0;
}
