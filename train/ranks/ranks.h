/* The ranks of a run: processes that mpirun or srun has started, and that train together.
 *
 * Each has as many devices. MPI carries data; beside it heartbeats over TCP find a rank that has ended or
 * stopped, and then end all others. Rank 0 alone prints and writes files. Functions take NULL for a process
 * that trains alone, and then do what one rank would.
 */
#ifndef P2P_RANKS_H
#define P2P_RANKS_H

#include "p2p_processes.h"

#include <stdbool.h>

typedef struct ranks ranks;

/* Whether this process is another one than the first of several, as far as its environment shows. */
bool ranks_is_other(void);

/* Join the ranks if the process was started under MPI with others, else *opened is NULL. What other ranks
 * than the first print is discarded from then on. The message of a failure has what to install. */
p2p_status ranks_open(ranks **opened);
/* End together with all other ranks, which call it too. NULL is ignored. */
p2p_status ranks_close(ranks *r);
/* End this process and all others after a failure of this one: rank 0 prints its message, once. Does not
 * return. */
_Noreturn void ranks_fail(ranks *r, p2p_status status);

int ranks_size(const ranks *r);
int ranks_number(const ranks *r); /* of this one, from 0 */
int ranks_local(const ranks *r);  /* among those of this machine, from 0 */
const char *ranks_host(const ranks *r, int rank);

/* The command that continues after a loss, for the hint. Copied; NULL: none. */
void ranks_set_command(ranks *r, const char *command);

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
