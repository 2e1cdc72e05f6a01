/* Sums of large tensors over all ranks, in pieces, of which several are in flight. Each element is added in
 * the order of ranks, from the first to the last, so the sums have the bits of as many devices of one
 * process.
 *
 * Every piece is divided into slices, each of which a rank adds. Where machines have several ranks, which
 * follow each other in number, a rank adds the values of all ranks of its machine to the sum from the machine
 * before: sums travel from the first machine to the last, and return the same way. A machine's network
 * carries as many bytes as with one rank on each machine, and the ranks of the machine share them. Otherwise
 * each rank adds its slice of all ranks.
 */
#ifndef P2P_RANKS_ADD_H
#define P2P_RANKS_ADD_H

#include "mpi/mpi_table.h"
#include "p2p_op.h"

typedef struct ranks_adder ranks_adder;

/* `leaders`, per rank: the first rank of its machine. */
p2p_status ranks_adder_create(const mpi_place *place, const int *leaders, ranks_adder **adder);
void ranks_adder_destroy(ranks_adder *adder);
/* Whether sums go along the machines. */
bool ranks_adder_is_chained(const ranks_adder *adder);
/* The bytes of sums that this rank has sent to other machines so far; 0 unless they go along the machines. */
uint64_t ranks_adder_sent(const ranks_adder *adder);

/* Add `bytes` of whole elements, at `stored`, to which the sums come. Called by all ranks, by one thread,
 * which may divide them differently at multiples of P2P_PROCESSES_PIECE. After a failure the memory has to
 * stay until the process ends. */
p2p_status ranks_adder_add(ranks_adder *adder, p2p_type type, unsigned char *stored, size_t bytes);

#endif
