/* L1, PSNR and SSIM. See quality.h. SSIM after Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment:
 * from error visibility to structural similarity" (2004), formula 13, with windows weighted uniformly. */
#include "quality.h"

#include <math.h>
#include <stdlib.h>

/* Sums over the pixels of a window or of one of its columns. The sum of 49 products of 16-bit samples needs
 * 38 bits, and 49 times that needs 44. */
typedef struct {
    int64_t a, b, aa, bb, ab;
} moments;

static int64_t sample_at(const quality_picture *picture, size_t index) {
    return picture->bits == 8 ? ((const uint8_t *)picture->samples)[index]
                              : ((const uint16_t *)picture->samples)[index];
}

static double data_range(const quality_picture *picture) {
    return picture->bits == 8 ? 255 : 65535;
}

/* ---- Differences -------------------------------------------------------------------------------------- */

/* The largest picture, 2^28 pixels with 4 channels of 16 bits, has sums below 2^62. */
static void measure_differences(const quality_picture *a, const quality_picture *b, quality *result) {
    const size_t samples = (size_t)a->width * (size_t)a->height * (size_t)a->channels;
    const double range = data_range(a);
    int64_t absolute = 0, squared = 0;
    for (size_t i = 0; i < samples; i++) {
        const int64_t difference = sample_at(a, i) - sample_at(b, i);
        absolute += difference < 0 ? -difference : difference;
        squared += difference * difference;
    }
    result->l1 = 2 / range * (double)absolute / (double)samples;
    result->psnr = squared == 0 ? INFINITY : 10 * log10(range * range * (double)samples / (double)squared);
}

/* ---- Structural similarity ---------------------------------------------------------------------------- */

/* One channel of both pictures. */
typedef struct {
    const quality_picture *a, *b;
    int channel;
    moments *columns; /* per column of pixels: sums over the window's rows */
} ssim_channel;

static void add_pixel(moments *sums, int64_t a, int64_t b, int sign) {
    sums->a += sign * a;
    sums->b += sign * b;
    sums->aa += sign * a * a;
    sums->bb += sign * b * b;
    sums->ab += sign * a * b;
}

static void add_column(moments *sums, const moments *column, int sign) {
    sums->a += sign * column->a;
    sums->b += sign * column->b;
    sums->aa += sign * column->aa;
    sums->bb += sign * column->bb;
    sums->ab += sign * column->ab;
}

static void add_row(const ssim_channel *at, int row, int sign) {
    const int width = at->a->width, channels = at->a->channels;
    size_t index = (size_t)row * (size_t)width * (size_t)channels + (size_t)at->channel;
    for (int x = 0; x < width; x++, index += (size_t)channels)
        add_pixel(&at->columns[x], sample_at(at->a, index), sample_at(at->b, index), sign);
}

/* (2 ma mb + C1) (2 cov + C2) / ((ma^2 + mb^2 + C1) (va + vb + C2)), where variances are divided by n - 1. */
static double window_ssim(const moments *sums, double range) {
    const int64_t n = QUALITY_WINDOW * QUALITY_WINDOW;
    const double c1 = 0.01 * 0.01 * range * range, c2 = 0.03 * 0.03 * range * range;
    const double mean_a = (double)sums->a / (double)n, mean_b = (double)sums->b / (double)n;
    const double scale = 1 / (double)(n * (n - 1));
    const double variance_a = scale * (double)(n * sums->aa - sums->a * sums->a);
    const double variance_b = scale * (double)(n * sums->bb - sums->b * sums->b);
    const double covariance = scale * (double)(n * sums->ab - sums->a * sums->b);
    return (2 * mean_a * mean_b + c1) * (2 * covariance + c2) /
           ((mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2));
}

/* The sum over all windows in the current rows. */
static double row_of_windows(const ssim_channel *at) {
    const double range = data_range(at->a);
    moments window = {0};
    double sum = 0;
    for (int x = 0; x < at->a->width; x++) {
        add_column(&window, &at->columns[x], 1);
        if (x >= QUALITY_WINDOW) add_column(&window, &at->columns[x - QUALITY_WINDOW], -1);
        if (x >= QUALITY_WINDOW - 1) sum += window_ssim(&window, range);
    }
    return sum;
}

static double channel_sum(const ssim_channel *at) {
    double sum = 0;
    for (int x = 0; x < at->a->width; x++) at->columns[x] = (moments){0};
    for (int y = 0; y < at->a->height; y++) {
        add_row(at, y, 1);
        if (y >= QUALITY_WINDOW) add_row(at, y - QUALITY_WINDOW, -1);
        if (y >= QUALITY_WINDOW - 1) sum += row_of_windows(at);
    }
    return sum;
}

static p2p_status measure_ssim(const quality_picture *a, const quality_picture *b, double *result) {
    *result = NAN;
    if (a->width < QUALITY_WINDOW || a->height < QUALITY_WINDOW) return P2P_OK;
    const double positions = (double)(a->width - QUALITY_WINDOW + 1) * (a->height - QUALITY_WINDOW + 1);
    double sum = 0;
    ssim_channel at = {.a = a, .b = b, .columns = malloc((size_t)a->width * sizeof *at.columns)};
    if (!at.columns)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to compare pictures of width %d", a->width);
    for (; at.channel < a->channels; at.channel++) sum += channel_sum(&at);
    free(at.columns);
    *result = sum / positions / a->channels;
    return P2P_OK;
}

/* ---- Pictures ----------------------------------------------------------------------------------------- */

p2p_status quality_measure(const quality_picture *a, const quality_picture *b, quality *result) {
    if (a->width != b->width || a->height != b->height || a->channels != b->channels || a->bits != b->bits)
        return p2p_fail(
            P2P_INVALID,
            "pictures of %d x %d pixels, %d channels, %d bits and of %d x %d pixels, %d channels, "
            "%d bits can't be compared",
            a->width, a->height, a->channels, a->bits, b->width, b->height, b->channels, b->bits);
    if (a->width < 1 || a->height < 1 || a->channels < 1 || (a->bits != 8 && a->bits != 16))
        return p2p_fail(P2P_INVALID, "pictures of %d x %d pixels, %d channels, %d bits can't be compared",
                        a->width, a->height, a->channels, a->bits);
    measure_differences(a, b, result);
    return measure_ssim(a, b, &result->ssim);
}

static quality_picture picture_of(const image *picture) {
    return (quality_picture){.width = picture->width,
                             .height = picture->height,
                             .channels = picture->channels,
                             .bits = picture->bits,
                             .samples = picture->pixels};
}

p2p_status quality_of_images(const image *a, const image *b, quality *result) {
    const quality_picture first = picture_of(a), second = picture_of(b);
    return quality_measure(&first, &second, result);
}

void quality_add(quality_total *total, const quality *one) {
    total->sums.l1 += one->l1;
    total->sums.psnr += one->psnr;
    total->sums.ssim += one->ssim;
    total->pictures++;
}

quality quality_mean(const quality_total *total) {
    const double pictures = (double)total->pictures;
    return (quality){.l1 = total->sums.l1 / pictures,
                     .psnr = total->sums.psnr / pictures,
                     .ssim = total->sums.ssim / pictures};
}

json_t *quality_to_json(double number) {
    return isfinite(number) ? json_real(number) : json_null();
}
