/* See resize.h. Bicubic is Pillow's separable resampling, with the same order of operations so that the
 * results are equal. Weights are computed in double and normalised by their sum. For 8 bits they are rounded
 * to 22 fractional bits, and sums are 32-bit integers that start at one half. For 16 bits sums are in double
 * and rounded half away from zero. Each pass clamps to the sample's range. If only one side changes, the
 * filter of the other is a single weight of 1, so that its pass is the identity and needs no special case.
 *
 * 22 bits suffice: the weights of one output add up to 1 and their magnitudes to at most 1.25, so a sum is
 * below 255 * 1.25 * 2^22 < 2^31. */
#include "resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

resize_filter resize_filter_named(const char *name) {
    return strcmp(name, "nearest") == 0 ? RESIZE_NEAREST : RESIZE_BICUBIC;
}

enum { FRACTION_BITS = 32 - 8 - 2 };

static const double SUPPORT = 2.0; /* of the cubic, in source pixels, unless it shrinks the picture */

/* The weights of consecutive outputs of one axis. Output i reads counts[i] inputs from starts[i] on, with
 * weights[i * taps ...]. */
typedef struct {
    int outputs, taps;
    int *starts, *counts;
    double *weights;
    int32_t *fixed_weights; /* the same in fixed point */
} axis_filter;

/* Keys' cubic convolution with a = -0.5. */
static double cubic(double x) {
    const double a = -0.5;
    if (x < 0.0) x = -x;
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static void axis_filter_free(axis_filter *filter) {
    free(filter->starts);
    free(filter->counts);
    free(filter->weights);
    free(filter->fixed_weights);
    *filter = (axis_filter){0};
}

/* Compute the window and the weights of one output. `scale` is in source pixels per output pixel. */
static void fill_output(axis_filter *filter, int i, int position, int source_length, double scale) {
    double stretch = scale < 1.0 ? 1.0 : scale;
    double support = SUPPORT * stretch, squeeze = 1.0 / stretch;
    double center = (position + 0.5) * scale;
    int start = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
    if (start < 0) start = 0;
    if (end > source_length) end = source_length;
    double *weights = filter->weights + (size_t)i * (size_t)filter->taps, sum = 0.0;
    int32_t *fixed = filter->fixed_weights + (size_t)i * (size_t)filter->taps;
    for (int k = 0; k < end - start; k++) {
        weights[k] = cubic((k + start - center + 0.5) * squeeze);
        sum += weights[k];
    }
    for (int k = 0; k < end - start; k++) {
        if (sum != 0.0) weights[k] /= sum;
        double scaled = weights[k] * (1 << FRACTION_BITS);
        fixed[k] = (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    filter->starts[i] = start;
    filter->counts[i] = end - start;
}

/* The filter from source_length to target_length, for the outputs first .. first + outputs - 1. */
static p2p_status axis_filter_make(axis_filter *filter, int source_length, int target_length, int first,
                                   int outputs) {
    double scale = (double)source_length / target_length;
    int taps = (int)ceil(SUPPORT * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
    *filter = (axis_filter){.outputs = outputs, .taps = taps};
    filter->starts = malloc((size_t)outputs * sizeof *filter->starts);
    filter->counts = malloc((size_t)outputs * sizeof *filter->counts);
    filter->weights = malloc((size_t)outputs * (size_t)taps * sizeof *filter->weights);
    filter->fixed_weights = malloc((size_t)outputs * (size_t)taps * sizeof *filter->fixed_weights);
    if (filter->starts == NULL || filter->counts == NULL || filter->weights == NULL ||
        filter->fixed_weights == NULL) {
        axis_filter_free(filter);
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for resizing %d to %d pixels", source_length,
                        target_length);
    }
    for (int i = 0; i < outputs; i++) fill_output(filter, i, first + i, source_length, scale);
    return P2P_OK;
}

/* ---- Sums of 8 and of 16 bits ------------------------------------------------------------------------- */

static const int32_t ONE_HALF = 1 << (FRACTION_BITS - 1);

static uint8_t clamp_fixed(int32_t sum) {
    if (sum < 0) return 0; /* shifting a negative number is not portable */
    int32_t value = sum >> FRACTION_BITS;
    return value > 255 ? 255 : (uint8_t)value;
}

static uint16_t clamp_real(double sum) {
    return sum < 0.0 ? 0 : sum >= 65535.0 ? 65535 : (uint16_t)(sum + 0.5);
}

/* Filter a row horizontally into filter->outputs pixels of `target`. `source` points to the pixel with index
 * `first`. There is a function per format, because with a variable number of channels resizing takes 1.4
 * times as long. */
/* clang-format off */
#define DEFINE_ROW(bits, channels, sample, sum, filter_weights, begin, clamp)                                \
    static void row_of_##bits##x##channels(const axis_filter *filter, const void *source, int first,         \
                                           void *target) {                                                   \
        sample *to = target;                                                                                 \
        for (int i = 0; i < filter->outputs; i++) {                                                          \
            const sum *weights = filter->filter_weights + (size_t)i * (size_t)filter->taps;                  \
            const sample *pixel = (const sample *)source + (size_t)(filter->starts[i] - first) * channels;   \
            sum s0 = begin, s1 = begin, s2 = begin, s3 = begin;                                              \
            for (int k = 0; k < filter->counts[i]; k++, pixel += channels) {                                 \
                s0 += weights[k] * pixel[0];                                                                 \
                if (channels > 1) s1 += weights[k] * pixel[1];                                               \
                if (channels > 2) s2 += weights[k] * pixel[2];                                               \
                if (channels > 3) s3 += weights[k] * pixel[3];                                               \
            }                                                                                                \
            *to++ = clamp(s0);                                                                               \
            if (channels > 1) *to++ = clamp(s1);                                                             \
            if (channels > 2) *to++ = clamp(s2);                                                             \
            if (channels > 3) *to++ = clamp(s3);                                                             \
        }                                                                                                    \
    }
DEFINE_ROW(8, 1, uint8_t, int32_t, fixed_weights, ONE_HALF, clamp_fixed)
DEFINE_ROW(8, 2, uint8_t, int32_t, fixed_weights, ONE_HALF, clamp_fixed)
DEFINE_ROW(8, 3, uint8_t, int32_t, fixed_weights, ONE_HALF, clamp_fixed)
DEFINE_ROW(8, 4, uint8_t, int32_t, fixed_weights, ONE_HALF, clamp_fixed)
DEFINE_ROW(16, 1, uint16_t, double, weights, 0.0, clamp_real)
DEFINE_ROW(16, 2, uint16_t, double, weights, 0.0, clamp_real)
DEFINE_ROW(16, 3, uint16_t, double, weights, 0.0, clamp_real)
DEFINE_ROW(16, 4, uint16_t, double, weights, 0.0, clamp_real)
/* clang-format on */

static void filter_row(const axis_filter *filter, const void *source, int first, image_format format,
                       void *target) {
    static void (*const rows[2][IMAGE_MAX_CHANNELS])(const axis_filter *, const void *, int, void *) = {
        {row_of_8x1, row_of_8x2, row_of_8x3, row_of_8x4},
        {row_of_16x1, row_of_16x2, row_of_16x3, row_of_16x4},
    };
    rows[format.bits == 16][format.channels - 1](filter, source, first, target);
}

/* Output row i of the vertical pass: the weighted sum of whole rows, so that the inner loop is contiguous.
 * `row` is the first row to read. `sums` has room for a row of `length` samples. */
static void rows_of_8(const axis_filter *filter, int i, const uint8_t *row, size_t stride, size_t length,
                      int32_t *sums, uint8_t *target) {
    const int32_t *weights = filter->fixed_weights + (size_t)i * (size_t)filter->taps;
    for (size_t j = 0; j < length; j++) sums[j] = ONE_HALF;
    for (int k = 0; k < filter->counts[i]; k++, row += stride) {
        int32_t weight = weights[k];
        for (size_t j = 0; j < length; j++) sums[j] += weight * row[j];
    }
    for (size_t j = 0; j < length; j++) target[j] = clamp_fixed(sums[j]);
}

static void rows_of_16(const axis_filter *filter, int i, const uint8_t *row, size_t stride, size_t length,
                       double *sums, uint16_t *target) {
    const double *weights = filter->weights + (size_t)i * (size_t)filter->taps;
    for (size_t j = 0; j < length; j++) sums[j] = 0.0;
    for (int k = 0; k < filter->counts[i]; k++, row += stride) {
        const uint16_t *samples = (const void *)row;
        double weight = weights[k];
        for (size_t j = 0; j < length; j++) sums[j] += weight * samples[j];
    }
    for (size_t j = 0; j < length; j++) target[j] = clamp_real(sums[j]);
}

static size_t sum_bytes(image_format format) {
    return format.bits == 8 ? sizeof(int32_t) : sizeof(double);
}

/* The first row of `source` has the index `first`. */
static void filter_rows(const axis_filter *filter, int i, image_view source, int first, void *sums,
                        void *target) {
    const uint8_t *row = (const uint8_t *)source.pixels + (size_t)(filter->starts[i] - first) * source.stride;
    size_t length = (size_t)source.width * (size_t)source.channels;
    if (source.bits == 8)
        rows_of_8(filter, i, row, source.stride, length, sums, target);
    else
        rows_of_16(filter, i, row, source.stride, length, sums, target);
}

/* ---- Both passes -------------------------------------------------------------------------------------- */

/* The inputs that any output of a filter reads: `count` from `first` on. */
typedef struct {
    int first, count;
} input_range;

static input_range inputs_of(const axis_filter *filter) {
    int first = filter->starts[0], last = filter->outputs - 1;
    return (input_range){first, filter->starts[last] + filter->counts[last] - first};
}

/* The horizontal pass over all needed rows into `middle`, then the vertical pass. */
static void filter_across_then_down(const axis_filter *across, const axis_filter *down, image_view source,
                                    uint8_t *middle, void *sums, uint8_t *pixels) {
    input_range rows = inputs_of(down);
    image_format format = image_view_format(source);
    image_view needed = image_view_crop(source, 0, rows.first, source.width, rows.count), narrowed = needed;
    narrowed.width = across->outputs;
    narrowed.stride = (size_t)across->outputs * image_pixel_bytes(format);
    narrowed.pixels = middle;
    for (size_t y = 0; y < (size_t)rows.count; y++)
        filter_row(across, (const uint8_t *)needed.pixels + y * needed.stride, 0, format,
                   middle + y * narrowed.stride);
    for (int y = 0; y < down->outputs; y++)
        filter_rows(down, y, narrowed, rows.first, sums, pixels + (size_t)y * narrowed.stride);
}

/* For each output row: the vertical pass into `middle`, which is one row, then the horizontal pass. */
static void filter_down_then_across(const axis_filter *across, const axis_filter *down, image_view source,
                                    uint8_t *middle, void *sums, uint8_t *pixels) {
    input_range columns = inputs_of(across);
    image_format format = image_view_format(source);
    image_view needed = image_view_crop(source, columns.first, 0, columns.count, source.height);
    for (int y = 0; y < down->outputs; y++) {
        filter_rows(down, y, needed, 0, sums, middle);
        filter_row(across, middle, columns.first, format,
                   pixels + (size_t)y * (size_t)across->outputs * image_pixel_bytes(format));
    }
}

static p2p_status filter_both(const axis_filter *across, const axis_filter *down, image_view source,
                              bool across_first, uint8_t *pixels) {
    image_format format = image_view_format(source);
    size_t row = across_first ? (size_t)across->outputs : (size_t)inputs_of(across).count;
    size_t rows = across_first ? (size_t)inputs_of(down).count : 1;
    uint8_t *middle = malloc(rows * row * image_pixel_bytes(format));
    void *sums = malloc(row * (size_t)format.channels * sum_bytes(format));
    p2p_status status = P2P_OK;
    if (middle == NULL || sums == NULL)
        status =
            p2p_fail(P2P_OUT_OF_MEMORY, "no memory for resizing %d x %d pixels", source.width, source.height);
    else if (across_first)
        filter_across_then_down(across, down, source, middle, sums, pixels);
    else
        filter_down_then_across(across, down, source, middle, sums, pixels);
    free(middle);
    free(sums);
    return status;
}

/* The rows between the passes, the sums of one row, and the weights: about four per pixel of the source,
 * three per pixel of the target. */
uint64_t resize_bytes(int width, int height, image_format format, int side) {
    const uint64_t w = (uint64_t)width, h = (uint64_t)height, s = (uint64_t)side;
    const uint64_t weights = (4 * (w + h) + 6 * s) * (sizeof(double) + sizeof(int32_t));
    const uint64_t sums = (w > s ? w : s) * (uint64_t)format.channels * sizeof(double);
    return h * s * image_pixel_bytes(format) + sums + weights + 4 * s * sizeof(int);
}

/* The order of the passes affects the result, because each pass rounds. See resize.h. */
static bool goes_across_first(image_view source, const resize_target *target) {
    int shrinks_by = source.height - target->height;
    return shrinks_by <= 0 || shrinks_by <= 2 * (source.width - target->width);
}

static p2p_status resize_bicubic(image_view source, const resize_target *target, uint8_t *pixels) {
    axis_filter across = {0}, down = {0};
    p2p_status status =
        axis_filter_make(&across, source.width, target->width, target->left, target->crop_width);
    if (status == P2P_OK)
        status = axis_filter_make(&down, source.height, target->height, target->top, target->crop_height);
    if (status == P2P_OK)
        status = filter_both(&across, &down, source, goes_across_first(source, target), pixels);
    axis_filter_free(&across);
    axis_filter_free(&down);
    return status;
}

/* ---- Copies ------------------------------------------------------------------------------------------- */

static size_t nearest_of(int position, int source_length, int target_length) {
    float scale = (float)source_length / (float)target_length;
    int nearest = (int)floorf(((float)position + 0.5f) * scale);
    return (size_t)(nearest < source_length ? nearest : source_length - 1);
}

static void resize_nearest(image_view source, const resize_target *target, uint8_t *pixels) {
    size_t step = image_pixel_bytes(image_view_format(source));
    for (int y = 0; y < target->crop_height; y++) {
        size_t from_y = nearest_of(target->top + y, source.height, target->height);
        const uint8_t *row = (const uint8_t *)source.pixels + from_y * source.stride;
        for (int x = 0; x < target->crop_width; x++, pixels += step)
            memcpy(pixels, row + nearest_of(target->left + x, source.width, target->width) * step, step);
    }
}

static void copy_rectangle(image_view source, const resize_target *target, uint8_t *pixels) {
    image_view view =
        image_view_crop(source, target->left, target->top, target->crop_width, target->crop_height);
    size_t length = (size_t)target->crop_width * image_pixel_bytes(image_view_format(source));
    for (size_t y = 0; y < (size_t)view.height; y++)
        memcpy(pixels + y * length, (const uint8_t *)view.pixels + y * view.stride, length);
}

static bool is_sensible(image_view source, const resize_target *target) {
    return image_format_is_valid(image_view_format(source)) && source.width >= 1 && source.height >= 1 &&
           source.width <= IMAGE_MAX_SIDE && source.height <= IMAGE_MAX_SIDE &&
           target->width <= IMAGE_MAX_SIDE && target->height <= IMAGE_MAX_SIDE && target->left >= 0 &&
           target->top >= 0 && target->crop_width >= 1 && target->crop_height >= 1 &&
           target->left <= target->width - target->crop_width &&
           target->top <= target->height - target->crop_height;
}

p2p_status resize_window(image_view source, const resize_target *target, void *pixels) {
    if (!is_sensible(source, target))
        return p2p_fail(P2P_INVALID, "can't resize %d x %d pixels to %d x %d and take %d x %d at (%d, %d)",
                        source.width, source.height, target->width, target->height, target->crop_width,
                        target->crop_height, target->left, target->top);
    if (source.width == target->width && source.height == target->height)
        copy_rectangle(source, target, pixels);
    else if (target->filter == RESIZE_NEAREST)
        resize_nearest(source, target, pixels);
    else
        return resize_bicubic(source, target, pixels);
    return P2P_OK;
}

p2p_status resize_image(image_view source, int width, int height, resize_filter filter, image *result) {
    P2P_TRY(image_create(result, width, height, image_view_format(source)));
    resize_target target = {
        .width = width, .height = height, .crop_width = width, .crop_height = height, .filter = filter};
    p2p_status status = resize_window(source, &target, result->pixels);
    if (status != P2P_OK) image_free(result);
    return status;
}
