/* `p2p test`: runs a trained generator on the pairs of a split and measures the results against the targets.
 *
 * Pairs are resized as in validation, by default to the model's size. The metrics are those of the written
 * pictures, rounded to 8 or 16 bits.
 */
#include "command.h"
#include "host/folder_lock.h"
#include "host/json_file.h"
#include "host/sys.h"
#include "host/text.h"
#include "image/picture_grid.h"
#include "image/picture_list.h"
#include "json_text.h"
#include "report/test_page.h"
#include "run/progress.h"
#include "setup/setup.h"
#include "use/earlier_results.h"
#include "use/quality.h"
#include "use/result_files.h"
#include "use/run_files.h"
#include "use/translator.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The folders for the pictures of pairs, in each of which a pair has the same name. */
enum { INPUTS, GENERATED, TARGETS, FOLDERS };
static const char *const folder_names[FOLDERS] = {"input", "generated", "target"};

enum { OTHER_RESULTS = 3 /* beside the pictures of pairs */ };

typedef struct {
    const settings *all;
    translator t;
    dataset *data;
    pair_form form;
    int64_t count;
    char *folders[FOLDERS], *grid_path, *numbers_path, *page_path;
    sys_lock *lock; /* of the folder of the results */
    picture_grid grid;
    sys_names stale; /* pictures of an earlier test, which are removed before the first one is written */
    quality_total total;
    int64_t left_out; /* pairs that were found bad after the set was opened */
    bool recorded;    /* pictures may exist that only metrics.json records */
    json_t *images;   /* of metrics.json */
    json_t *pairs;    /* of index.html */
    progress *progress;
} test_run;

static p2p_status check_required(const settings *all) {
    P2P_TRY(settings_no_arguments(all, "test"));
    if (!all->data) {
        p2p_fail(P2P_USAGE, "--data is missing: the folder that holds the pairs");
        return p2p_hint(P2P_USAGE,
                        "p2p test --model run --data DIR --out results, where DIR is that of the training");
    }
    if (!all->out) return p2p_fail(P2P_USAGE, "--out is missing: the folder for the results");
    sys_path_kind out;
    P2P_TRY(sys_path_kind_of(all->out, &out));
    if (out == SYS_PATH_FILE)
        return p2p_fail(P2P_USAGE, "--out %s is a file: results go into a folder", all->out);
    return P2P_OK;
}

/* ---- Model and data ----------------------------------------------------------------------------------- */

/* The direction is the model's. --direction sets it for a state dictionary, which has none; for other models
 * it must agree. */
static p2p_status choose_direction(test_run *run) {
    model_file_info *info = &run->t.info;
    const char *given = run->all->direction;
    if (!settings_given(run->all, "direction") || strcmp(info->direction, given) == 0) return P2P_OK;
    if (!info->bare)
        return p2p_fail(P2P_USAGE, "--direction %s: %s was trained %s", given, run->t.path, info->direction);
    snprintf(info->direction, sizeof info->direction, "%s", given);
    return P2P_OK;
}

static p2p_status choose_form(test_run *run) {
    const pix2pix_config *config = &run->t.model->config;
    const int64_t size = settings_given(run->all, "size") ? run->all->size : config->height;
    p2p_status status = pix2pix_sides_check(config->depth, size, size);
    if (status != P2P_OK) return p2p_fail(P2P_USAGE, "--size %" PRId64 ": %s", size, p2p_message());
    run->form = (pair_form){.format = run->t.format, .size = (int)size, .filter = translator_filter(&run->t)};
    return P2P_OK;
}

/* Both pictures of a pair become size x size, whatever they measured. That is the training's scale only for
 * pictures of the training's size; otherwise p2p translate, which keeps the scale, draws another picture. */
static void report_scale(const test_run *run) {
    const model_file_info *info = &run->t.info;
    const pair_size size = dataset_one_size(run->data);
    if (settings_given(run->all, "size") || info->source != MODEL_SOURCE_ONE ||
        (size.width == info->source_width && size.height == info->source_height))
        return;
    char pairs[64] = "pairs of several sizes";
    if (size.width > 0) snprintf(pairs, sizeof pairs, "pairs of %d x %d pixels", size.width, size.height);
    fprintf(stderr,
            "scale: %s become %d x %d, as pictures of %d x %d did in the training; p2p translate would "
            "keep the training's scale instead\n",
            pairs, run->form.size, run->form.size, info->source_width, info->source_height);
}

static p2p_status open_data(test_run *run) {
    const setup_split wanted = {.split = run->all->split,
                                .direction = run->t.info.direction,
                                .channels_in = run->form.format.input.channels,
                                .channels_out = run->form.format.target.channels,
                                .side = run->form.size};
    P2P_TRY(setup_out_check(run->all));
    P2P_TRY(setup_split_open(run->all, &wanted, &run->data));
    report_scale(run);
    run->count = dataset_count(run->data);
    run->t.picture_bytes = dataset_summarise(run->data).pair_bytes;
    if (settings_given(run->all, "count") && run->all->count < run->count) run->count = run->all->count;
    run->grid.columns = picture_grid_columns(run->count, run->form.size);
    return P2P_OK;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

static p2p_status make_paths(test_run *run) {
    const char *out = run->all->out;
    for (int f = 0; f < FOLDERS; f++) P2P_TRY(sys_path_join(&run->folders[f], out, folder_names[f]));
    P2P_TRY(sys_path_join(&run->grid_path, out, "grid.png"));
    P2P_TRY(sys_path_join(&run->page_path, out, "index.html"));
    return sys_path_join(&run->numbers_path, out, TEST_METRICS);
}

/* List the result files: those of every pair, the grid, the page and the metrics. The caller frees the
 * results. */
static p2p_status name_results(const test_run *run, result_file *files) {
    size_t at = 0;
    char *result;
    for (int64_t i = 0; i < run->count; i++) {
        const char *name = dataset_name(run->data, i);
        for (int f = 0; f < FOLDERS; f++) {
            P2P_TRY(result_name(run->folders[f], name, "png", &result));
            files[at++] = (result_file){name, result};
        }
    }
    const char *const others[OTHER_RESULTS] = {run->grid_path, run->page_path, run->numbers_path};
    for (int f = 0; f < OTHER_RESULTS; f++) {
        P2P_TRY(sys_path_join(&result, "", others[f]));
        files[at++] = (result_file){NULL, result};
    }
    return P2P_OK;
}

static p2p_status check_results(test_run *run) {
    const size_t count = FOLDERS * (size_t)run->count + OTHER_RESULTS;
    result_file *files = calloc(count, sizeof *files);
    if (!files) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", count);
    p2p_status status = name_results(run, files);
    if (status == P2P_OK) status = result_files_check(run->all->out, files, count, run->all->force);
    const earlier_question earlier = {.folders = (const char *const *)run->folders,
                                      .folder_count = FOLDERS,
                                      .metrics = run->numbers_path,
                                      .files = files,
                                      .count = count};
    sys_names_free(&run->stale); /* of the check before the folder was locked */
    if (status == P2P_OK) status = earlier_results_find(&earlier, run->all->force, &run->stale);
    if (status == P2P_OK) status = result_files_sweep(files, count);
    for (size_t i = 0; i < count; i++) free((char *)files[i].result);
    free(files);
    return status;
}

static p2p_status save_picture(test_run *run, int folder, const char *name, const image *picture) {
    char *path;
    P2P_TRY(result_name(run->folders[folder], name, "png", &path));
    p2p_status status = result_folder_make(run->all->out, path);
    if (status == P2P_OK) status = result_save(path, picture, run->all->force);
    run->recorded = run->recorded || status == P2P_OK;
    free(path);
    return status;
}

/* The pictures of a pair that an earlier test wrote. */
static p2p_status remove_pictures(const test_run *run, const char *name) {
    for (int f = 0; f < FOLDERS; f++) {
        char *path;
        P2P_TRY(result_name(run->folders[f], name, "png", &path));
        p2p_status status = result_folder_check(run->all->out, path);
        if (status == P2P_OK) status = sys_file_remove(path);
        free(path);
        P2P_TRY(status);
    }
    return P2P_OK;
}

/* Remove what an earlier test wrote and this one would not replace until its end, or ever: an interrupted
 * test has no page of other pictures. The numbers stay until write_names, because they record the pictures.
 */
static p2p_status remove_stale(const test_run *run) {
    const char *const pages[] = {run->page_path, run->grid_path};
    for (size_t i = 0; i < run->stale.count; i++) {
        P2P_TRY(result_folder_check(run->all->out, run->stale.names[i]));
        P2P_TRY(sys_file_remove(run->stale.names[i]));
    }
    if (run->stale.count > 0)
        text_line(stderr, "removed %zu picture%s of an earlier test from %s", run->stale.count,
                  run->stale.count == 1 ? "" : "s", run->all->out);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) P2P_TRY(sys_file_remove(pages[i]));
    return P2P_OK;
}

/* ---- Numbers ------------------------------------------------------------------------------------------ */

/* A new object with l1, psnr and ssim; NULL if memory runs out. */
static json_t *numbers_of(const quality *measured) {
    return json_pack("{s:o, s:o, s:o}", "l1", quality_to_json(measured->l1), "psnr",
                     quality_to_json(measured->psnr), "ssim", quality_to_json(measured->ssim));
}

static p2p_status no_memory(void) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the results");
}

/* metrics.json without numbers: records the pictures to come, so that a later test recognises those of one
 * that was interrupted. Pictures of an earlier test with the same names stay until they are replaced. */
static p2p_status write_names(test_run *run) {
    P2P_TRY(sys_path_exists(run->numbers_path, &run->recorded));
    json_t *images = json_array(), *object = NULL;
    bool complete = images != NULL;
    for (int64_t i = 0; i < run->count && complete; i++)
        complete = json_array_append_new(
                       images, json_pack("{s:o}", "name", text_to_json(dataset_name(run->data, i)))) == 0;
    if (complete) object = json_pack("{s:b, s:O}", "unfinished", 1, "images", images);
    json_decref(images);
    return object ? json_file_write(run->numbers_path, object, JSON_INDENT(2)) : no_memory();
}

/* Add a pair to the page. Its pictures have one path below their folders. */
static p2p_status note_pair(test_run *run, const char *name, json_t *numbers) {
    char *path;
    P2P_TRY(result_name("", name, "png", &path));
    const int added = json_array_append_new(run->pairs, test_page_pair(name, path, numbers));
    free(path);
    return added == 0 ? P2P_OK : no_memory();
}

static p2p_status note_numbers(test_run *run, const char *name, const quality *measured) {
    json_t *numbers = numbers_of(measured);
    if (!numbers) return no_memory();
    p2p_status status = note_pair(run, name, numbers);
    if (status == P2P_OK && (json_object_set_new(numbers, "name", text_to_json(name)) != 0 ||
                             json_array_append(run->images, numbers) != 0))
        status = no_memory();
    json_decref(numbers);
    if (status == P2P_OK) quality_add(&run->total, measured);
    return status;
}

/* metrics.json without `images`. See FORMATS.md. */
static json_t *summary_of(const test_run *run) {
    const translator *t = &run->t;
    const quality mean = quality_mean(&run->total);
    return json_pack(
        "{s:o, s:I, s:I, s:o, s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:o}", "model", text_to_json(t->path),
        "epoch", (json_int_t)t->info.epoch, "step", (json_int_t)t->info.step, "data",
        text_to_json(run->all->data), "split", text_to_json(run->all->split), "direction", t->info.direction,
        "norm_stats", translator_norm_stats(t), "test_dropout", translator_dropout(t), "resize",
        run->form.filter == RESIZE_NEAREST ? "nearest" : "bicubic", "size", (json_int_t)run->form.size,
        "count", (json_int_t)run->total.pictures, "mean", numbers_of(&mean));
}

static void report_pages(const test_run *run) {
    progress_line(run->progress, "done: %s shows every pair", run->page_path);
    if (run->grid.picture.pixels)
        progress_line(run->progress, "%s shows the first %d", run->grid_path, run->grid.columns);
}

/* metrics.json, the page, and the lines on stdout and stderr. */
static p2p_status write_numbers(const test_run *run) {
    json_t *object = summary_of(run);
    char *line;
    p2p_status status = json_text_make("the results", object, JSON_COMPACT | JSON_ENSURE_ASCII, &line);
    if (status == P2P_OK) status = test_page_write(run->page_path, object, run->pairs);
    const bool complete = line && json_object_set(object, "images", run->images) == 0;
    if (status == P2P_OK)
        status =
            complete ? json_file_write(run->numbers_path, json_incref(object), JSON_INDENT(2)) : no_memory();
    if (status == P2P_OK) printf("%s\n", line);
    if (status == P2P_OK) report_pages(run);
    free(line);
    json_decref(object);
    return status;
}

/* ---- The run ------------------------------------------------------------------------------------------ */

static p2p_status leave_out(test_run *run, const char *name) {
    run->left_out++;
    progress_line(run->progress, "left out: %s", p2p_message());
    return remove_pictures(run, name);
}

static p2p_status visit_pair(void *context, const evaluated_pair *pair) {
    test_run *run = context;
    const char *name = dataset_name(run->data, pair->sample);
    const image *const pictures[FOLDERS] = {pair->input, pair->generated, pair->target};
    quality measured;
    if (!pair->generated) return leave_out(run, name);
    P2P_TRY(translator_check_stop(&run->t, pair->sample, run->count));
    P2P_TRY(quality_of_images(pair->generated, pair->target, &measured));
    P2P_TRY(note_numbers(run, name, &measured));
    for (int f = 0; f < FOLDERS; f++) P2P_TRY(save_picture(run, f, name, pictures[f]));
    progress_pictures(run->progress, pair->sample + 1);
    if (pair->sample >= run->grid.columns) return P2P_OK;
    const picture_grid_column column = {name, pair->input, pair->generated, pair->target};
    return picture_grid_put(&run->grid, (int)pair->sample, &column);
}

/* After a failure: a record of pictures of which none exists would refuse the next test without --force. */
static p2p_status remove_names(const test_run *run, p2p_status status) {
    if (status == P2P_OK || run->recorded) return status;
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    (void)sys_file_remove(run->numbers_path);
    return p2p_failure_give(&failure);
}

static p2p_status report_left_out(const test_run *run) {
    if (run->left_out > 0)
        progress_line(run->progress, "%" PRId64 " unusable pairs were left out", run->left_out);
    return run->total.pictures > 0 ? P2P_OK : p2p_fail(P2P_INPUT, "no usable pair is left");
}

static p2p_status run_pairs(test_run *run) {
    run->images = json_array();
    run->pairs = json_array();
    if (!run->images || !run->pairs) return no_memory();
    P2P_TRY(translator_open_device(&run->t));
    const int64_t batch = translator_batch(&run->t, run->count);
    run->t.change = MEMORY_OPTIONS;
    P2P_TRY(translator_prepare(&run->t, run->form.size, run->form.size, (int)batch));
    P2P_TRY(folder_lock_take(&run->lock, run->all->out));
    P2P_TRY(check_results(run)); /* again: another command may have written there since the first check */
    run->progress = progress_create(stderr, run->count, 0, 0);
    P2P_TRY(translator_check_stop(&run->t, 0, run->count));
    P2P_TRY(picture_list_mark_inside(run->all->out, run->all->data, "test"));
    P2P_TRY(remove_stale(run));
    P2P_TRY(write_names(run));
    P2P_TRY(remove_names(
        run, evaluate_pairs(&run->t.evaluator, run->data, &run->form, run->count, visit_pair, run)));
    P2P_TRY(remove_names(run, report_left_out(run)));
    if (run->grid.picture.pixels) P2P_TRY(picture_grid_save(&run->grid, run->grid_path, NULL));
    return write_numbers(run);
}

static p2p_status prepare(test_run *run) {
    P2P_TRY(translator_open(&run->t, run->all));
    P2P_TRY(choose_direction(run));
    P2P_TRY(choose_form(run));
    P2P_TRY(open_data(run));
    P2P_TRY(make_paths(run));
    P2P_TRY(folder_lock_check(run->all->out));
    return check_results(run);
}

p2p_status command_test(settings *all) {
    test_run run = {.all = all};
    P2P_TRY(check_required(all));
    p2p_status status = prepare(&run);
    if (status == P2P_OK) status = run_pairs(&run);
    progress_destroy(run.progress);
    picture_grid_free(&run.grid);
    json_decref(run.images);
    json_decref(run.pairs);
    sys_names_free(&run.stale);
    for (int f = 0; f < FOLDERS; f++) free(run.folders[f]);
    free(run.grid_path);
    free(run.numbers_path);
    free(run.page_path);
    dataset_close(run.data);
    translator_close(&run.t);
    sys_lock_release(run.lock);
    return status;
}
