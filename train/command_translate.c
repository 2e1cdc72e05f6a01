/* `p2p translate`: runs a trained generator on pictures.
 *
 * The model's file describes the network. Pictures keep their size: they are padded by reflection to a size
 * that the network accepts, and the results are cropped. Pictures of equal padded size are batched.
 */
#include "command.h"
#include "host/sys.h"
#include "image/pad.h"
#include "run/progress.h"
#include "use/result_files.h"
#include "use/translate_list.h"

#include <stdlib.h>

/* A batch of pictures. */
typedef struct {
    int count;
    image *inputs, *results; /* padded; one allocation, which begins at `inputs` */
    struct {
        const translate_job *job;
        int width, height; /* before padding */
    } * of;
} picture_batch;

typedef struct {
    translator *t;
    translate_list *list;
    picture_batch batch;
    progress *progress;
    int64_t done;
} translation;

static p2p_status create_batch(picture_batch *batch, int capacity) {
    *batch = (picture_batch){.inputs = calloc(2 * (size_t)capacity, sizeof *batch->inputs),
                             .of = calloc((size_t)capacity, sizeof *batch->of)};
    if (!batch->inputs || !batch->of)
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
}

/* Load, convert and pad a picture, and append it to the batch. */
static p2p_status load_picture(const translator *t, const translate_job *job, picture_batch *batch) {
    image picture;
    P2P_TRY(image_load(job->source, &picture));
    const int width = picture.width, height = picture.height, unit = translator_unit(t);
    p2p_status status = image_reformat(&picture, t->format.input);
    if (status == P2P_OK && (pad_side(width, unit) != job->width || pad_side(height, unit) != job->height))
        status = p2p_fail(P2P_INPUT, "%s has another size now than when it was listed", job->source);
    if (status == P2P_OK)
        status = pad_reflect(&picture, job->width, job->height, &batch->inputs[batch->count]);
    image_free(&picture);
    if (status != P2P_OK) return status;
    batch->of[batch->count].job = job;
    batch->of[batch->count].width = width;
    batch->of[batch->count].height = height;
    batch->count++;
    return P2P_OK;
}

static p2p_status save_result(picture_batch *batch, int index) {
    const char *path = batch->of[index].job->result;
    P2P_TRY(pad_crop(&batch->results[index], batch->of[index].width, batch->of[index].height));
    P2P_TRY(result_folder_make(path));
    P2P_TRY(image_save(path, &batch->results[index]));
    printf("%s\n", path);
    return P2P_OK;
}

/* Run the generator on the loaded pictures, and save the results. */
static p2p_status run_batch(translation *run, int batch_size) {
    picture_batch *batch = &run->batch;
    if (batch->count == 0) return P2P_OK;
    const translate_job *first = batch->of[0].job;
    P2P_TRY(translator_prepare(run->t, first->width, first->height, batch_size));
    P2P_TRY(evaluate_pictures(&run->t->evaluator, batch->count, batch->inputs, batch->results));
    progress_hide(run->progress);
    for (int i = 0; i < batch->count; i++) P2P_TRY(save_result(batch, i));
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
        loaded = load_picture(run->t, &run->list->jobs[first + (size_t)i], &run->batch);
        if (loaded == P2P_OK || !translate_skips(run->t, loaded)) continue;
        run->list->skipped++;
        loaded = P2P_OK;
    }
    char reason[512];
    snprintf(reason, sizeof reason, "%s", p2p_message());
    P2P_TRY(run_batch(run, batch_size));
    if (loaded != P2P_OK) return p2p_fail(loaded, "%s", reason);
    run->done += count;
    progress_pictures(run->progress, run->done);
    empty_batch(&run->batch);
    return P2P_OK;
}

static p2p_status translate_size(translation *run, size_t first, size_t count) {
    const size_t most = (size_t)run->t->all->batch, batch_size = count < most ? count : most;
    for (size_t done = 0; done < count; done += batch_size) {
        const size_t left = count - done;
        P2P_TRY(translate_batch(run, first + done, (int)(left < batch_size ? left : batch_size),
                                (int)batch_size));
    }
    return P2P_OK;
}

/* Check before the first picture that the largest batch fits: no part of the work is done in vain. */
static p2p_status check_memory(translator *t, const translate_list *list) {
    const translate_job *largest = NULL;
    int batch = 0;
    double most = 0;
    for (size_t first = 0; first < list->count; first += same_size(list, first)) {
        const translate_job *job = &list->jobs[first];
        const size_t count = same_size(list, first), limit = (size_t)t->all->batch;
        const size_t together = count < limit ? count : limit;
        const double pixels = (double)job->width * job->height * (double)together;
        if (pixels <= most) continue;
        most = pixels;
        largest = job;
        batch = (int)together;
    }
    return largest ? translator_check_memory(t, largest->width, largest->height, batch) : P2P_OK;
}

static p2p_status translate_all(translator *t, translate_list *list) {
    translation run = {.t = t, .list = list};
    P2P_TRY(translator_open_device(t));
    P2P_TRY(check_memory(t, list));
    p2p_status status = create_batch(&run.batch, (int)t->all->batch);
    if (list->count + list->skipped > 1) run.progress = progress_create(stderr, (int64_t)list->count, 0, 0);
    for (size_t first = 0; first < list->count && status == P2P_OK;) {
        const size_t count = same_size(list, first);
        status = translate_size(&run, first, count);
        first += count;
    }
    if (status == P2P_OK && list->skipped > 0)
        progress_line(run.progress, "%zu unusable pictures were left out", list->skipped);
    progress_destroy(run.progress);
    free_batch(&run.batch);
    return status;
}

p2p_status command_translate(settings *all) {
    translator t;
    translate_list list = {0};
    if (!all->out) return p2p_fail(P2P_USAGE, "--out is missing: the file or folder for the result");
    if (!all->arguments || !all->arguments[0])
        return p2p_fail(P2P_USAGE, "no picture is given, and no folder of pictures");
    p2p_status status = translator_open(&t, all);
    if (status == P2P_OK) status = translate_list_make(&t, &list);
    if (status == P2P_OK) status = translate_all(&t, &list);
    translate_list_free(&list);
    translator_close(&t);
    return status;
}
