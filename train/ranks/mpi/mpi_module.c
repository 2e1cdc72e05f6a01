/* The table of mpi_table.h over MPI 3. The build compiles this file once with the headers of each
 * implementation that it finds. Nothing here depends on the program.
 */
#include "mpi_table.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>

#ifdef OPEN_MPI
#define IMPLEMENTATION "Open MPI"
#else
#define IMPLEMENTATION "MPICH"
#endif

static MPI_Comm channels[MPI_CHANNELS];
static MPI_Request requests[MPI_CHANNELS];

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        const int code_ = (call);                                                                            \
        if (code_ != MPI_SUCCESS) return code_;                                                              \
    } while (0)

static int open_channels(void) {
    for (int i = 0; i < MPI_CHANNELS; i++) {
        TRY(MPI_Comm_dup(MPI_COMM_WORLD, &channels[i]));
        TRY(MPI_Comm_set_errhandler(channels[i], MPI_ERRORS_RETURN));
        requests[i] = MPI_REQUEST_NULL;
    }
    return MPI_SUCCESS;
}

static int find_local(int *local) {
    MPI_Comm machine;
    TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine));
    TRY(MPI_Comm_rank(machine, local));
    return MPI_Comm_free(&machine);
}

/* Only this thread calls MPI, which is what MPI_THREAD_FUNNELED allows. */
static int start(int *rank, int *size, int *local) {
    int provided;
    TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
    TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    TRY(MPI_Comm_rank(MPI_COMM_WORLD, rank));
    TRY(MPI_Comm_size(MPI_COMM_WORLD, size));
    TRY(find_local(local));
    return open_channels();
}

static int broadcast(int channel, void *bytes, int size) {
    return MPI_Ibcast(bytes, size, MPI_BYTE, 0, channels[channel], &requests[channel]);
}

static int gather(int channel, const void *mine, int size, void *all) {
    return MPI_Iallgather(mine, size, MPI_BYTE, all, size, MPI_BYTE, channels[channel], &requests[channel]);
}

static int exchange(int channel, const void *from, const int *sizes_from, const int *offsets_from, void *to,
                    const int *sizes_to, const int *offsets_to) {
    return MPI_Ialltoallv(from, sizes_from, offsets_from, MPI_BYTE, to, sizes_to, offsets_to, MPI_BYTE,
                          channels[channel], &requests[channel]);
}

static int collect(int channel, const void *mine, int size, void *all, const int *sizes, const int *offsets) {
    return MPI_Iallgatherv(mine, size, MPI_BYTE, all, sizes, offsets, MPI_BYTE, channels[channel],
                           &requests[channel]);
}

static int test(int channel, int *complete) {
    return MPI_Test(&requests[channel], complete, MPI_STATUS_IGNORE);
}

static int finish(void) {
    for (int i = 0; i < MPI_CHANNELS; i++) TRY(MPI_Comm_free(&channels[i]));
    return MPI_Finalize();
}

static void describe(int code, char *text, int size) {
    char reason[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (MPI_Error_string(code, reason, &length) != MPI_SUCCESS) length = 0;
    snprintf(text, (size_t)size, "%.*s (code %d)", length, reason, code);
}

extern const mpi_table p2p_mpi_exported;
__attribute__((visibility("default"))) const mpi_table p2p_mpi_exported = {
    .version = MPI_TABLE_VERSION,
    .implementation = IMPLEMENTATION,
    .start = start,
    .broadcast = broadcast,
    .gather = gather,
    .exchange = exchange,
    .collect = collect,
    .test = test,
    .finish = finish,
    .describe = describe,
};
