/* A ring of batches between one producer thread and one consumer. A slot is filled outside of the lock by the
 * producer and read outside of it by the consumer; the lock only guards the two counters and the end.
 *
 * Messages belong to a thread, so the producer's failure is stored here and composed again in the consumer's.
 */
#include "loader.h"
#include "sys.h"

#include <stdlib.h>

enum {
    SLOTS = 3, /* one in use, one ready, one being filled */
    MESSAGE_BYTES = 2048,
    HINT_BYTES = 1024
};

/* A batch and the memory that it points into. */
typedef struct {
    loader_batch batch;
    uint8_t *inputs, *targets;
    int64_t *samples;
} loader_slot;

struct loader {
    loader_options options;
    int64_t batches, count;
    size_t input_bytes, target_bytes; /* of one picture */
    loader_slot slots[SLOTS];
    sys_monitor *monitor;
    sys_thread *thread;

    /* Touched by the producer only. */
    int64_t *order;

    /* Under the monitor. Slot i % SLOTS holds batch i of all, for given <= i < filled, and the one that the
     * consumer is reading is batch given - 1. */
    int64_t filled, given;
    bool ended, stopping;

    /* Written before `ended` is set. */
    p2p_status status;
    char message[MESSAGE_BYTES], hint[HINT_BYTES];
};

int64_t loader_batches(const dataset *data, int batch) {
    return (dataset_count(data) + batch - 1) / batch;
}

/* ---- The producer ------------------------------------------------------------------------------------- */

static bool is_stopping(loader *loading) {
    sys_monitor_enter(loading->monitor);
    bool stopping = loading->stopping;
    sys_monitor_leave(loading->monitor);
    return stopping;
}

/* Wait until a slot is free; false where the loader is being destroyed instead. */
static bool wait_for_slot(loader *loading) {
    sys_monitor_enter(loading->monitor);
    /* One slot less than all: the consumer keeps reading batch given - 1. */
    while (!loading->stopping && loading->filled - loading->given >= SLOTS - 1)
        sys_monitor_wait(loading->monitor);
    bool going_on = !loading->stopping;
    sys_monitor_leave(loading->monitor);
    return going_on;
}

static void hand_over(loader *loading) {
    sys_monitor_enter(loading->monitor);
    loading->filled++;
    sys_monitor_wake_all(loading->monitor);
    sys_monitor_leave(loading->monitor);
}

static p2p_status fill_sample(loader *loading, loader_slot *slot, int position, int64_t sample) {
    const loader_options *options = &loading->options;
    image_pair pair;
    P2P_TRY(dataset_load(options->data, sample, options->format, &pair));
    augment_choice choice = augment_draw(&options->augment, options->seed, slot->batch.epoch, sample);
    uint8_t *input = slot->inputs + (size_t)position * loading->input_bytes;
    uint8_t *target = slot->targets + (size_t)position * loading->target_bytes;
    p2p_status status = augment_apply(&options->augment, choice, pair.input, input);
    if (status == P2P_OK) status = augment_apply(&options->augment, choice, pair.target, target);
    image_pair_free(&pair);
    return status;
}

/* Fill the next slot with a batch. *complete is false where the loader is being destroyed. */
static p2p_status fill_batch(loader *loading, int64_t epoch, int64_t index, bool *complete) {
    *complete = wait_for_slot(loading);
    if (!*complete) return P2P_OK;
    loader_slot *slot = &loading->slots[loading->filled % SLOTS];
    int64_t first = index * loading->options.batch, left = loading->count - first;
    slot->batch.epoch = epoch;
    slot->batch.index = index;
    slot->batch.count = left < loading->options.batch ? (int)left : loading->options.batch;
    slot->batch.input_bytes = (size_t)slot->batch.count * loading->input_bytes;
    slot->batch.target_bytes = (size_t)slot->batch.count * loading->target_bytes;
    for (int i = 0; i < slot->batch.count; i++) {
        *complete = !is_stopping(loading);
        if (!*complete) return P2P_OK;
        slot->samples[i] = loading->order[first + i];
        P2P_TRY(fill_sample(loading, slot, i, slot->samples[i]));
    }
    hand_over(loading);
    return P2P_OK;
}

static p2p_status produce_all(loader *loading) {
    const loader_options *options = &loading->options;
    int64_t index = options->first;
    for (int64_t epoch = options->epoch; epoch < options->epoch_end; epoch++) {
        dataset_order(loading->order, loading->count, options->shuffle, options->seed, epoch);
        for (; index < loading->batches; index++) {
            bool complete;
            P2P_TRY(fill_batch(loading, epoch, index, &complete));
            if (!complete) return P2P_OK;
        }
        index = 0;
    }
    return P2P_OK;
}

static void produce(void *argument) {
    loader *loading = argument;
    p2p_status status = produce_all(loading);
    sys_monitor_enter(loading->monitor);
    loading->status = status;
    if (status != P2P_OK) {
        snprintf(loading->message, sizeof loading->message, "%s", p2p_message());
        snprintf(loading->hint, sizeof loading->hint, "%s", p2p_message_hint());
    }
    loading->ended = true;
    sys_monitor_wake_all(loading->monitor);
    sys_monitor_leave(loading->monitor);
}

/* ---- The consumer ------------------------------------------------------------------------------------- */

p2p_status loader_next(loader *loading, const loader_batch **batch) {
    *batch = NULL;
    sys_monitor_enter(loading->monitor);
    while (loading->filled == loading->given && !loading->ended) sys_monitor_wait(loading->monitor);
    if (loading->filled > loading->given) {
        *batch = &loading->slots[loading->given % SLOTS].batch;
        loading->given++;
        sys_monitor_wake_all(loading->monitor);
    }
    sys_monitor_leave(loading->monitor);
    if (*batch != NULL || loading->status == P2P_OK) return P2P_OK;
    p2p_fail(loading->status, "%s", loading->message);
    return loading->hint[0] == '\0' ? loading->status : p2p_hint(loading->status, "%s", loading->hint);
}

static p2p_status check_options(const loader_options *options) {
    if (!image_format_is_valid(options->format.input) || !image_format_is_valid(options->format.target))
        return p2p_fail(P2P_INVALID, "a loader needs the format of its pictures");
    P2P_TRY(augment_check(&options->augment));
    if (options->batch < 1) return p2p_fail(P2P_USAGE, "--batch %d is less than 1", options->batch);
    int64_t batches = loader_batches(options->data, options->batch);
    if (options->epoch < 0 || options->first < 0 || options->first >= batches)
        return p2p_fail(P2P_INVALID, "there is no batch %lld of epoch %lld: an epoch has %lld",
                        (long long)options->first, (long long)options->epoch, (long long)batches);
    return P2P_OK;
}

static bool allocate_slot(const loader *loading, loader_slot *slot, size_t batch) {
    slot->inputs = malloc(batch * loading->input_bytes);
    slot->targets = malloc(batch * loading->target_bytes);
    slot->samples = malloc(batch * sizeof *slot->samples);
    slot->batch.input = slot->inputs;
    slot->batch.target = slot->targets;
    slot->batch.samples = slot->samples;
    return slot->inputs != NULL && slot->targets != NULL && slot->samples != NULL;
}

static p2p_status allocate(loader *loading) {
    const loader_options *options = &loading->options;
    size_t side = (size_t)options->augment.size, batch = (size_t)options->batch;
    size_t largest = side * side * IMAGE_MAX_CHANNELS * sizeof(uint16_t);
    loading->input_bytes = side * side * image_pixel_bytes(options->format.input);
    loading->target_bytes = side * side * image_pixel_bytes(options->format.target);
    loading->order = malloc((size_t)loading->count * sizeof *loading->order);
    bool complete = loading->order != NULL && batch <= SIZE_MAX / largest;
    for (int i = 0; i < SLOTS && complete; i++) complete = allocate_slot(loading, &loading->slots[i], batch);
    if (complete) return P2P_OK;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for batches of %zu pairs of %zu x %zu pixels", batch, side,
                    side);
}

p2p_status loader_create(loader **result, const loader_options *options) {
    *result = NULL;
    P2P_TRY(check_options(options));
    loader *loading = calloc(1, sizeof *loading);
    if (loading == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a loader");
    loading->options = *options;
    loading->count = dataset_count(options->data);
    loading->batches = loader_batches(options->data, options->batch);
    p2p_status status = allocate(loading);
    if (status == P2P_OK) status = sys_monitor_create(&loading->monitor);
    if (status == P2P_OK) status = sys_thread_start(&loading->thread, produce, loading);
    if (status != P2P_OK) {
        loader_destroy(loading);
        return status;
    }
    *result = loading;
    return P2P_OK;
}

void loader_destroy(loader *loading) {
    if (loading == NULL) return;
    if (loading->thread != NULL) {
        sys_monitor_enter(loading->monitor);
        loading->stopping = true;
        sys_monitor_wake_all(loading->monitor);
        sys_monitor_leave(loading->monitor);
        sys_thread_join(loading->thread);
    }
    sys_monitor_destroy(loading->monitor);
    for (int i = 0; i < SLOTS; i++) {
        free(loading->slots[i].inputs);
        free(loading->slots[i].targets);
        free(loading->slots[i].samples);
    }
    free(loading->order);
    free(loading);
}
