/* The functions of MPI that p2p uses, as a shared object for each implementation provides them.
 *
 * Implementations differ in their binary interface, so the program links none: it loads the object of the one
 * under which it was started, which exports the table as MPI_TABLE_SYMBOL (mpi_module.c). One thread makes
 * all calls. Functions return 0, or a code for `describe`. At most one transfer of each channel is under way.
 * Sizes are in bytes.
 */
#ifndef MPI_TABLE_H
#define MPI_TABLE_H

#include <stdint.h>

/* The object's version of this file is compared before anything of it is called. */
enum { MPI_TABLE_VERSION = 2 };

/* Each is ordered by itself. The first of them are over all ranks: of the trainer, of the session with its
 * communicator, and two of sums; then two of sums over the ranks of this machine; then transfers between two
 * ranks, of which those of MPI_UP_TO arrive at the other's MPI_UP_FROM, and those of MPI_DOWN_TO at its
 * MPI_DOWN_FROM. */
enum {
    MPI_CONTROL,
    MPI_SESSION,
    MPI_EXCHANGE,
    MPI_COLLECT,
    MPI_LOCAL_EXCHANGE,
    MPI_LOCAL_COLLECT,
    MPI_COLLECTIVES, /* the number of those above */
    MPI_UP_FROM = MPI_COLLECTIVES,
    MPI_UP_TO,
    MPI_DOWN_FROM,
    MPI_DOWN_TO,
    MPI_CHANNELS
};

/* Where a process is. `local` is its rank among those of its machine, which are in the order of ranks, and
 * `leader` the first of them. */
typedef struct {
    int rank, size, local, leader;
} mpi_place;

typedef struct {
    uint32_t version;
    const char *implementation;
    /* Initialise MPI, which may wait for the other ranks, and open the channels. */
    int (*start)(mpi_place *place);
    /* Start a transfer; memory must stay valid until it is complete. Ranks are those of the channel.
     * broadcast: `bytes` become those of rank 0.
     * gather: all[i * size] and what follows become the bytes of rank i.
     * exchange: rank i gets the sizes_from[i] bytes at from[offsets_from[i]], and gives sizes_to[i] bytes,
     * which come to to[offsets_to[i]]. collect: all[offsets[i]] and what follows become the sizes[i] bytes of
     * rank i; `size` is this rank's.
     * send, receive: between this rank and `other`, by number among all. */
    int (*broadcast)(int channel, void *bytes, int size);
    int (*gather)(int channel, const void *mine, int size, void *all);
    int (*exchange)(int channel, const void *from, const int *sizes_from, const int *offsets_from, void *to,
                    const int *sizes_to, const int *offsets_to);
    int (*collect)(int channel, const void *mine, int size, void *all, const int *sizes, const int *offsets);
    int (*send)(int channel, int other, const void *bytes, int size);
    int (*receive)(int channel, int other, void *bytes, int size);
    /* Advance the channel's transfer, and set *complete to whether it has ended. */
    int (*test)(int channel, int *complete);
    /* End MPI. Called by all ranks, without transfers under way. */
    int (*finish)(void);
    void (*describe)(int code, char *text, int size);
} mpi_table;

#define MPI_TABLE_SYMBOL "p2p_mpi_exported"

#endif
