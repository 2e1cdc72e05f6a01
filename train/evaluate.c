/* One image through a generator that isn't being trained. See evaluate.h. */
#include "evaluate.h"

#include "philox.h"

#include <string.h>

p2p_status evaluate_image(p2p_plan *plan, const uint8_t *input, const uint8_t *target, int width, int height,
                          float *planes, double *l1) {
    size_t bytes = (size_t)width * (size_t)height * IMAGE_CHANNELS;
    uint32_t key = p2p_bytes_hash(input, bytes); /* the picture's own, for dropout */
    memcpy(p2p_plan_input(plan, 0, "input"), input, bytes);
    if (target) memcpy(p2p_plan_input(plan, 0, "target"), target, bytes);
    P2P_TRY(p2p_plan_run(plan, &(p2p_step){.step = key, .samples = &key}));
    P2P_TRY(p2p_plan_wait(plan));
    P2P_TRY(p2p_plan_output(plan, 0, "generated", planes));
    return target ? p2p_plan_loss(plan, "l1", l1) : P2P_OK;
}

p2p_status evaluate_load_pair(const dataset *data, int64_t sample, int size, uint8_t *input,
                              uint8_t *target) {
    const augment_options options = {.size = size, .load_size = size};
    const augment_choice nothing = {0};
    image pair = {0};
    P2P_TRY(dataset_load(data, sample, &pair));
    p2p_status status = augment_apply(&options, nothing, dataset_input(data, &pair), input);
    if (status == P2P_OK) status = augment_apply(&options, nothing, dataset_target(data, &pair), target);
    image_free(&pair);
    return status;
}
