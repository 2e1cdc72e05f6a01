/* Batches of decoded and augmented pairs, prepared by background threads ahead of their use.
 *
 * What is delivered depends only on the options, never on timing or on the number of threads: a loader
 * started at (epoch, batch) continues exactly where another one stood. A failure reaches the consumer in
 * order, after the batches before it. One thread consumes; nothing is cached between epochs.
 */
#ifndef P2P_LOADER_H
#define P2P_LOADER_H

#include "augment.h"
#include "dataset.h"

enum { LOADER_MAX_WORKERS = 64 };

typedef struct {
    const dataset *data; /* borrowed until the loader is destroyed */
    pair_format format;
    augment_options augment;
    int workers;       /* threads, at most LOADER_MAX_WORKERS; 0: half of the processors, 1 to 8 */
    int batch;         /* samples per batch; an epoch's last batch holds what remains */
    bool shuffle;      /* otherwise samples come in byte order of their names */
    uint64_t seed;     /* of shuffling and augmentation */
    int64_t epoch;     /* the first epoch to deliver, counted from 0 */
    int64_t first;     /* the batch within it to start at: 0 <= first < loader_batches() */
    int64_t epoch_end; /* the epoch not to begin any more; INT64_MAX for no end */
} loader_options;

/* `count` pairs of size x size pixels in the options' format, images n h w c interleaved, in the order that
 * `samples` names. */
typedef struct {
    int64_t epoch, index; /* the batch's position: its number within the epoch, from 0 */
    int count;            /* 1 .. batch */
    const void *input, *target;
    size_t input_bytes, target_bytes; /* of all of them */
    const int64_t *samples;           /* indices into the data set */
    int replaced;                     /* of them, stand in for pairs that have gone bad (dataset_load) */
    const char *reason;               /* why, for one of them; "" where none is */
} loader_batch;

typedef struct loader loader;

/* Batches in an epoch, the last smaller one included: ceil(count / batch). */
int64_t loader_batches(const dataset *data, int batch);

/* All buffers are allocated here and the threads start to work. */
p2p_status loader_create(loader **result, const loader_options *options);

/* The next batch, valid until the next call; waits for it. *batch is NULL after the last one. After a failure
 * every further call fails in the same way. */
p2p_status loader_next(loader *loading, const loader_batch **batch);

/* Stops every thread at its next sample. NULL is ignored. */
void loader_destroy(loader *loading);

#endif
