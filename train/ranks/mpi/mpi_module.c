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

/* Channels between two ranks share a communicator, and differ in their tags. */
static MPI_Comm channels[MPI_COLLECTIVES], pairs;
static MPI_Request requests[MPI_CHANNELS];
enum { UP, DOWN };

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        const int code_ = (call);                                                                            \
        if (code_ != MPI_SUCCESS) return code_;                                                              \
    } while (0)

static int open_channel(MPI_Comm of, MPI_Comm *opened) {
    TRY(MPI_Comm_dup(of, opened));
    return MPI_Comm_set_errhandler(*opened, MPI_ERRORS_RETURN);
}

static int open_channels(MPI_Comm machine) {
    for (int i = 0; i < MPI_CHANNELS; i++) requests[i] = MPI_REQUEST_NULL;
    for (int i = 0; i < MPI_COLLECTIVES; i++)
        TRY(open_channel(i < MPI_LOCAL_EXCHANGE ? MPI_COMM_WORLD : machine, &channels[i]));
    return open_channel(MPI_COMM_WORLD, &pairs);
}

static int find_place(MPI_Comm machine, mpi_place *place) {
    TRY(MPI_Comm_rank(MPI_COMM_WORLD, &place->rank));
    TRY(MPI_Comm_size(MPI_COMM_WORLD, &place->size));
    TRY(MPI_Comm_rank(machine, &place->local));
    place->leader = place->rank;
    return MPI_Bcast(&place->leader, 1, MPI_INT, 0, machine);
}

/* Only this thread calls MPI, which is what MPI_THREAD_FUNNELED allows. */
static int start(mpi_place *place) {
    int provided;
    MPI_Comm machine;
    TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
    TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine));
    TRY(find_place(machine, place));
    TRY(open_channels(machine));
    return MPI_Comm_free(&machine);
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

static int tag_of(int channel) {
    return channel == MPI_UP_FROM || channel == MPI_UP_TO ? UP : DOWN;
}

static int send_to(int channel, int other, const void *bytes, int size) {
    return MPI_Isend(bytes, size, MPI_BYTE, other, tag_of(channel), pairs, &requests[channel]);
}

static int receive_from(int channel, int other, void *bytes, int size) {
    return MPI_Irecv(bytes, size, MPI_BYTE, other, tag_of(channel), pairs, &requests[channel]);
}

static int test(int channel, int *complete) {
    return MPI_Test(&requests[channel], complete, MPI_STATUS_IGNORE);
}

static int finish(void) {
    for (int i = 0; i < MPI_COLLECTIVES; i++) TRY(MPI_Comm_free(&channels[i]));
    TRY(MPI_Comm_free(&pairs));
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
    .send = send_to,
    .receive = receive_from,
    .test = test,
    .finish = finish,
    .describe = describe,
};
