/* Pillow's separable resampling for 8-bit channels, in the order of operations that gives its bytes: weights
 * in double, normalised by their sum, rounded to 22 fractional bits; sums in 32-bit integers that start at
 * one half; each pass clamped to a byte. Where only one side changes, the filter of the other is exactly one
 * weight of 1, so that pass gives back what it gets and needs no case of its own.
 *
 * 22 bits leave room: the weights of one output add up to 1 and their magnitudes to at most 1.25, so a sum
 * stays below 255 * 1.25 * 2^22 < 2^31. */
#include "resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRACTION_BITS = 32 - 8 - 2 };

static const double SUPPORT = 2.0; /* of the cubic, in source pixels when not shrinking */

/* The weights of consecutive outputs of one axis: output i reads `counts[i]` inputs from `starts[i]` with
 * weights[i * taps ...]. */
typedef struct {
    int outputs, taps;
    int *starts, *counts;
    int32_t *weights;
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
    *filter = (axis_filter){0};
}

/* One output's window and its weights. `scale` is source pixels per output pixel; `exact` has room for the
 * unrounded weights. */
static void fill_output(axis_filter *filter, int i, int position, int source_length, double scale,
                        double *exact) {
    double stretch = scale < 1.0 ? 1.0 : scale;
    double support = SUPPORT * stretch, squeeze = 1.0 / stretch;
    double center = (position + 0.5) * scale;
    int start = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
    if (start < 0) start = 0;
    if (end > source_length) end = source_length;
    double sum = 0.0;
    for (int k = 0; k < end - start; k++) {
        exact[k] = cubic((k + start - center + 0.5) * squeeze);
        sum += exact[k];
    }
    int32_t *weights = filter->weights + (size_t)i * (size_t)filter->taps;
    for (int k = 0; k < end - start; k++) {
        double weight = (sum != 0.0 ? exact[k] / sum : exact[k]) * (1 << FRACTION_BITS);
        weights[k] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    filter->starts[i] = start;
    filter->counts[i] = end - start;
}

/* The filter that takes source_length to target_length, for outputs first .. first + outputs - 1. */
static p2p_status axis_filter_make(axis_filter *filter, int source_length, int target_length, int first,
                                   int outputs) {
    double scale = (double)source_length / target_length;
    int taps = (int)ceil(SUPPORT * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
    *filter = (axis_filter){.outputs = outputs, .taps = taps};
    filter->starts = malloc((size_t)outputs * sizeof *filter->starts);
    filter->counts = malloc((size_t)outputs * sizeof *filter->counts);
    filter->weights = malloc((size_t)outputs * (size_t)taps * sizeof *filter->weights);
    double *exact = malloc((size_t)taps * sizeof *exact);
    if (filter->starts == NULL || filter->counts == NULL || filter->weights == NULL || exact == NULL) {
        axis_filter_free(filter);
        free(exact);
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for resizing %d to %d pixels", source_length,
                        target_length);
    }
    for (int i = 0; i < outputs; i++) fill_output(filter, i, first + i, source_length, scale, exact);
    free(exact);
    return P2P_OK;
}

static const int32_t ONE_HALF = 1 << (FRACTION_BITS - 1);

static uint8_t clamp_sum(int32_t sum) {
    if (sum < 0) return 0; /* first, because shifting a negative number is not portable */
    int32_t value = sum >> FRACTION_BITS;
    return value > 255 ? 255 : (uint8_t)value;
}

/* One row across: filter->outputs pixels of `target`. `source` points at the pixel numbered `first`. */
static void filter_row(const axis_filter *filter, const uint8_t *source, int first, uint8_t *target) {
    for (int i = 0; i < filter->outputs; i++) {
        const int32_t *weights = filter->weights + (size_t)i * (size_t)filter->taps;
        const uint8_t *pixel = source + (size_t)(filter->starts[i] - first) * IMAGE_CHANNELS;
        int32_t red = ONE_HALF, green = ONE_HALF, blue = ONE_HALF;
        for (int k = 0; k < filter->counts[i]; k++, pixel += IMAGE_CHANNELS) {
            red += weights[k] * pixel[0];
            green += weights[k] * pixel[1];
            blue += weights[k] * pixel[2];
        }
        *target++ = clamp_sum(red);
        *target++ = clamp_sum(green);
        *target++ = clamp_sum(blue);
    }
}

/* Output i of the way down: the weighted sum of whole rows, so that the inner loop is contiguous. `source`
 * begins with the row numbered `first`; `sums` has room for a row. */
static void filter_rows(const axis_filter *filter, int i, image_view source, int first, int32_t *sums,
                        uint8_t *target) {
    const int32_t *weights = filter->weights + (size_t)i * (size_t)filter->taps;
    const uint8_t *row = source.pixels + (size_t)(filter->starts[i] - first) * source.stride;
    size_t length = (size_t)source.width * IMAGE_CHANNELS;
    for (size_t j = 0; j < length; j++) sums[j] = ONE_HALF;
    for (int k = 0; k < filter->counts[i]; k++, row += source.stride) {
        int32_t weight = weights[k];
        for (size_t j = 0; j < length; j++) sums[j] += weight * row[j];
    }
    for (size_t j = 0; j < length; j++) target[j] = clamp_sum(sums[j]);
}

/* Inputs that some output of a filter reads: `count` from `first`. */
typedef struct {
    int first, count;
} input_range;

static input_range inputs_of(const axis_filter *filter) {
    int first = filter->starts[0], last = filter->outputs - 1;
    return (input_range){first, filter->starts[last] + filter->counts[last] - first};
}

/* Across all needed rows into `middle`, then down. */
static void filter_across_then_down(const axis_filter *across, const axis_filter *down, image_view source,
                                    uint8_t *middle, int32_t *sums, uint8_t *pixels) {
    input_range rows = inputs_of(down);
    size_t length = (size_t)across->outputs * IMAGE_CHANNELS;
    for (int y = 0; y < rows.count; y++)
        filter_row(across, source.pixels + (size_t)(rows.first + y) * source.stride, 0,
                   middle + (size_t)y * length);
    image_view narrowed = {
        .width = across->outputs, .height = rows.count, .stride = length, .pixels = middle};
    for (int y = 0; y < down->outputs; y++)
        filter_rows(down, y, narrowed, rows.first, sums, pixels + (size_t)y * length);
}

/* Row by row: down into `middle`, which is one row, then across. */
static void filter_down_then_across(const axis_filter *across, const axis_filter *down, image_view source,
                                    uint8_t *middle, int32_t *sums, uint8_t *pixels) {
    input_range columns = inputs_of(across);
    image_view needed = image_view_crop(source, columns.first, 0, columns.count, source.height);
    for (int y = 0; y < down->outputs; y++) {
        filter_rows(down, y, needed, 0, sums, middle);
        filter_row(across, middle, columns.first,
                   pixels + (size_t)y * (size_t)across->outputs * IMAGE_CHANNELS);
    }
}

static p2p_status filter_both(const axis_filter *across, const axis_filter *down, image_view source,
                              bool across_first, uint8_t *pixels) {
    size_t row = (size_t)(across_first ? across->outputs : inputs_of(across).count) * IMAGE_CHANNELS;
    size_t rows = across_first ? (size_t)inputs_of(down).count : 1;
    uint8_t *middle = malloc(rows * row);
    int32_t *sums = malloc(row * sizeof *sums);
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

/* The order decides how the rounding between the passes falls. */
static bool goes_across_first(image_view source, const resize_target *target) {
    int shrinks_by = source.height - target->height;
    return shrinks_by <= 0 || shrinks_by <= 2 * (source.width - target->width);
}

static void copy_rectangle(image_view source, const resize_target *target, uint8_t *pixels) {
    size_t length = (size_t)target->crop_width * IMAGE_CHANNELS;
    image_view view =
        image_view_crop(source, target->left, target->top, target->crop_width, target->crop_height);
    for (size_t y = 0; y < (size_t)view.height; y++)
        memcpy(pixels + y * length, view.pixels + y * view.stride, length);
}

static bool is_sensible(image_view source, const resize_target *target) {
    return source.width >= 1 && source.height >= 1 && source.width <= IMAGE_MAX_SIDE &&
           source.height <= IMAGE_MAX_SIDE && target->width <= IMAGE_MAX_SIDE &&
           target->height <= IMAGE_MAX_SIDE && target->left >= 0 && target->top >= 0 &&
           target->crop_width >= 1 && target->crop_height >= 1 &&
           target->left <= target->width - target->crop_width &&
           target->top <= target->height - target->crop_height;
}

p2p_status resize_bicubic(image_view source, const resize_target *target, uint8_t *pixels) {
    if (!is_sensible(source, target))
        return p2p_fail(P2P_INVALID, "can't resize %d x %d pixels to %d x %d and take %d x %d at (%d, %d)",
                        source.width, source.height, target->width, target->height, target->crop_width,
                        target->crop_height, target->left, target->top);
    if (source.width == target->width && source.height == target->height) {
        copy_rectangle(source, target, pixels);
        return P2P_OK;
    }
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

p2p_status resize_image(image_view source, int width, int height, image *result) {
    P2P_TRY(image_create(result, width, height));
    resize_target target = {.width = width, .height = height, .crop_width = width, .crop_height = height};
    p2p_status status = resize_bicubic(source, &target, result->pixels);
    if (status != P2P_OK) image_free(result);
    return status;
}
