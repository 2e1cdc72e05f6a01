/* The functions of mpi_table.h over memory that forked processes share, without any MPI: for tests of ranks
 * under sanitizers, and with transfers that are held back. A transfer is complete when all ranks have given
 * their part, a broadcast in rank 0 at once, and between two ranks when the other one has it. Ranks that
 * don't call the same transfers get a failure.
 */
#ifndef MPI_DOUBLE_H
#define MPI_DOUBLE_H

#include "ranks/mpi/mpi_table.h"

#include <stdbool.h>

enum { MPI_DOUBLE_MOST = 6 };

typedef struct mpi_double_memory mpi_double_memory;

/* Memory for one run of ranks; never freed. Called before they are forked. */
mpi_double_memory *mpi_double_share(void);
/* In a forked process: the table, of this rank. `started` is called when a transfer begins, and one for which
 * `held` returns true stays under way; both by the thread of transfers. NULL: neither. */
const mpi_table *mpi_double_table(mpi_double_memory *memory, int size, int rank, void (*started)(int channel),
                                  bool (*held)(int channel));

/* Before that: the first rank of each rank's machine, whose ranks follow each other; borrowed. NULL: all are
 * on one. */
void mpi_double_machines(const int *leaders);

#endif
