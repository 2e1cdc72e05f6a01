/* See pairs_task.h. A result is one part, or two side by side. */
#include "pairs_task.h"

#include "image/image_limits.h"
#include "image/pad.h"
#include "image/resize.h"
#include "use/result_files.h"

#include <stdlib.h>
#include <string.h>

enum { PARTS = 2 };

void pairs_task_free(pairs_task *task) {
    for (int i = 0; i < PAIRS_SOURCES; i++) free(task->sources[i]);
    free(task->name);
    free(task->result);
    *task = (pairs_task){0};
}

static bool is_fitted(const settings *all) {
    return settings_given(all, "size");
}

/* Whether a picture is a pair whose halves are resized each by itself. */
static bool has_halves(const settings *all, const pairs_operation *operation) {
    return operation->making == PAIRS_FIT && strcmp(all->pairs, "side-by-side") == 0;
}

/* ---- The size ----------------------------------------------------------------------------------------- */

/* How a picture of width x height becomes a square of --size. With --fit pad the crop is smaller than that.
 */
static resize_target target_of(const settings *all, int width, int height) {
    const int size = (int)all->size, shorter = width < height ? width : height;
    const bool crops = strcmp(all->fit, "crop") == 0, stretches = strcmp(all->fit, "stretch") == 0;
    const double divisor = crops ? shorter : width > height ? width : height, scale = size / divisor;
    resize_target target = {.width = (int)(width * scale + 0.5), .height = (int)(height * scale + 0.5)};
    if (stretches) target.width = target.height = size;
    if (target.width < 1) target.width = 1;
    if (target.height < 1) target.height = 1;
    target.crop_width = target.width < size ? target.width : size;
    target.crop_height = target.height < size ? target.height : size;
    target.left = (target.width - target.crop_width) / 2;
    target.top = (target.height - target.crop_height) / 2;
    target.filter = resize_filter_named(all->resize);
    return target;
}

static p2p_status resize_part(const settings *all, image_view part, image *resized) {
    const resize_target target = target_of(all, part.width, part.height);
    P2P_TRY(image_create(resized, target.crop_width, target.crop_height, image_view_format(part)));
    p2p_status status = resize_window(part, &target, resized->pixels);
    if (status != P2P_OK) image_free(resized);
    return status;
}

/* Replace the view by one of the fitted picture in `storage`, if --size is given. */
static p2p_status fit(const settings *all, image_view *part, image *storage) {
    const int size = (int)all->size;
    image resized;
    if (!is_fitted(all)) return P2P_OK;
    P2P_TRY(resize_part(all, *part, &resized));
    if (resized.width == size && resized.height == size) {
        *storage = resized;
    } else {
        p2p_status status = pad_reflect(&resized, size, size, storage);
        image_free(&resized);
        P2P_TRY(status);
    }
    *part = image_view_of(storage);
    return P2P_OK;
}

/* ---- Headers ------------------------------------------------------------------------------------------ */

/* The format that holds those of all sources, as far as the file can. */
static image_format format_of(const settings *all, const pairs_task *task) {
    const bool jpeg = strcmp(all->format, "jpg") == 0;
    image_format format = {.channels = 1, .bits = 8};
    bool colours = false, alpha = false;
    for (int i = 0; i < PAIRS_SOURCES && task->sources[i]; i++) {
        const image_header *header = &task->facts[i].header;
        colours |= header->channels >= 3;
        alpha |= header->channels % 2 == 0;
        if (header->bits > format.bits && !jpeg) format.bits = header->bits;
    }
    format.channels = (colours ? 3 : 1) + (alpha && !jpeg);
    return format;
}

static p2p_status check_fit(const settings *all, const char *path, int width, int height) {
    const resize_target target = target_of(all, width, height);
    if (target.width <= IMAGE_MAX_SIDE && target.height <= IMAGE_MAX_SIDE) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is %d x %d pixels: --size %lld would make it %d x %d", path, width, height,
             (long long)all->size, target.width, target.height);
    return p2p_hint(P2P_INPUT, "--fit pad or stretch keeps the longer side small");
}

static p2p_status check_halves(const char *path, int width) {
    if (width % 2 == 0) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is %d pixels wide: an odd width can't be split into two halves", path, width);
    return p2p_hint(P2P_INPUT, "without --pairs side-by-side it is resized as one picture");
}

static p2p_status check_equal(const pairs_task *task) {
    const image_header *a = &task->facts[0].header, *b = &task->facts[1].header;
    if (a->width == b->width && a->height == b->height) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is %d x %d pixels, but %s is %d x %d: a pair's pictures must be equally large",
             task->sources[0], a->width, a->height, task->sources[1], b->width, b->height);
    return p2p_hint(P2P_INPUT, "--size N makes both N x N; --on-bad-image skip leaves such pairs out");
}

/* The most memory of a task: everything is counted as if it existed at once. */
static uint64_t task_bytes(const settings *all, const pairs_operation *operation, const pairs_task *task) {
    const image_header *first = &task->facts[0].header;
    image_header part = *first;
    uint64_t bytes = 0;
    for (int i = 0; i < PAIRS_SOURCES && task->sources[i]; i++)
        bytes += image_load_bytes(&task->facts[i], task->format);
    if (is_fitted(all)) {
        part.width = part.height = (int)all->size;
        bytes += 2 * PARTS * image_pixels_bytes(&part, task->format);
        for (int i = 0; i < PAIRS_SOURCES && task->sources[i]; i++) {
            const image_header *own = &task->facts[i].header;
            const resize_target target = target_of(all, own->width, own->height);
            const int side = target.width > target.height ? target.width : target.height;
            bytes += resize_bytes(own->width, own->height, task->format, side);
        }
    }
    if (operation->draw) bytes += operation->draw_bytes(all, part.width, part.height, task->format);
    return bytes + 2 * PARTS * image_pixels_bytes(&part, task->format);
}

/* Whether the result can be read again. */
static p2p_status check_result(const settings *all, const pairs_operation *operation,
                               const pairs_task *task) {
    const bool alone = operation->draw && all->input_only;
    const bool two = operation->making == PAIRS_FIT ? has_halves(all, operation) : !alone;
    const image_header *first = &task->facts[0].header;
    const int64_t width = (is_fitted(all) ? all->size : first->width) * (two ? 2 : 1);
    const int64_t height = is_fitted(all) ? all->size : first->height;
    if (image_sides_fit(width, height)) return P2P_OK;
    p2p_fail(P2P_INPUT,
             "the picture made of %s would be %lld x %lld pixels; at most %d on a side and %d in all are "
             "accepted",
             task->sources[0], (long long)width, (long long)height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
    return p2p_hint(P2P_INPUT, "--size N makes it smaller");
}

static p2p_status check_source(const settings *all, const pairs_operation *operation, const char *path,
                               const image_header *header) {
    const bool halves = has_halves(all, operation);
    if (halves) P2P_TRY(check_halves(path, header->width));
    return is_fitted(all) ? check_fit(all, path, halves ? header->width / 2 : header->width, header->height)
                          : P2P_OK;
}

p2p_status pairs_task_measure(const settings *all, const pairs_operation *operation, pairs_task *task) {
    for (int i = 0; i < PAIRS_SOURCES && task->sources[i]; i++) {
        P2P_TRY(image_inspect(task->sources[i], &task->facts[i]));
        P2P_TRY(check_source(all, operation, task->sources[i], &task->facts[i].header));
    }
    if (task->sources[1] && !is_fitted(all)) P2P_TRY(check_equal(task));
    P2P_TRY(check_result(all, operation, task));
    task->format = format_of(all, task);
    task->bytes = task_bytes(all, operation, task);
    return image_memory_check(task->bytes, task->sources[0]);
}

/* ---- Making ------------------------------------------------------------------------------------------- */

/* A result in the making. `parts` are views of the pictures below. */
typedef struct {
    int count;
    image_view parts[PARTS];
    image loaded[PAIRS_SOURCES], fitted[PARTS], drawn, converted[PARTS];
} making;

static void making_free(making *work) {
    for (int i = 0; i < PAIRS_SOURCES; i++) image_free(&work->loaded[i]);
    for (int i = 0; i < PARTS; i++) {
        image_free(&work->fitted[i]);
        image_free(&work->converted[i]);
    }
    image_free(&work->drawn);
}

static p2p_status load_parts(const settings *all, const pairs_operation *operation, const pairs_task *task,
                             making *work) {
    for (int i = 0; i < PAIRS_SOURCES && task->sources[i]; i++) {
        P2P_TRY(image_load_inspected(task->sources[i], &task->facts[i], &work->loaded[i]));
        P2P_TRY(image_reformat(&work->loaded[i], task->format));
        work->parts[work->count++] = image_view_of(&work->loaded[i]);
    }
    if (!has_halves(all, operation)) return P2P_OK;
    const image_view both = work->parts[0];
    for (int i = 0; i < PARTS; i++)
        work->parts[i] = image_view_crop(both, i * (both.width / 2), 0, both.width / 2, both.height);
    work->count = PARTS;
    return P2P_OK;
}

/* Put A before the photograph, or in its place. */
static p2p_status derive(const settings *all, const pairs_operation *operation, const pairs_task *task,
                         making *work) {
    P2P_TRY(operation->draw(all, work->parts[0], task->item, &work->drawn));
    if (!all->input_only) work->parts[work->count++] = work->parts[0];
    work->parts[0] = image_view_of(&work->drawn);
    return P2P_OK;
}

static p2p_status convert_part(making *work, int part, image_format format) {
    if (image_format_equal(image_view_format(work->parts[part]), format)) return P2P_OK;
    P2P_TRY(image_convert(work->parts[part], format, &work->converted[part]));
    work->parts[part] = image_view_of(&work->converted[part]);
    return P2P_OK;
}

/* Place the parts, which have one height and one format, from left to right. */
static p2p_status join(const making *work, image *result) {
    const image_format format = image_view_format(work->parts[0]);
    const size_t pixel = image_pixel_bytes(format);
    int width = 0;
    for (int i = 0; i < work->count; i++) width += work->parts[i].width;
    P2P_TRY(image_create(result, width, work->parts[0].height, format));
    uint8_t *to = result->pixels;
    for (int y = 0; y < result->height; y++)
        for (int i = 0; i < work->count; i++) {
            const image_view *part = &work->parts[i];
            const size_t bytes = (size_t)part->width * pixel;
            memcpy(to, (const uint8_t *)part->pixels + (size_t)y * part->stride, bytes);
            to += bytes;
        }
    return P2P_OK;
}

static p2p_status make(const settings *all, const pairs_operation *operation, const pairs_task *task,
                       making *work, image *result) {
    P2P_TRY(load_parts(all, operation, task, work));
    for (int i = 0; i < work->count; i++) P2P_TRY(fit(all, &work->parts[i], &work->fitted[i]));
    if (operation->draw) P2P_TRY(derive(all, operation, task, work));
    for (int i = 0; i < work->count && work->count > 1; i++) P2P_TRY(convert_part(work, i, task->format));
    return join(work, result);
}

static p2p_status make_and_save(const settings *all, const pairs_operation *operation, const char *out,
                                const pairs_task *task) {
    making work = {0};
    image result = {0};
    p2p_status status = make(all, operation, task, &work, &result);
    making_free(&work);
    if (status == P2P_OK) status = result_folder_make(out, task->result);
    if (status == P2P_OK) status = image_save_new(task->result, &result);
    image_free(&result);
    return status;
}

p2p_status pairs_task_run(const settings *all, const pairs_operation *operation, const char *out,
                          const pairs_task *task) {
    P2P_TRY(image_memory_take(task->bytes, task->sources[0]));
    p2p_status status = make_and_save(all, operation, out, task);
    image_memory_give(task->bytes);
    return status;
}
