/* The ranks of a run: processes that mpirun or srun has started, and that train together.
 *
 * All have the same number of devices. MPI carries data; beside it heartbeats over TCP find a rank that has
 * ended or stopped, and then end all others. Rank 0 alone prints and writes files. Functions take NULL for a
 * process that trains alone, and then do what one rank would.
 */
#ifndef P2P_RANKS_H
#define P2P_RANKS_H

#include "mpi/mpi_table.h"
#include "p2p_processes.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ranks ranks;

/* How many processes were started together, and the rank of this one, as far as its environment shows. 1 and
 * 0 for a process that was started by itself; a size of 0 means that it is unknown. P2P_USAGE as ranks_open.
 */
p2p_status ranks_look(int *size, int *rank);

/* What all ranks must have in common for their exchanges to match. */
typedef struct {
    const char *command; /* that they run; borrowed */
    uint64_t layout;     /* of the command's options (settings_layout) */
} ranks_work;

/* Join the ranks if the process was started under MPI with others, else *opened is NULL. What other ranks
 * than the first print is discarded from then on. The message of a failure names what to install. P2P_USAGE
 * in all ranks if one runs other work or another build of p2p. */
p2p_status ranks_open(const ranks_work *work, ranks **opened);
/* The same by these functions of MPI, whatever has started the process. */
p2p_status ranks_open_with(const mpi_table *table, const ranks_work *work, ranks **opened);
/* End together with all other ranks, which call it too. NULL is ignored. */
p2p_status ranks_close(ranks *r);
/* The end of a command that all ranks have run, with this one's status. After a failure but P2P_STOPPED,
 * ranks_fail. Else ranks_close; returns the status, in other ranks than 0 P2P_OK, because a launcher ends all
 * ranks if one ends by a signal. */
p2p_status ranks_end(ranks *r, p2p_status status);
/* End this process and all others after a failure of this one: rank 0 prints its message, once. Does not
 * return. */
_Noreturn void ranks_fail(ranks *r, p2p_status status);

/* Exchange among all ranks whether one has failed, while none waits for another: `status` is each one's. A
 * rank that failed returns its own status, the others P2P_FAILED if there is one; ranks_fail of the
 * others then waits for its message. NULL: returns `status`. */
p2p_status ranks_agree(ranks *r, p2p_status status);
/* Whether ranks_agree has found a failure, so that all ranks are at the same place. */
bool ranks_agreed(const ranks *r);

int ranks_size(const ranks *r);
int ranks_number(const ranks *r); /* of this one, from 0 */
int ranks_local(const ranks *r);  /* among those of this machine, from 0 */
const char *ranks_host(const ranks *r, int rank);
bool ranks_is_here(const ranks *r, int rank); /* on the machine of this one */
int ranks_here(const ranks *r);               /* how many are, with this one */

/* The command that continues after a loss, for the hint. Copied; NULL: none. */
void ranks_set_command(ranks *r, const char *command);
/* In rank 0: from now on there is a checkpoint to continue from. */
void ranks_set_kept(ranks *r);

/* For a session: NULL without other ranks. */
const p2p_processes *ranks_processes(const ranks *r);

/* Collective, for all other uses, by one thread: `bytes` become those of rank 0; all[i * size] and what
 * follows become those of rank i. */
p2p_status ranks_share(const ranks *r, void *bytes, size_t size);
p2p_status ranks_gather(const ranks *r, const void *mine, size_t size, void *all);
/* Add numbers of all ranks, in their order. */
p2p_status ranks_add(const ranks *r, double *values, size_t count);
/* Share a text, which the caller frees with free(), also in rank 0. */
p2p_status ranks_share_text(const ranks *r, char **text);

#endif
