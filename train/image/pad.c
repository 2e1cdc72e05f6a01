/* See pad.h. */
#include "pad.h"

#include <stdlib.h>
#include <string.h>

int pad_side(int side, int unit) {
    return (side + unit - 1) / unit * unit;
}

static int before(int padded, int side) {
    return (padded - side) / 2;
}

/* The source position that is reflected to `at`, relative to the source's first pixel: a triangle wave of
 * period 2 (side - 1). */
static int reflected(int at, int side) {
    if (side == 1) return 0;
    const int period = 2 * (side - 1);
    const int phase = (at % period + period) % period;
    return phase < side ? phase : period - phase;
}

p2p_status pad_reflect(const image *source, int width, int height, image *result) {
    const size_t pixel = image_pixel_bytes(image_format_of(source));
    const int left = before(width, source->width), top = before(height, source->height);
    P2P_TRY(image_create(result, width, height, image_format_of(source)));
    char *to = result->pixels;
    for (int y = 0; y < height; y++) {
        const size_t row = (size_t)reflected(y - top, source->height) * (size_t)source->width;
        const char *from = (const char *)source->pixels + row * pixel;
        for (int x = 0; x < width; x++, to += pixel)
            memcpy(to, from + (size_t)reflected(x - left, source->width) * pixel, pixel);
    }
    return P2P_OK;
}

p2p_status pad_crop(image *picture, int width, int height) {
    if (picture->width == width && picture->height == height) return P2P_OK;
    const int left = before(picture->width, width), top = before(picture->height, height);
    image cut;
    P2P_TRY(image_convert(image_view_crop(image_view_of(picture), left, top, width, height),
                          image_format_of(picture), &cut));
    image_free(picture);
    *picture = cut;
    return P2P_OK;
}
