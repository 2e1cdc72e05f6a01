/* Conversions of formats. See image.h. A pixel's channels are converted first, at the source's bits, then the
 * bits of each sample. */
#include "image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t load_sample(const uint8_t *from, int bits) {
    uint16_t wide;
    if (bits == 8) return *from;
    memcpy(&wide, from, sizeof wide);
    return wide;
}

static void store_sample(uint8_t *to, int bits, uint32_t value) {
    uint16_t wide = (uint16_t)value;
    if (bits == 8)
        *to = (uint8_t)value;
    else
        memcpy(to, &wide, sizeof wide);
}

static uint32_t convert_bits(uint32_t value, int from, int to) {
    if (from == to) return value;
    return to == 16 ? value * 257 : (value + 128) / 257;
}

/* ITU-R 601. The weights add up to 65536: white stays white, and a sum of 16-bit samples fits 32 bits. */
static uint32_t grey_of(const uint32_t *rgb) {
    return (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16;
}

/* Convert in place. `samples` holds `from` channels and has room for four. */
static void convert_channels(uint32_t *samples, int from, int to, uint32_t opaque) {
    uint32_t alpha = from % 2 == 0 ? samples[from - 1] : opaque;
    if (from >= 3 && to <= 2) samples[0] = grey_of(samples);
    if (from <= 2 && to >= 3) samples[1] = samples[2] = samples[0];
    if (to % 2 == 0) samples[to - 1] = alpha;
}

static void convert_row(const uint8_t *from, image_format source, uint8_t *to, image_format target,
                        int width) {
    size_t from_step = (size_t)source.bits / 8, to_step = (size_t)target.bits / 8;
    uint32_t opaque = source.bits == 8 ? 255 : 65535;
    for (int x = 0; x < width; x++) {
        uint32_t samples[IMAGE_MAX_CHANNELS] = {0};
        for (int c = 0; c < source.channels; c++, from += from_step)
            samples[c] = load_sample(from, source.bits);
        if (source.channels != target.channels)
            convert_channels(samples, source.channels, target.channels, opaque);
        for (int c = 0; c < target.channels; c++, to += to_step)
            store_sample(to, target.bits, convert_bits(samples[c], source.bits, target.bits));
    }
}

p2p_status image_convert(image_view view, image_format format, image *result) {
    P2P_TRY(image_create(result, view.width, view.height, format));
    image_format source = image_view_format(view);
    size_t stride = image_view_of(result).stride;
    for (size_t y = 0; y < (size_t)view.height; y++) {
        const uint8_t *from = (const uint8_t *)view.pixels + y * view.stride;
        uint8_t *to = (uint8_t *)result->pixels + y * stride;
        if (image_format_equal(source, format))
            memcpy(to, from, stride);
        else
            convert_row(from, source, to, format, view.width);
    }
    return P2P_OK;
}

/* Convert row after row over the pixels themselves, none of which grows: a pixel is written before the next
 * one is read after it. */
static void convert_in_place(image *picture, image_format format) {
    const image_format source = image_format_of(picture);
    const size_t from = (size_t)picture->width * image_pixel_bytes(source);
    const size_t to = (size_t)picture->width * image_pixel_bytes(format);
    uint8_t *pixels = picture->pixels;
    for (size_t y = 0; y < (size_t)picture->height; y++)
        convert_row(pixels + y * from, source, pixels + y * to, format, picture->width);
    picture->channels = format.channels;
    picture->bits = format.bits;
    void *shrunk = realloc(pixels, image_bytes(picture));
    if (shrunk != NULL) picture->pixels = shrunk;
}

p2p_status image_reformat(image *picture, image_format format) {
    image converted;
    if (image_format_equal(image_format_of(picture), format)) return P2P_OK;
    if (image_format_is_valid(format) &&
        image_pixel_bytes(format) <= image_pixel_bytes(image_format_of(picture))) {
        convert_in_place(picture, format);
        return P2P_OK;
    }
    P2P_TRY(image_convert(image_view_of(picture), format, &converted));
    image_free(picture);
    *picture = converted;
    return P2P_OK;
}

/* Map [-1, 1] to 0 .. top and round to the nearest integer. */
static uint32_t nearest_sample(float value, float top) {
    float scaled = (value + 1.0f) * (top / 2);
    if (!(scaled > 0.0f)) return 0; /* NaN too */
    return (uint32_t)(scaled >= top ? top : rintf(scaled));
}

p2p_status image_from_planes(const float *planes, int width, int height, image_format format, image *result) {
    P2P_TRY(image_create(result, width, height, format));
    size_t plane = (size_t)width * (size_t)height, channels = (size_t)format.channels;
    size_t step = (size_t)format.bits / 8;
    float top = format.bits == 8 ? 255.0f : 65535.0f;
    uint8_t *to = result->pixels;
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < channels; c++, to += step)
            store_sample(to, format.bits, nearest_sample(planes[c * plane + i], top));
    return P2P_OK;
}
