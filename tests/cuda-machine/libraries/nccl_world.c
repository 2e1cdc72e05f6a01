/* Shared memory of communicators. See nccl_world.h. */
#define _GNU_SOURCE /* open file description locks */
#include "nccl_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 2 };
static const uint32_t magic = 0x6c6c6e63;
/* Of a rank's data in a slot. The file is sparse: pages that are never written take no memory. */
static const uint64_t area_bytes = UINT64_C(1) << 30;
static const uint64_t header_bytes = UINT64_C(1) << 16;

typedef struct {
    char bus_id[NCCL_BUS_ID];
    _Atomic int joined, aborted;
    _Atomic uint64_t arrived, finished;
    nccl_call call[SLOTS];
} shared_rank;

typedef struct {
    _Atomic uint32_t magic;
    int ranks;
    shared_rank rank[NCCL_MOST_RANKS];
} header;

struct nccl_world {
    header *shared;
    char path[200];
    int file; /* with a lock on byte `rank`, which ends with the process */
    int ranks, rank;
    size_t mapped;
};

/* ---- Locks --------------------------------------------------------------------------------------------- */

/* Byte `rank` is locked as long as the rank's process runs. Byte NCCL_MOST_RANKS is held while the header
 * changes. */
static bool lock_byte(int file, int byte, bool wait) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(file, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) == 0;
}

static void unlock_byte(int file, int byte) {
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    fcntl(file, F_OFD_SETLK, &lock);
}

static bool is_locked(int file, int byte) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* ---- Joining ------------------------------------------------------------------------------------------- */

/* Opens the file and takes the header's lock. If the last rank of an earlier communicator removed the file
 * before the lock was taken, opens a new one. */
static int open_locked(const char *path) {
    for (;;) {
        struct stat state;
        const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0) return -1;
        if (lock_byte(file, NCCL_MOST_RANKS, true) && fstat(file, &state) == 0 && state.st_nlink > 0)
            return file;
        close(file);
    }
}

/* A file whose ranks have all ended before it was complete is treated as new. */
static bool is_stale(const header *shared, int file) {
    if (shared->magic != magic) return true;
    for (int i = 0; i < shared->ranks; i++)
        if (shared->rank[i].joined && is_locked(file, i)) return false;
    return true;
}

static bool take_rank(nccl_world *world, const char *bus_id, char *why, size_t size) {
    header *shared = world->shared;
    if (is_stale(shared, world->file)) {
        memset(shared, 0, sizeof *shared);
        shared->ranks = world->ranks;
        shared->magic = magic;
    }
    shared_rank *own = &shared->rank[world->rank];
    if (shared->ranks != world->ranks) {
        snprintf(why, size, "rank %d says that there are %d ranks, others say %d", world->rank, world->ranks,
                 shared->ranks);
        return false;
    }
    if (own->joined || !lock_byte(world->file, world->rank, false)) {
        snprintf(why, size, "rank %d is there twice", world->rank);
        return false;
    }
    snprintf(own->bus_id, sizeof own->bus_id, "%s", bus_id);
    own->joined = 1;
    return true;
}

nccl_world *nccl_world_join(const char *name, int ranks, int rank, const char *bus_id, char *why,
                            size_t size) {
    nccl_world *world = calloc(1, sizeof *world);
    if (!world) return NULL;
    world->ranks = ranks;
    world->rank = rank;
    world->mapped = (size_t)(header_bytes + area_bytes * SLOTS * (uint64_t)ranks);
    snprintf(world->path, sizeof world->path, "/dev/shm/p2p-machine-nccl-%ld-%s", (long)getuid(), name);
    world->file = open_locked(world->path);
    void *memory = MAP_FAILED;
    if (world->file >= 0 && ftruncate(world->file, (off_t)world->mapped) == 0)
        memory =
            mmap(NULL, world->mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, world->file, 0);
    bool good = memory != MAP_FAILED;
    if (!good) snprintf(why, size, "%s: %s", world->path, strerror(errno));
    world->shared = good ? memory : NULL;
    good = good && take_rank(world, bus_id, why, size);
    if (good && nccl_world_absent(world) < 0) unlink(world->path);
    if (world->file >= 0) unlock_byte(world->file, NCCL_MOST_RANKS);
    if (good) return world;
    if (world->shared) munmap(world->shared, world->mapped);
    if (world->file >= 0) close(world->file);
    free(world);
    return NULL;
}

/* Under the header's lock, so that no rank joins a file that is being removed. */
void nccl_world_leave(nccl_world *world) {
    if (nccl_world_absent(world) >= 0 && lock_byte(world->file, NCCL_MOST_RANKS, true)) {
        world->shared->rank[world->rank].joined = 0;
        unlock_byte(world->file, world->rank);
        if (is_stale(world->shared, world->file)) unlink(world->path);
        unlock_byte(world->file, NCCL_MOST_RANKS);
    }
    munmap(world->shared, world->mapped);
    close(world->file);
    free(world);
}

int nccl_world_absent(const nccl_world *world) {
    for (int i = 0; i < world->ranks; i++)
        if (!world->shared->rank[i].joined) return i;
    return -1;
}

bool nccl_world_duplicate(const nccl_world *world, int pair[2]) {
    if (nccl_world_absent(world) >= 0) return false;
    for (int i = 0; i < world->ranks; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(world->shared->rank[i].bus_id, world->shared->rank[j].bus_id) == 0) {
                pair[0] = j;
                pair[1] = i;
                return true;
            }
    return false;
}

int nccl_world_dead(const nccl_world *world) {
    for (int i = 0; i < world->ranks; i++) {
        const shared_rank *one = &world->shared->rank[i];
        if (i == world->rank || !one->joined) continue;
        if (one->aborted || !is_locked(world->file, i)) return i;
    }
    return -1;
}

void nccl_world_abort(nccl_world *world) {
    world->shared->rank[world->rank].aborted = 1;
}

/* ---- Collectives --------------------------------------------------------------------------------------- */

static uint64_t area(const nccl_world *world, int rank, uint64_t number) {
    return header_bytes + area_bytes * (number % SLOTS * (uint64_t)world->ranks + (uint64_t)rank);
}

bool nccl_world_arrive(nccl_world *world, uint64_t number, const nccl_call *call, const void *data,
                       size_t bytes, bool *failed) {
    shared_rank *own = &world->shared->rank[world->rank];
    for (int i = 0; i < world->ranks; i++)
        if (world->shared->rank[i].finished + SLOTS < number) return false;
    const uint64_t at = area(world, world->rank, number);
    *failed = bytes > area_bytes || (bytes > 0 && posix_fallocate(world->file, (off_t)at, (off_t)bytes) != 0);
    if (!*failed && bytes > 0) memcpy((char *)world->shared + at, data, bytes);
    own->call[number % SLOTS] = *call;
    own->arrived = number;
    return true;
}

int nccl_world_awaited(const nccl_world *world, uint64_t number) {
    for (int i = 0; i < world->ranks; i++)
        if (world->shared->rank[i].arrived < number) return i;
    return -1;
}

const nccl_call *nccl_world_call(const nccl_world *world, int rank, uint64_t number) {
    return &world->shared->rank[rank].call[number % SLOTS];
}

const void *nccl_world_data(const nccl_world *world, int rank, uint64_t number) {
    return (const char *)world->shared + area(world, rank, number);
}

void nccl_world_finish(nccl_world *world, uint64_t number) {
    world->shared->rank[world->rank].finished = number;
}
