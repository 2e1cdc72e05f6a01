/* Augmentation. See augment.h. The resize computes only the crop; mirroring is in place. */
#include "augment.h"
#include "p2p_philox.h"

#include <string.h>

p2p_status augment_check(const augment_options *options) {
    if (options->size < 1 || options->size > IMAGE_MAX_SIDE)
        return p2p_fail(P2P_USAGE, "--size %d is not within 1 to %d", options->size, IMAGE_MAX_SIDE);
    if (!options->jitter) return P2P_OK;
    if (options->load_size > IMAGE_MAX_SIDE)
        return p2p_fail(P2P_USAGE, "--load-size %d is above %d", options->load_size, IMAGE_MAX_SIDE);
    if (options->load_size < options->size) {
        p2p_fail(P2P_USAGE, "--load-size %d is smaller than --size %d, which is cropped from it",
                 options->load_size, options->size);
        return p2p_hint(P2P_USAGE, "--no-jitter resizes to --size without cropping");
    }
    return P2P_OK;
}

augment_choice augment_draw(const augment_options *options, uint64_t seed, int64_t epoch, int64_t sample) {
    p2p_draw draw = {.seed = seed, .item = (uint32_t)sample, .epoch = (uint32_t)epoch};
    augment_choice choice = {0};
    if (options->jitter) {
        uint32_t offsets = (uint32_t)(options->load_size - options->size) + 1;
        draw.stream = p2p_name_hash("crop");
        choice.left = (int)p2p_draw_below(&draw, 0, offsets);
        choice.top = (int)p2p_draw_below(&draw, 1, offsets);
    }
    if (options->flip) {
        draw.stream = p2p_name_hash("mirror");
        choice.mirror = p2p_draw_below(&draw, 0, 2) == 1;
    }
    return choice;
}

static void mirror_rows(uint8_t *pixels, int size, size_t pixel_bytes) {
    for (int y = 0; y < size; y++) {
        uint8_t *left = pixels + (size_t)y * (size_t)size * pixel_bytes;
        uint8_t *right = left + (size_t)(size - 1) * pixel_bytes;
        for (; left < right; left += pixel_bytes, right -= pixel_bytes) {
            uint8_t swapped[IMAGE_MAX_CHANNELS * sizeof(uint16_t)];
            memcpy(swapped, left, pixel_bytes);
            memcpy(left, right, pixel_bytes);
            memcpy(right, swapped, pixel_bytes);
        }
    }
}

p2p_status augment_apply(const augment_options *options, augment_choice choice, image_view source,
                         void *pixels) {
    int side = options->jitter ? options->load_size : options->size;
    resize_target target = {.width = side,
                            .height = side,
                            .left = choice.left,
                            .top = choice.top,
                            .crop_width = options->size,
                            .crop_height = options->size,
                            .filter = options->filter};
    P2P_TRY(resize_window(source, &target, pixels));
    if (choice.mirror) mirror_rows(pixels, options->size, image_pixel_bytes(image_view_format(source)));
    return P2P_OK;
}
