/* Inference on pictures. See evaluate.h. */
#include "evaluate.h"

#include "p2p_philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

pair_format evaluate_format(const pix2pix_config *config, const model_file_info *info) {
    return (pair_format){.input = {(int)config->input_channels, info->input_bits},
                         .target = {(int)config->output_channels, info->output_bits}};
}

uint64_t evaluate_bytes(int width, int height, const pair_format *format) {
    const size_t pixel = 2 * image_pixel_bytes(format->input) + image_pixel_bytes(format->target) +
                         (size_t)format->target.channels * sizeof(float);
    return (uint64_t)width * (uint64_t)height * pixel;
}

static size_t result_values(const evaluator *e) {
    return (size_t)e->width * (size_t)e->height * (size_t)e->format.target.channels;
}

static int replicas_of(const evaluator *e) {
    return e->replicas > 1 ? e->replicas : 1;
}

/* Pictures per run: a batch for each replica. */
static int capacity_of(const evaluator *e) {
    return e->batch * replicas_of(e);
}

/* A plan runs a whole batch on each replica. The last picture fills the remaining places, whose results are
 * dropped. */
static p2p_status fill_replica(const evaluator *e, int replica, int count, const image *inputs,
                               uint32_t *keys) {
    void *place;
    const size_t bytes = image_bytes(&inputs[0]);
    P2P_TRY(p2p_plan_input(e->plan, replica, "input", &place));
    for (int i = 0; i < e->batch; i++) {
        const int at = replica * e->batch + i;
        const image *picture = &inputs[at < count ? at : count - 1];
        memcpy((uint8_t *)place + (size_t)i * bytes, picture->pixels, bytes);
        keys[at] = at < count ? p2p_bytes_hash(picture->pixels, bytes) : keys[count - 1];
    }
    return P2P_OK;
}

static p2p_status read_replica(const evaluator *e, int replica, float *planes) {
    return p2p_plan_output(e->plan, replica, "generated",
                           planes + (size_t)replica * (size_t)e->batch * result_values(e));
}

/* The keys replace step and sample index in the dropout mask, so p2p_step has no step number. */
static p2p_status run(const evaluator *e, int count, const image *inputs, uint32_t *keys, float *planes) {
    for (int r = 0; r < replicas_of(e); r++) P2P_TRY(fill_replica(e, r, count, inputs, keys));
    P2P_TRY(p2p_plan_run(e->plan, &(p2p_step){.samples = keys}));
    P2P_TRY(p2p_plan_wait(e->plan));
    for (int r = 0; r < replicas_of(e); r++) P2P_TRY(read_replica(e, r, planes));
    return P2P_OK;
}

static p2p_status check_finite(const evaluator *e, const float *planes, const char *name) {
    const size_t all = result_values(e);
    size_t wrong = 0;
    for (size_t i = 0; i < all; i++) wrong += !isfinite(planes[i]);
    if (wrong == 0) return P2P_OK;
    p2p_fail(P2P_DIVERGED, "%s can't draw %s: of the %zu samples of the result %zu are not finite numbers",
             e->model, name, all, wrong);
    return p2p_hint(P2P_DIVERGED,
                    "its weights are too large for this device and precision: use another model, "
                    "such as that of an earlier epoch");
}

static p2p_status make_pictures(const evaluator *e, int count, const float *planes, const char *const *names,
                                image *results) {
    for (int i = 0; i < count; i++) {
        const float *own = planes + (size_t)i * result_values(e);
        P2P_TRY(check_finite(e, own, names[i]));
        P2P_TRY(image_from_planes(own, e->width, e->height, e->format.target, &results[i]));
    }
    return P2P_OK;
}

static p2p_status check_inputs(const evaluator *e, int count, const image *inputs) {
    for (int i = 0; i < count; i++)
        if (inputs[i].width != e->width || inputs[i].height != e->height ||
            !image_format_equal(image_format_of(&inputs[i]), e->format.input))
            return p2p_fail(P2P_INVALID,
                            "a picture of %d x %d pixels, %d channels, %d bits where a plan takes "
                            "%d x %d, %d, %d",
                            inputs[i].width, inputs[i].height, inputs[i].channels, inputs[i].bits, e->width,
                            e->height, e->format.input.channels, e->format.input.bits);
    return P2P_OK;
}

p2p_status evaluate_pictures(const evaluator *e, int count, const image *inputs, const char *const *names,
                             image *results) {
    for (int i = 0; i < count; i++) results[i] = (image){0};
    P2P_TRY(check_inputs(e, count, inputs));
    const size_t capacity = (size_t)capacity_of(e);
    uint32_t *keys = calloc(capacity, sizeof *keys);
    float *planes = calloc(capacity * result_values(e), sizeof *planes);
    p2p_status status = P2P_OK;
    if (!keys || !planes)
        status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu pictures of %d x %d pixels", capacity,
                          e->width, e->height);
    if (status == P2P_OK) status = run(e, count, inputs, keys, planes);
    if (status == P2P_OK) status = make_pictures(e, count, planes, names, results);
    for (int i = 0; status != P2P_OK && i < count; i++) image_free(&results[i]);
    free(planes);
    free(keys);
    return status;
}

static p2p_status resize_picture(image_view view, const pair_form *form, image *picture) {
    return resize_image(view, form->size, form->size, form->filter, picture);
}

p2p_status evaluate_load_pair(const dataset *data, int64_t sample, const pair_form *form, image *input,
                              image *target) {
    *input = *target = (image){0};
    image_pair pair;
    P2P_TRY(dataset_load_exactly(data, sample, form->format, &pair));
    p2p_status status = resize_picture(pair.input, form, input);
    if (status == P2P_OK) status = resize_picture(pair.target, form, target);
    image_pair_free(&pair);
    if (status == P2P_OK) return P2P_OK;
    image_free(input);
    image_free(target);
    return status;
}

/* ---- Pairs -------------------------------------------------------------------------------------------- */

/* The pictures of a batch of pairs, and whose they are. One allocation of images, which begins at `inputs`.
 */
typedef struct {
    image *inputs, *targets, *generated;
    int64_t *samples;
    const char **names; /* owned by the data set */
    int count;
} pair_batch;

static p2p_status batch_create(pair_batch *batch, int capacity) {
    const size_t places = (size_t)capacity;
    *batch = (pair_batch){.inputs = calloc(3 * places, sizeof *batch->inputs),
                          .samples = calloc(places, sizeof *batch->samples),
                          .names = calloc(places, sizeof *batch->names)};
    if (!batch->inputs || !batch->samples || !batch->names)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d pairs", capacity);
    batch->targets = batch->inputs + capacity;
    batch->generated = batch->targets + capacity;
    return P2P_OK;
}

static void batch_empty(pair_batch *batch, int capacity) {
    for (int i = 0; i < 3 * capacity; i++) image_free(&batch->inputs[i]);
    batch->count = 0;
}

static void batch_free(pair_batch *batch) {
    free(batch->inputs);
    free(batch->samples);
    free(batch->names);
}

/* Load the pairs from `first` on; `visit` is called for those that are left out. */
static p2p_status load_pairs(const dataset *data, const pair_form *form, int64_t first, int count,
                             pair_batch *batch, evaluated_visit visit, void *context) {
    for (int64_t sample = first; sample < first + count; sample++) {
        const int at = batch->count;
        const p2p_status status =
            evaluate_load_pair(data, sample, form, &batch->inputs[at], &batch->targets[at]);
        if (status == P2P_OK) {
            batch->names[at] = dataset_name(data, sample);
            batch->samples[batch->count++] = sample;
        } else if (dataset_leaves_out(data, status))
            P2P_TRY(visit(context, &(evaluated_pair){.sample = sample}));
        else
            return status;
    }
    return P2P_OK;
}

static p2p_status run_batch(const evaluator *e, const pair_batch *batch, evaluated_visit visit,
                            void *context) {
    if (batch->count == 0) return P2P_OK;
    P2P_TRY(evaluate_pictures(e, batch->count, batch->inputs, batch->names, batch->generated));
    for (int i = 0; i < batch->count; i++) {
        const evaluated_pair pair = {batch->samples[i], &batch->inputs[i], &batch->generated[i],
                                     &batch->targets[i]};
        P2P_TRY(visit(context, &pair));
    }
    return P2P_OK;
}

/* The rank that evaluates batch `number` of `capacity` pairs. While rank 0 evaluates the first pairs, the
 * others take as many each. */
static int rank_of(const evaluator *e, int64_t number, int capacity) {
    if (e->ranks <= 1) return e->rank;
    const int64_t first = (e->first + capacity - 1) / capacity, later = number - first;
    const int64_t others = first * (e->ranks - 1);
    if (later < 0) return 0;
    return (int)(later < others ? 1 + later % (e->ranks - 1) : (later - others) % e->ranks);
}

p2p_status evaluate_pairs(const evaluator *e, const dataset *data, const pair_form *form, int64_t count,
                          evaluated_visit visit, void *context) {
    const int capacity = capacity_of(e);
    pair_batch batch;
    p2p_status status = batch_create(&batch, capacity);
    for (int64_t first = 0; first < count && status == P2P_OK; first += capacity) {
        const int now = count - first < capacity ? (int)(count - first) : capacity;
        if (rank_of(e, first / capacity, capacity) != e->rank) continue;
        status = load_pairs(data, form, first, now, &batch, visit, context);
        if (status == P2P_OK) status = run_batch(e, &batch, visit, context);
        batch_empty(&batch, capacity);
    }
    batch_free(&batch);
    return status;
}
