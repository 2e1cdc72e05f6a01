/* Detection of launchers and loading of MPI. See ranks_launch.h. */
#include "ranks_launch.h"

#include "p2p_object.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The number in an environment variable; `absent` if it has none. */
static int number_in(const char *name, int absent) {
    const char *text = getenv(name);
    char *end;
    if (!text || !text[0]) return absent;
    const long value = strtol(text, &end, 10);
    return *end != '\0' || value < 0 || value > 1 << 20 ? absent : (int)value;
}

/* SLURM_STEP_NUM_TASKS is set for what srun starts, and not for a batch script itself. */
static launch find_launcher(void) {
    const int tasks = number_in("SLURM_STEP_NUM_TASKS", 0);
    launch found = {LAUNCH_OPENMPI, number_in("OMPI_COMM_WORLD_SIZE", 0),
                    number_in("OMPI_COMM_WORLD_RANK", 0)};
    if (found.size > 0) return found;
    found = (launch){LAUNCH_MPICH, number_in("PMI_SIZE", 0), number_in("PMI_RANK", -1)};
    if (found.size > 0 && found.rank >= 0) return found;
    found = (launch){LAUNCH_PMIX, tasks, number_in("PMIX_RANK", -1)};
    if (found.rank >= 0) return found;
    found = (launch){LAUNCH_WITHOUT, tasks, number_in("SLURM_PROCID", -1)};
    return found.size > 1 && found.rank >= 0 ? found : (launch){LAUNCH_ALONE, 1, 0};
}

p2p_status launch_find(launch *found) {
    const char *wanted = getenv("P2P_MPI");
    *found = find_launcher();
    if (found->size == 1) found->kind = LAUNCH_ALONE;
    if (!wanted || !wanted[0] || found->kind == LAUNCH_ALONE) return P2P_OK;
    if (strcmp(wanted, "off") == 0)
        *found = (launch){LAUNCH_ALONE, 1, 0};
    else if (strcmp(wanted, "openmpi") == 0)
        found->kind = LAUNCH_OPENMPI;
    else if (strcmp(wanted, "mpich") == 0)
        found->kind = LAUNCH_MPICH;
    else
        return p2p_fail(P2P_USAGE, "P2P_MPI=%s: openmpi, mpich and off are possible", wanted);
    return P2P_OK;
}

/* What mpirun itself starts by srun, one task per machine, passes the variables of that srun on: Open MPI's
 * sets the first variable, MPICH's proxies the second. */
const char *launch_command(void) {
    const launch found = find_launcher();
    const bool by_mpirun = number_in("OMPI_COMM_WORLD_SIZE", 0) > 0 || getenv("MPI_LOCALRANKID");
    return !by_mpirun && found.size > 1 && number_in("SLURM_STEP_NUM_TASKS", 0) == found.size ? "srun"
                                                                                              : "mpirun";
}

/* ---- Loading ------------------------------------------------------------------------------------------ */

static const char *launcher_name(launch_kind kind) {
    return kind == LAUNCH_OPENMPI ? "Open MPI" : kind == LAUNCH_MPICH ? "MPICH" : "a launcher with PMIx";
}

static p2p_status load_object(const char *file, const mpi_table **table) {
    const void *address;
    P2P_TRY(p2p_object_load(file, MPI_TABLE_SYMBOL, &address));
    *table = address;
    if ((*table)->version == MPI_TABLE_VERSION) return P2P_OK;
    return p2p_fail(P2P_FAILED, "%s is of another version of p2p", file);
}

static const char *package_hint(launch_kind kind) {
    switch (kind) {
    case LAUNCH_MPICH:
        return "install libmpich-dev and build p2p again, or only the library (Debian: libmpich12) if the "
               "file is there; for Open MPI, srun needs --mpi=pmix; P2P_MPI=off trains in each process by "
               "itself";
    default:
        return "install libopenmpi-dev and build p2p again, or only the library (Debian: libopenmpi3) if the "
               "file is there; P2P_MPI=off trains in each process by itself";
    }
}

static p2p_status load_either(launch_kind kind, const mpi_table **table) {
    static const char open_mpi[] = "p2p-mpi-openmpi.so", mpich[] = "p2p-mpi-mpich.so";
    if (kind != LAUNCH_PMIX) return load_object(kind == LAUNCH_MPICH ? mpich : open_mpi, table);
    const p2p_status status = load_object(open_mpi, table);
    return status == P2P_INPUT ? load_object(mpich, table) : status;
}

p2p_status launch_load(const launch *found, const mpi_table **table) {
    if (found->kind == LAUNCH_WITHOUT) {
        p2p_fail(P2P_USAGE,
                 "srun has started %d tasks, but without an MPI by which they could find each other",
                 found->size);
        return p2p_hint(
            P2P_USAGE, "srun --mpi=pmix for Open MPI, --mpi=pmi2 for MPICH (srun --mpi=list shows what there "
                       "is), or mpirun in the batch script; P2P_MPI=off trains in each task by itself");
    }
    const p2p_status status = load_either(found->kind, table);
    if (status == P2P_OK) return P2P_OK;
    p2p_fail(status, "this process was started by %s, and p2p's part for it can't be used: %s",
             launcher_name(found->kind), p2p_message());
    return p2p_hint(status, "%s", package_hint(found->kind));
}
