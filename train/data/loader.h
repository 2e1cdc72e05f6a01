/* Batches of decoded and augmented pairs, prefetched by background threads.
 *
 * The batches depend only on the options, not on timing or on the number of threads: a loader that starts at
 * (epoch, pair) continues exactly where another one stopped. A failure is returned in order, after the
 * batches before it. One thread consumes. Nothing is cached between epochs.
 *
 * Pictures are decoded into memory that the consumer provides, so that a device can read it as it is. The
 * consumer holds a batch until the device has read it, and then releases it to be filled again.
 */
#ifndef P2P_LOADER_H
#define P2P_LOADER_H

#include "augment.h"
#include "dataset.h"

enum {
    LOADER_MAX_WORKERS = 64,
    LOADER_MAX_HELD = 2 /* batches that the consumer holds: one for each of two steps in flight */
};

/* Where batches are kept. {0}: in malloc's memory. Called by the consumer's thread only, in loader_create and
 * loader_destroy. The memory is aligned for uint16_t. */
typedef struct {
    p2p_status (*alloc)(void *context, size_t bytes, void **memory);
    void (*free)(void *context, void *memory); /* NULL is allowed */
    void *context;
} loader_memory_source;

typedef struct {
    const dataset *data; /* borrowed until the loader is destroyed */
    pair_format format;
    augment_options augment;
    int workers; /* threads, at most LOADER_MAX_WORKERS; 0: half of the processors, 1 to 8 */
    int batch;   /* samples per batch; an epoch's tail batch has the remainder */
    /* Each batch is divided into `shares` (pix2pix_share), of which this loader loads the `own` from number
     * `share` on; 0: it loads all. */
    int shares, share, own;
    bool shuffle;      /* false: samples in byte order of their names */
    uint64_t seed;     /* of shuffling and augmentation */
    int64_t epoch;     /* the first epoch to deliver, counted from 0 */
    int64_t first;     /* the first pair of its order: 0 <= first < dataset_count() */
    int64_t epoch_end; /* the first epoch not to deliver; INT64_MAX: no end */
    loader_memory_source memory;
} loader_options;

/* A batch of `count` pairs. Those of the loader's own shares, `loaded` from place `offset` on, are here, of
 * size x size pixels in the options' format, as n h w c, in the order of `samples`. */
typedef struct {
    int64_t epoch, first; /* the epoch, and the place of the first pair in its order, from 0 */
    int count;            /* 1 .. batch */
    int offset, loaded;   /* loaded may be 0 */
    const void *input, *target;
    size_t input_bytes, target_bytes; /* of all that are loaded */
    const int64_t *samples;           /* of all pairs: indices into the data set */
    int replaced;                     /* number of samples that replace bad pairs (dataset_load) */
    const char *reason;               /* of the first of them; "" if there is none */
} loader_batch;

typedef struct loader loader;

/* The number of threads of a loader. `workers` as in loader_options. */
int loader_threads(int workers);

/* Bytes of the batches that a loader with these options holds. `workers` as in loader_options. */
size_t loader_memory(pair_format format, int size, int batch, int workers);

/* Batches in an epoch, the tail batch included: ceil(count / batch). */
int64_t loader_batches(const dataset *data, int batch);

/* Allocate all buffers and start the threads. P2P_USAGE or P2P_INVALID if an option is out of range. */
p2p_status loader_create(loader **result, const loader_options *options);

/* Wait for the next batch, which the consumer holds until loader_release. *batch is NULL after the last one.
 * After a failure every further call fails in the same way. P2P_INVALID if LOADER_MAX_HELD batches are held.
 */
p2p_status loader_next(loader *l, const loader_batch **batch);
/* Release the oldest batch that is held: its memory is filled again. No effect if there is none. */
void loader_release(loader *l);

/* Stop every thread after its current sample, and release all memory. NULL is ignored. */
void loader_destroy(loader *l);

#endif
