/* A ring of batches between several producer threads and one consumer. See loader.h.
 *
 * The unit of work is a sample. A thread takes the next place of the newest batch under the lock, fills it
 * without the lock, and reports the result under the lock. Batches are begun and delivered in order, so the
 * number of threads affects only the speed.
 *
 * Messages are local to a thread, so a failure is stored with its batch and set again in the consumer's
 * thread. If several places of a batch fail, the failure of the first one is returned. Every place is filled,
 * so it is always the same one.
 */
#include "loader.h"
#include "host/sys.h"
#include "pix2pix.h"

#include <stdlib.h>
#include <string.h>

enum { NO_PLACE = INT32_MAX };

/* A batch and its memory. */
typedef struct {
    loader_batch batch;
    uint8_t *inputs, *targets;
    int64_t *samples;
    int missing; /* places that are not filled yet */

    /* The first place that failed and the first that was replaced, or NO_PLACE. `failure` is
     * that of the former (its status P2P_OK if there is none), `reason` that of the latter. */
    int failed_place, replaced_place;
    p2p_failure failure;
    char reason[P2P_MESSAGE_BYTES];
} loader_slot;

/* A place in a batch that a thread fills. */
typedef struct {
    loader_slot *slot;
    int place;
} loader_task;

struct loader {
    loader_options options;
    int64_t count;
    size_t input_bytes, target_bytes; /* of one picture */
    int slot_count;
    loader_slot *slots;
    sys_monitor *monitor;
    int thread_count;
    sys_thread *threads[LOADER_MAX_WORKERS];

    /* The monitor protects all fields below. Batches are counted over all epochs. Slot i % slot_count has
     * batch i for released <= i < begun. The consumer holds those before `given`. */
    int64_t begun, given, released;
    int next_place;      /* of the newest batch; its count if all are taken */
    int64_t epoch, next; /* of the next batch to begin: the place of its first pair */
    int64_t ordered;     /* the epoch of `order`; -1: none */
    int64_t *order;
    bool stopping;
};

int64_t loader_batches(const dataset *data, int batch) {
    return (dataset_count(data) + batch - 1) / batch;
}

/* ---- The producers ------------------------------------------------------------------------------------ */

static bool all_begun(const loader *l) {
    return l->epoch >= l->options.epoch_end;
}

static bool all_taken(const loader *l) {
    return l->begun == 0 || l->next_place == l->slots[(l->begun - 1) % l->slot_count].batch.loaded;
}

/* The place in a batch at which the share `number` of all begins. */
static int share_begin(const loader_options *options, int count, int number) {
    return options->shares > 0 ? (int)pix2pix_share_first(count, options->shares, number) : number * count;
}

/* Sets the places that this loader loads. */
static void set_own(const loader_options *options, loader_batch *batch) {
    const int own = options->shares > 0 ? options->own : 1;
    batch->offset = share_begin(options, batch->count, options->share);
    batch->loaded = share_begin(options, batch->count, options->share + own) - batch->offset;
}

/* Under the lock. */
static void begin_batch(loader *l) {
    const loader_options *options = &l->options;
    loader_slot *slot = &l->slots[l->begun % l->slot_count];
    if (l->ordered != l->epoch) dataset_order(l->order, l->count, options->shuffle, options->seed, l->epoch);
    l->ordered = l->epoch;
    const int64_t first = l->next, left = l->count - first;
    int count = left < options->batch ? (int)left : options->batch;
    memcpy(slot->samples, l->order + first, (size_t)count * sizeof *slot->samples);
    slot->batch = (loader_batch){.epoch = l->epoch,
                                 .first = first,
                                 .count = count,
                                 .input = slot->inputs,
                                 .target = slot->targets,
                                 .samples = slot->samples,
                                 .reason = slot->reason};
    set_own(options, &slot->batch);
    slot->missing = slot->batch.loaded;
    slot->batch.input_bytes = (size_t)slot->missing * l->input_bytes;
    slot->batch.target_bytes = (size_t)slot->missing * l->target_bytes;
    slot->failed_place = slot->replaced_place = NO_PLACE;
    slot->failure.status = P2P_OK;
    slot->reason[0] = '\0';
    l->begun++;
    l->next_place = 0;
    l->next += count;
    if (l->next < l->count) return;
    l->next = 0;
    l->epoch++;
}

/* Under the lock: begin batches until one has a place, or no slot is free. */
static void begin_next(loader *l) {
    while (all_taken(l) && !all_begun(l) && l->begun - l->released < l->slot_count) {
        begin_batch(l);
        sys_monitor_wake_all(l->monitor);
    }
}

/* Under the lock: wait for a place to fill. False if there will be none. */
static bool take_task(loader *l, loader_task *task) {
    for (;; sys_monitor_wait(l->monitor)) {
        if (l->stopping) return false;
        begin_next(l);
        if (!all_taken(l)) break;
        if (all_begun(l)) return false;
    }
    *task = (loader_task){&l->slots[(l->begun - 1) % l->slot_count], l->next_place++};
    return true;
}

/* Without the lock. *loaded is the sample that was loaded, which may be a replacement. */
static p2p_status fill_place(const loader *l, const loader_task *task, int64_t *loaded) {
    const loader_options *options = &l->options;
    const loader_slot *slot = task->slot;
    image_pair pair;
    P2P_TRY(
        dataset_load(options->data, slot->samples[slot->batch.offset + task->place], options->format, &pair));
    *loaded = pair.sample;
    augment_choice choice = augment_draw(&options->augment, options->seed, slot->batch.epoch, pair.sample);
    uint8_t *input = slot->inputs + (size_t)task->place * l->input_bytes;
    uint8_t *target = slot->targets + (size_t)task->place * l->target_bytes;
    p2p_status status = augment_apply(&options->augment, choice, pair.input, input);
    if (status == P2P_OK) status = augment_apply(&options->augment, choice, pair.target, target);
    image_pair_free(&pair);
    return status;
}

/* Under the lock. The thread's last message is the reason of a failure or of a replacement. */
static void finish_task(loader *l, const loader_task *task, p2p_status status, int64_t loaded) {
    loader_slot *slot = task->slot;
    if (status != P2P_OK && task->place < slot->failed_place) {
        slot->failed_place = task->place;
        p2p_failure_take(&slot->failure, status);
    }
    int64_t *sample = &slot->samples[slot->batch.offset + task->place];
    if (status == P2P_OK && loaded != *sample) {
        *sample = loaded;
        slot->batch.replaced++;
        if (task->place < slot->replaced_place)
            snprintf(slot->reason, sizeof slot->reason, "%s", p2p_message());
        if (task->place < slot->replaced_place) slot->replaced_place = task->place;
    }
    if (--slot->missing == 0) sys_monitor_wake_all(l->monitor);
}

static void produce(void *argument) {
    loader *l = argument;
    loader_task task;
    sys_monitor_enter(l->monitor);
    while (take_task(l, &task)) {
        sys_monitor_leave(l->monitor);
        int64_t loaded = 0;
        p2p_status status = fill_place(l, &task, &loaded);
        sys_monitor_enter(l->monitor);
        finish_task(l, &task, status, loaded);
    }
    sys_monitor_leave(l->monitor);
}

/* ---- The consumer ------------------------------------------------------------------------------------- */

/* Under the lock: wait for the next batch. NULL after the last one. */
static loader_slot *next_slot(loader *l) {
    loader_slot *slot = &l->slots[l->given % l->slot_count];
    while (l->given == l->begun ? !all_begun(l) : slot->missing > 0) sys_monitor_wait(l->monitor);
    if (l->given == l->begun) return NULL;
    if (slot->failure.status == P2P_OK) l->given++; /* a failed batch stays, so that further calls fail too */
    sys_monitor_wake_all(l->monitor);
    return slot;
}

p2p_status loader_next(loader *l, const loader_batch **batch) {
    *batch = NULL;
    if (l->given - l->released == LOADER_MAX_HELD) /* only this thread changes the two */
        return p2p_fail(P2P_INVALID, "%d batches are held: release one first", (int)LOADER_MAX_HELD);
    sys_monitor_enter(l->monitor);
    const loader_slot *slot = next_slot(l);
    sys_monitor_leave(l->monitor);
    if (slot == NULL) return P2P_OK;
    if (slot->failure.status == P2P_OK) {
        *batch = &slot->batch;
        return P2P_OK;
    }
    return p2p_failure_give(&slot->failure);
}

void loader_release(loader *l) {
    sys_monitor_enter(l->monitor);
    if (l->released < l->given) l->released++;
    sys_monitor_wake_all(l->monitor);
    sys_monitor_leave(l->monitor);
}

/* ---- Creation and destruction ------------------------------------------------------------------------- */

static p2p_status check_options(const loader_options *options) {
    if (!image_format_is_valid(options->format.input) || !image_format_is_valid(options->format.target))
        return p2p_fail(P2P_INVALID, "a loader needs the format of its pictures");
    P2P_TRY(augment_check(&options->augment));
    if (options->batch < 1) return p2p_fail(P2P_USAGE, "--batch %d is less than 1", options->batch);
    if (options->workers < 0 || options->workers > LOADER_MAX_WORKERS)
        return p2p_fail(P2P_USAGE, "--workers %d is not within 1 to %d", options->workers,
                        LOADER_MAX_WORKERS);
    const int64_t count = dataset_count(options->data);
    if (options->epoch < 0 || options->first < 0 || options->first >= count)
        return p2p_fail(P2P_INVALID, "there is no pair %lld of epoch %lld: an epoch has %lld",
                        (long long)options->first, (long long)options->epoch, (long long)count);
    return P2P_OK;
}

/* More threads would mostly wait: a processor prepares about 300 pairs of 256 x 256 pixels per second. */
static int automatic_workers(void) {
    int half = sys_processors() / 2;
    return half < 1 ? 1 : half > 8 ? 8 : half;
}

static p2p_status no_memory(const loader *l) {
    const int side = l->options.augment.size;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for batches of %d pairs of %d x %d pixels",
                    l->options.batch, side, side);
}

static p2p_status allocate_pictures(const loader *l, size_t bytes, uint8_t **pictures) {
    const loader_memory_source *source = &l->options.memory;
    void *memory = NULL;
    if (source->alloc)
        P2P_TRY(source->alloc(source->context, bytes, &memory));
    else
        memory = malloc(bytes);
    *pictures = memory;
    return memory ? P2P_OK : no_memory(l);
}

static void free_pictures(const loader *l, uint8_t *pictures) {
    const loader_memory_source *source = &l->options.memory;
    if (source->alloc)
        source->free(source->context, pictures);
    else
        free(pictures);
}

static p2p_status allocate_slot(const loader *l, loader_slot *slot, size_t batch) {
    loader_batch whole = {.count = (int)batch};
    set_own(&l->options, &whole);
    const size_t loaded = whole.loaded > 0 ? (size_t)whole.loaded : 1;
    slot->samples = malloc(batch * sizeof *slot->samples);
    if (!slot->samples) return no_memory(l);
    P2P_TRY(allocate_pictures(l, loaded * l->input_bytes, &slot->inputs));
    return allocate_pictures(l, loaded * l->target_bytes, &slot->targets);
}

int loader_threads(int workers) {
    return workers == 0 ? automatic_workers() : workers;
}

/* The ring has the batches that the consumer holds, one that is ready, and enough for a sample per thread. */
static int ring_slots(int workers, int batch) {
    return LOADER_MAX_HELD + 1 + (workers + batch - 1) / batch;
}

size_t loader_memory(pair_format format, int size, int batch, int workers) {
    const size_t pair = image_pixel_bytes(format.input) + image_pixel_bytes(format.target);
    return (size_t)ring_slots(loader_threads(workers), batch) * (size_t)batch * (size_t)size * (size_t)size *
           pair;
}

static p2p_status allocate(loader *l) {
    const loader_options *options = &l->options;
    size_t side = (size_t)options->augment.size, batch = (size_t)options->batch;
    size_t largest = side * side * IMAGE_MAX_CHANNELS * sizeof(uint16_t);
    l->input_bytes = side * side * image_pixel_bytes(options->format.input);
    l->target_bytes = side * side * image_pixel_bytes(options->format.target);
    l->slot_count = ring_slots(options->workers, options->batch);
    l->order = malloc((size_t)l->count * sizeof *l->order);
    l->slots = calloc((size_t)l->slot_count, sizeof *l->slots);
    if (l->order == NULL || l->slots == NULL || batch > SIZE_MAX / largest) return no_memory(l);
    for (int i = 0; i < l->slot_count; i++) P2P_TRY(allocate_slot(l, &l->slots[i], batch));
    return P2P_OK;
}

static p2p_status start_threads(loader *l) {
    while (l->thread_count < l->options.workers) {
        P2P_TRY(sys_thread_start(&l->threads[l->thread_count], produce, l));
        l->thread_count++;
    }
    return P2P_OK;
}

p2p_status loader_create(loader **result, const loader_options *options) {
    *result = NULL;
    P2P_TRY(check_options(options));
    loader *l = calloc(1, sizeof *l);
    if (l == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a loader");
    l->options = *options;
    l->options.workers = loader_threads(options->workers);
    l->count = dataset_count(options->data);
    l->epoch = options->epoch;
    l->next = options->first;
    l->ordered = -1;
    p2p_status status = allocate(l);
    if (status == P2P_OK) status = sys_monitor_create(&l->monitor);
    if (status == P2P_OK) status = start_threads(l);
    if (status != P2P_OK) {
        loader_destroy(l);
        return status;
    }
    *result = l;
    return P2P_OK;
}

static void stop_threads(loader *l) {
    if (l->thread_count == 0) return;
    sys_monitor_enter(l->monitor);
    l->stopping = true;
    sys_monitor_wake_all(l->monitor);
    sys_monitor_leave(l->monitor);
    for (int i = 0; i < l->thread_count; i++) sys_thread_join(l->threads[i]);
}

void loader_destroy(loader *l) {
    if (l == NULL) return;
    stop_threads(l);
    sys_monitor_destroy(l->monitor);
    for (int i = 0; l->slots != NULL && i < l->slot_count; i++) {
        free_pictures(l, l->slots[i].inputs);
        free_pictures(l, l->slots[i].targets);
        free(l->slots[i].samples);
    }
    free(l->slots);
    free(l->order);
    free(l);
}
