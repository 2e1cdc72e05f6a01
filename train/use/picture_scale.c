/* See picture_scale.h. */
#include "picture_scale.h"

#include "image/pad.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Beyond these a factor is a mistake. */
static const double LEAST = 0.001, MOST = 1000;

static void set_factor(picture_scale *scale, double factor) {
    for (int i = 0; i < 2; i++) {
        scale->up[i] = factor;
        scale->down[i] = 1;
    }
}

static p2p_status parse_factor(const char *text, double *factor) {
    char *end;
    errno = 0;
    *factor = strtod(text, &end);
    if (end != text && *end == '\0' && errno == 0 && *factor >= LEAST && *factor <= MOST) return P2P_OK;
    return p2p_fail(P2P_USAGE, "--scale '%s' is neither auto, native nor a number from %g to %g", text, LEAST,
                    MOST);
}

static p2p_status set_given(picture_scale *scale, const char *text) {
    double factor = 1;
    if (strcmp(text, "native") != 0) P2P_TRY(parse_factor(text, &factor));
    scale->reason = SCALE_GIVEN;
    set_factor(scale, factor);
    return P2P_OK;
}

static void set_recorded(picture_scale *scale, const translator *t) {
    const model_file_info *info = &t->info;
    const pix2pix_config *config = &t->model->config;
    switch (info->source) {
    case MODEL_SOURCE_ONE:
        scale->reason = SCALE_OF_TRAINING;
        scale->up[0] = (double)config->width;
        scale->up[1] = (double)config->height;
        scale->down[0] = info->source_width;
        scale->down[1] = info->source_height;
        return;
    case MODEL_SOURCE_MIXED:
        scale->reason = SCALE_TO_SQUARE;
        scale->side = (int)config->height;
        return;
    case MODEL_SOURCE_UNKNOWN:
        scale->reason = SCALE_UNRECORDED;
        set_factor(scale, 1);
        return;
    }
}

p2p_status picture_scale_choose(const translator *t, picture_scale *scale) {
    *scale = (picture_scale){.filter = translator_filter(t)};
    if (strcmp(t->all->scale, "auto") != 0) return set_given(scale, t->all->scale);
    set_recorded(scale, t);
    return P2P_OK;
}

/* ---- The line ----------------------------------------------------------------------------------------- */

/* "0.5", or "0.5 x 0.25" if the factors differ. */
static void factor_text(const picture_scale *scale, char *text, size_t size) {
    const double x = scale->up[0] / scale->down[0], y = scale->up[1] / scale->down[1];
    if (x == y)
        snprintf(text, size, "%.4g", x);
    else
        snprintf(text, size, "%.4g x %.4g", x, y);
}

static void print_recorded(const translator *t, const char *factor, const char *method, FILE *stream) {
    const model_file_info *info = &t->info;
    const pix2pix_config *config = &t->model->config;
    if (strcmp(factor, "1") == 0)
        fprintf(stream, "scale: 1, as in the training; pictures keep their size\n");
    else
        fprintf(stream, "scale: %s, as in the training, which made %d x %d pixels %lld x %lld (%s)\n", factor,
                info->source_width, info->source_height, (long long)config->width, (long long)config->height,
                method);
}

void picture_scale_print(const picture_scale *scale, const translator *t, FILE *stream) {
    char factor[64];
    const char *method = scale->filter == RESIZE_NEAREST ? "nearest" : "bicubic";
    if (scale->reason != SCALE_TO_SQUARE) factor_text(scale, factor, sizeof factor);
    switch (scale->reason) {
    case SCALE_OF_TRAINING:
        print_recorded(t, factor, method, stream);
        return;
    case SCALE_TO_SQUARE:
        fprintf(stream,
                "scale: every picture becomes %d x %d pixels (%s), as in the training, whose pictures had "
                "several sizes%s\n",
                scale->side, scale->side, method,
                t->all->keep_size ? "" : "; --keep-size gives each result the size of its picture");
        return;
    case SCALE_UNRECORDED:
        fprintf(stream, "scale: 1; the model's file does not record the scale of its training, so pictures "
                        "keep their size (--scale X for another)\n");
        return;
    case SCALE_GIVEN:
        fprintf(stream, "scale: %s, by --scale\n", factor);
        return;
    }
}

/* ---- Sizes -------------------------------------------------------------------------------------------- */

/* The product is exact and the quotient rounded once, so the training's own sides become exactly the
 * networks'. */
static double scaled_side(const picture_scale *scale, int axis, int side) {
    if (scale->reason == SCALE_TO_SQUARE) return scale->side;
    return fmax(1, round(side * scale->up[axis] / scale->down[axis]));
}

static bool fits(const translator *t, double width, double height) {
    if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE) return false;
    const int unit = translator_unit(t);
    const int64_t padded_width = pad_side((int)width, unit), padded_height = pad_side((int)height, unit);
    return image_sides_fit(padded_width, padded_height);
}

p2p_status picture_scale_size(const picture_scale *scale, const translator *t, const char *name, int *width,
                              int *height) {
    const double scaled_width = scaled_side(scale, 0, *width), scaled_height = scaled_side(scale, 1, *height);
    if (!fits(t, scaled_width, scaled_height)) {
        p2p_fail(P2P_INPUT,
                 "%s has %d x %d pixels; scaled and padded for the model, its %.0f x %.0f would be more than "
                 "%d on a side or %d million in all",
                 name, *width, *height, scaled_width, scaled_height, IMAGE_MAX_SIDE, IMAGE_MAX_MEGAPIXELS);
        return p2p_hint(P2P_INPUT, "a smaller --scale makes it smaller");
    }
    *width = (int)scaled_width;
    *height = (int)scaled_height;
    return P2P_OK;
}
