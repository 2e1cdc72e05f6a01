/* `p2p translate`: runs a trained generator on pictures.
 *
 * The model's file describes the network and the scale of its training, to which pictures are brought
 * (picture_scale.h). They are then padded by reflection to a size that the network accepts, and the results
 * are cropped. Pictures of equal padded size are batched.
 */
#include "command.h"
#include "host/folder_lock.h"
#include "host/sys.h"
#include "host/text.h"
#include "image/image_limits.h"
#include "image/pad.h"
#include "image/picture_list.h"
#include "run/progress.h"
#include "use/result_files.h"
#include "use/translate_list.h"

#include <stdlib.h>

/* A batch of pictures. */
typedef struct {
    int count;
    image *inputs, *results; /* padded; one allocation, which begins at `inputs` */
    const translate_job **of;
    const char **names; /* of the sources */
} picture_batch;

typedef struct {
    translator *t;
    const picture_scale *scale;
    translate_list *list;
    picture_batch batch;
    sys_lock *lock; /* of the folder of the results; NULL: one result */
    progress *progress;
    int64_t done;
    size_t transparent; /* pictures with transparent pixels whose alpha is dropped */
    const char *transparent_example;
} translation;

static p2p_status create_batch(picture_batch *batch, int capacity) {
    *batch = (picture_batch){.inputs = calloc(2 * (size_t)capacity, sizeof *batch->inputs),
                             .of = calloc((size_t)capacity, sizeof *batch->of),
                             .names = calloc((size_t)capacity, sizeof *batch->names)};
    if (!batch->inputs || !batch->of || !batch->names)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d pictures at once", capacity);
    batch->results = batch->inputs + capacity;
    return P2P_OK;
}

static void empty_batch(picture_batch *batch) {
    for (int i = 0; i < batch->count; i++) {
        image_free(&batch->inputs[i]);
        image_free(&batch->results[i]);
    }
    batch->count = 0;
}

static void free_batch(picture_batch *batch) {
    empty_batch(batch);
    free(batch->inputs);
    free(batch->of);
    free(batch->names);
}

/* Resize in place. No effect if the picture has the size already; unchanged after a failure. */
static p2p_status resize_in_place(image *picture, int width, int height, resize_filter filter) {
    image resized;
    if (picture->width == width && picture->height == height) return P2P_OK;
    P2P_TRY(resize_image(image_view_of(picture), width, height, filter, &resized));
    image_free(picture);
    *picture = resized;
    return P2P_OK;
}

/* Convert, then resize, as evaluate_load_pair does, so that test and translate compute the same pixels. */
static p2p_status prepare_picture(const translation *run, const translate_job *job, image *picture,
                                  image *padded) {
    if (picture->width != job->picture_width || picture->height != job->picture_height)
        return p2p_fail(P2P_INPUT, "%s has another size now than when it was listed", job->source);
    P2P_TRY(image_reformat(picture, run->t->format.input));
    P2P_TRY(resize_in_place(picture, job->scaled_width, job->scaled_height, run->scale->filter));
    return pad_reflect(picture, job->width, job->height, padded);
}

static void note_alpha(translation *run, const translate_job *job, const image *picture) {
    if (run->t->format.input.channels % 2 == 0 || !image_is_transparent(image_view_of(picture))) return;
    if (run->transparent++ == 0) run->transparent_example = job->source;
}

static void report_alpha(const translation *run) {
    if (run->transparent == 0) return;
    progress_hide(run->progress);
    text_line(stderr,
              "warning: the model has no alpha, and %zu picture%s transparent in places, such as %s: the "
              "colours below, often black, become visible",
              run->transparent, run->transparent == 1 ? " is" : "s are", run->transparent_example);
}

/* Load and prepare a picture, and append it to the batch. */
static p2p_status load_picture(translation *run, const translate_job *job) {
    picture_batch *batch = &run->batch;
    image picture;
    P2P_TRY(image_load(job->source, &picture));
    note_alpha(run, job, &picture);
    p2p_status status = prepare_picture(run, job, &picture, &batch->inputs[batch->count]);
    image_free(&picture);
    if (status != P2P_OK) return status;
    batch->names[batch->count] = job->source;
    batch->of[batch->count++] = job;
    return P2P_OK;
}

static p2p_status save_result(translation *run, int index) {
    const translate_job *job = run->batch.of[index];
    image *result = &run->batch.results[index];
    P2P_TRY(pad_crop(result, job->scaled_width, job->scaled_height));
    if (run->t->all->keep_size)
        P2P_TRY(resize_in_place(result, job->picture_width, job->picture_height, run->scale->filter));
    P2P_TRY(result_folder_make(run->t->all->out, job->result));
    P2P_TRY(result_save(job->result, result, run->t->all->force));
    text_line(stdout, "%s", job->result);
    return P2P_OK;
}

/* Run the generator on the loaded pictures, of which a whole batch has `batch_size`, and save the results. */
static p2p_status run_batch(translation *run, int batch_size) {
    picture_batch *batch = &run->batch;
    if (batch->count == 0) return P2P_OK;
    const translate_job *first = batch->of[0];
    P2P_TRY(
        translator_prepare(run->t, first->width, first->height, (int)translator_batch(run->t, batch_size)));
    P2P_TRY(evaluate_pictures(&run->t->evaluator, batch->count, batch->inputs, batch->names, batch->results));
    progress_hide(run->progress);
    for (int i = 0; i < batch->count; i++) P2P_TRY(save_result(run, i));
    return P2P_OK;
}

/* The number of successive jobs from `first` on with equal padded size. */
static size_t same_size(const translate_list *list, size_t first) {
    size_t end = first;
    while (end < list->count && list->jobs[end].width == list->jobs[first].width &&
           list->jobs[end].height == list->jobs[first].height)
        end++;
    return end - first;
}

/* Translate the `count` jobs from `first` on, which have one size. If a picture is bad, those before it in
 * the batch are still translated. */
static p2p_status translate_batch(translation *run, size_t first, int count, int batch_size) {
    p2p_status loaded = P2P_OK;
    for (int i = 0; i < count && loaded == P2P_OK; i++) {
        loaded = load_picture(run, &run->list->jobs[first + (size_t)i]);
        if (loaded == P2P_OK || !translate_skips(run->t, loaded)) continue;
        run->list->skipped++;
        loaded = P2P_OK;
    }
    p2p_failure failure;
    p2p_failure_take(&failure, loaded);
    P2P_TRY(run_batch(run, batch_size));
    if (loaded != P2P_OK) return p2p_failure_give(&failure);
    run->done += count;
    progress_pictures(run->progress, run->done);
    empty_batch(&run->batch);
    return P2P_OK;
}

static uint64_t most_at_once(const translator *t) {
    return (uint64_t)t->all->batch * (uint64_t)t->devices.count;
}

/* How many pictures of this size run at once: at most --batch on each device, as far as the memory for
 * pictures goes. While the last one is loaded the others wait, so one is counted twice. */
static size_t fitting_batch(const translation *run, const translate_job *job) {
    const uint64_t each = evaluate_bytes(job->width, job->height, &run->t->format);
    const uint64_t fit = image_memory_limit() / each, most = most_at_once(run->t);
    return fit <= 2 ? 1 : fit - 1 < most ? (size_t)fit - 1 : (size_t)most;
}

static p2p_status translate_size(translation *run, size_t first, size_t count) {
    const size_t most = fitting_batch(run, &run->list->jobs[first]), batch_size = count < most ? count : most;
    for (size_t done = 0; done < count; done += batch_size) {
        const size_t left = count - done;
        P2P_TRY(translator_check_stop(run->t, run->done, (int64_t)run->list->count));
        P2P_TRY(translate_batch(run, first + done, (int)(left < batch_size ? left : batch_size),
                                (int)batch_size));
    }
    return P2P_OK;
}

/* Check that the largest batch fits, so that a failure comes before the first picture. */
static p2p_status check_memory(const translation *run) {
    const translate_list *list = run->list;
    const translate_job *largest = NULL;
    int batch = 0;
    double most = 0;
    for (size_t first = 0; first < list->count; first += same_size(list, first)) {
        const translate_job *job = &list->jobs[first];
        const size_t count = same_size(list, first), limit = fitting_batch(run, job);
        const size_t together = count < limit ? count : limit;
        const double pixels = (double)job->width * job->height * (double)together;
        if (pixels <= most) continue;
        most = pixels;
        largest = job;
        batch = (int)together;
    }
    return largest ? translator_check_memory(run->t, largest->width, largest->height,
                                             (int)translator_batch(run->t, batch))
                   : P2P_OK;
}

/* Later runs leave out results that lie in the folder of the pictures. */
static p2p_status mark_results(const translation *run) {
    const char *out = run->t->all->out;
    if (!run->list->nested) return P2P_OK;
    P2P_TRY(sys_folder_make(out));
    return picture_list_mark(out, "translate");
}

/* A single result is one file, which is complete whoever else writes there: commands for single pictures may
 * run at once in one folder. */
static p2p_status lock_results(translation *run) {
    if (run->list->count + run->list->skipped == 1) return P2P_OK;
    P2P_TRY(folder_lock_take(&run->lock, run->t->all->out));
    /* again: another command may have written there since the first check */
    return translate_list_check_results(run->t, run->list);
}

static p2p_status translate_all(translator *t, const picture_scale *scale, translate_list *list) {
    translation run = {.t = t, .scale = scale, .list = list};
    P2P_TRY(translator_open_device(t));
    P2P_TRY(translate_list_fit(t, list));
    P2P_TRY(check_memory(&run));
    p2p_status status = lock_results(&run);
    if (status == P2P_OK) status = mark_results(&run);
    if (status == P2P_OK) status = create_batch(&run.batch, (int)most_at_once(t));
    if (list->count + list->skipped > 1) run.progress = progress_create(stderr, (int64_t)list->count, 0, 0);
    for (size_t first = 0; first < list->count && status == P2P_OK;) {
        const size_t count = same_size(list, first);
        status = translate_size(&run, first, count);
        first += count;
    }
    if (status == P2P_OK && list->skipped > 0)
        progress_line(run.progress, "%zu unusable picture%s left out", list->skipped,
                      list->skipped == 1 ? " was" : "s were");
    if (status == P2P_OK) report_alpha(&run);
    progress_destroy(run.progress);
    free_batch(&run.batch);
    sys_lock_release(run.lock);
    return status;
}

static p2p_status check_given(const settings *all) {
    const bool pictures = all->arguments && all->arguments[0];
    if (all->out && pictures) return P2P_OK;
    if (!all->out)
        p2p_fail(P2P_USAGE, "--out is missing: the file or folder for the result");
    else
        p2p_fail(P2P_USAGE, "no picture is given, and no folder of pictures");
    return p2p_hint(P2P_USAGE, "p2p translate --model run -o result.png picture.png");
}

p2p_status command_translate(settings *all) {
    translator t;
    translate_list list = {0};
    picture_scale scale;
    P2P_TRY(check_given(all));
    p2p_status status = translator_open(&t, all);
    if (status == P2P_OK) status = picture_scale_choose(&t, &scale);
    if (status == P2P_OK) status = folder_lock_check(all->out);
    if (status == P2P_OK) status = translate_list_make(&t, &scale, &list);
    if (status == P2P_OK) picture_scale_print(&scale, &t, stderr);
    if (status == P2P_OK) status = translate_all(&t, &scale, &list);
    translate_list_free(&list);
    translator_close(&t);
    return status;
}
