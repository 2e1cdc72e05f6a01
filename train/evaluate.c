/* Pictures through a generator that isn't being trained. See evaluate.h. */
#include "evaluate.h"

#include "philox.h"

#include <stdlib.h>
#include <string.h>

static size_t picture_values(const evaluator *e) {
    return (size_t)e->width * (size_t)e->height * IMAGE_CHANNELS;
}

/* A plan always runs a whole batch: the last picture fills what is left, and its further results are dropped.
 */
static void fill_inputs(const evaluator *e, int count, const image *inputs, uint32_t *keys) {
    uint8_t *place = p2p_plan_input(e->plan, 0, "input");
    for (int i = 0; i < e->batch; i++, place += picture_values(e)) {
        const image *picture = &inputs[i < count ? i : count - 1];
        memcpy(place, picture->pixels, picture_values(e));
        keys[i] = i < count ? p2p_bytes_hash(picture->pixels, picture_values(e)) : keys[count - 1];
    }
}

/* The keys stand for step and index of dropout's mask, so the step says nothing. */
static p2p_status run(const evaluator *e, int count, const image *inputs, uint32_t *keys, float *planes) {
    fill_inputs(e, count, inputs, keys);
    P2P_TRY(p2p_plan_run(e->plan, &(p2p_step){.samples = keys}));
    P2P_TRY(p2p_plan_wait(e->plan));
    return p2p_plan_output(e->plan, 0, "generated", planes);
}

static p2p_status make_pictures(const evaluator *e, int count, const float *planes, image *results) {
    for (int i = 0; i < count; i++)
        P2P_TRY(image_from_planes(planes + (size_t)i * picture_values(e), e->width, e->height, &results[i]));
    return P2P_OK;
}

p2p_status evaluate_pictures(const evaluator *e, int count, const image *inputs, image *results) {
    for (int i = 0; i < count; i++) results[i] = (image){0};
    uint32_t *keys = calloc((size_t)e->batch, sizeof *keys);
    float *planes = calloc((size_t)e->batch * picture_values(e), sizeof *planes);
    p2p_status status = P2P_OK;
    if (!keys || !planes)
        status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d pictures of %d x %d pixels", e->batch,
                          e->width, e->height);
    if (status == P2P_OK) status = run(e, count, inputs, keys, planes);
    if (status == P2P_OK) status = make_pictures(e, count, planes, results);
    for (int i = 0; status != P2P_OK && i < count; i++) image_free(&results[i]);
    free(planes);
    free(keys);
    return status;
}

static p2p_status load_half(image_view half, int size, image *picture) {
    const augment_options options = {.size = size, .load_size = size};
    P2P_TRY(image_create(picture, size, size));
    return augment_apply(&options, (augment_choice){0}, half, picture->pixels);
}

p2p_status evaluate_load_pair(const dataset *data, int64_t sample, int size, image *input, image *target) {
    *input = *target = (image){0};
    image pair = {0};
    P2P_TRY(dataset_load(data, sample, &pair));
    p2p_status status = load_half(dataset_input(data, &pair), size, input);
    if (status == P2P_OK) status = load_half(dataset_target(data, &pair), size, target);
    image_free(&pair);
    if (status == P2P_OK) return P2P_OK;
    image_free(input);
    image_free(target);
    return status;
}
