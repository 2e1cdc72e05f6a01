/* Under which launcher this process was started, from the environment, and the MPI that belongs to it. */
#ifndef P2P_RANKS_LAUNCH_H
#define P2P_RANKS_LAUNCH_H

#include "mpi/mpi_table.h"
#include "p2p_status.h"

typedef enum {
    LAUNCH_ALONE, /* by none, or as the only process */
    LAUNCH_OPENMPI,
    LAUNCH_MPICH,
    LAUNCH_PMIX,   /* by one that serves several implementations */
    LAUNCH_WITHOUT /* by srun, without any MPI */
} launch_kind;

typedef struct {
    launch_kind kind;
    int size, rank; /* size 0: not known */
} launch;

/* P2P_USAGE if P2P_MPI has another value. */
p2p_status launch_find(launch *found);
/* What has started this process with others, for hints: "mpirun" or "srun". */
const char *launch_command(void);
/* Load the functions of the launcher's MPI. The message names the launcher, the hint has what to install. */
p2p_status launch_load(const launch *found, const mpi_table **table);

#endif
