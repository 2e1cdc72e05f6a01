/* See pair_alpha.h. */
#include "pair_alpha.h"

static bool is_transparent(const dataset *data, pair_alpha *pair) {
    const pair_format with_alpha = {{.channels = 4, .bits = 8}, {.channels = 4, .bits = 8}};
    image_pair pictures;
    if (dataset_load(data, pair->sample, with_alpha, &pictures) != P2P_OK) return false;
    const bool replaced = pictures.sample != pair->sample;
    const bool found = !replaced && image_is_transparent(pair->target ? pictures.target : pictures.input);
    image_pair_free(&pictures);
    return found;
}

bool pair_alpha_find(const dataset *data, pair_alpha *found) {
    for (int side = 0; side < 2; side++) {
        const dataset_alpha *alpha = dataset_alpha_of(data, side == 1);
        for (int i = 0; i < alpha->count; i++) {
            *found = (pair_alpha){alpha->samples[i], side == 1};
            if (is_transparent(data, found)) return true;
        }
    }
    return false;
}
