/* What the ranks of a communicator share, in one process or in several: a file of shared memory that is named
 * by the communicator's identifier, and is removed as soon as all ranks have it. Each rank has its own
 * nccl_world.
 *
 * Collectives are numbered from 1 by each rank for itself. A rank that comes to one writes there what it
 * calls, and its data; when all have come, each computes its own result from all data, and leaves. Two
 * collectives may be under way. No function waits, and none needs a lock of the caller's except one for each
 * nccl_world.
 */
#ifndef NCCL_WORLD_H
#define NCCL_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NCCL_MOST_RANKS = 64, NCCL_BUS_ID = 16 };

/* What a rank calls: all ranks must call the same. */
typedef struct {
    int broadcast; /* else an all-reduce */
    int type, operation, root;
    uint64_t count;
} nccl_call;

typedef struct nccl_world nccl_world;

/* Joins as `rank`. NULL, with the reason: other numbers of ranks, a rank that is taken, no shared memory. */
nccl_world *nccl_world_join(const char *name, int ranks, int rank, const char *bus_id, char *why,
                            size_t size);
void nccl_world_leave(nccl_world *world);

/* The first rank that has not joined, or -1. */
int nccl_world_absent(const nccl_world *world);
/* True once all have joined and two of them are on one device, whose ranks are returned. */
bool nccl_world_duplicate(const nccl_world *world, int pair[2]);
/* A rank whose process has ended, or which was aborted, or -1. */
int nccl_world_dead(const nccl_world *world);
void nccl_world_abort(nccl_world *world);

/* Comes to collective `number`. False: earlier ones are not finished yet; try again. `failed`: there is no
 * shared memory for the data. */
bool nccl_world_arrive(nccl_world *world, uint64_t number, const nccl_call *call, const void *data,
                       size_t bytes, bool *failed);
/* The first rank that has not come to collective `number`, or -1. */
int nccl_world_awaited(const nccl_world *world, uint64_t number);
/* What a rank calls and its data, once it has come. */
const nccl_call *nccl_world_call(const nccl_world *world, int rank, uint64_t number);
const void *nccl_world_data(const nccl_world *world, int rank, uint64_t number);
/* This rank no longer needs the data of collective `number` and of those before it. */
void nccl_world_finish(nccl_world *world, uint64_t number);

#endif
