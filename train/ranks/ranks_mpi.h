/* Transfers between ranks by MPI. A thread of its own makes all calls of MPI, so that transfers advance while
 * other threads compute, and no other thread ever waits inside MPI.
 */
#ifndef P2P_RANKS_MPI_H
#define P2P_RANKS_MPI_H

#include "mpi/mpi_table.h"
#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>

/* Start the thread, and MPI in it. Waits for the other ranks: prints that after `patience` seconds, and
 * returns P2P_FAILED after `limit` seconds, with MPI's start still under way. */
p2p_status ranks_mpi_start(const mpi_table *table, double patience, double limit);
/* Afterwards: of this process. */
const mpi_place *ranks_mpi_place(void);
/* The numbers of transfers that this process has begun and ended on a channel. From any thread. */
void ranks_mpi_progress(int channel, uint64_t *begun, uint64_t *ended);
/* Ends MPI and the thread. Called by all ranks. If MPI has not ended within `limit` seconds, that is printed,
 * and its thread is left. */
p2p_status ranks_mpi_finish(double limit);

/* Transfers of mpi_table.h, by number of a channel. Each returns when it is complete; one at a time per
 * channel. */
p2p_status ranks_mpi_broadcast(int channel, void *bytes, int size);
p2p_status ranks_mpi_gather(int channel, const void *mine, int size, void *all);

/* Begin one, whose memory must stay until ranks_mpi_end has returned. */
void ranks_mpi_exchange(int channel, const void *from, const int *sizes_from, const int *offsets_from,
                        void *to, const int *sizes_to, const int *offsets_to);
void ranks_mpi_collect(int channel, const void *mine, int size, void *all, const int *sizes,
                       const int *offsets);
void ranks_mpi_send(int channel, int other, const void *bytes, int size);
void ranks_mpi_receive(int channel, int other, void *bytes, int size);
/* Whether the channel's transfer has ended. */
bool ranks_mpi_has_ended(int channel);
/* Waits until the channel's transfer has ended. After a failure the transfers of all channels stop and fail.
 */
p2p_status ranks_mpi_end(int channel);
/* The number of transfers that have ended so far, and a wait until it is not `seen` any more. */
uint64_t ranks_mpi_ended(void);
void ranks_mpi_await(uint64_t seen);

#endif
