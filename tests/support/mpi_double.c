/* Transfers through shared memory. See mpi_double.h. Of each channel every rank has a box: it puts a part
 * there when all have taken what was in their boxes, and takes from all boxes when all have put theirs.
 * Between two ranks the sender's box is used.
 */
#include "mpi_double.h"

#include "forked_processes.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { BOX_BYTES = 4 << 20, AHEAD = 16, DIFFERENT_TRANSFERS = 1, TOO_LARGE = 2 };

typedef enum { BROADCAST = 1, GATHER, EXCHANGE, COLLECT, SEND, RECEIVE } kind;

typedef struct {
    atomic_uint put, taken; /* numbers of transfers */
    kind kind;
    int size;
    int offsets[MPI_DOUBLE_MOST]; /* an exchange: where the part of each rank begins */
    unsigned char bytes[BOX_BYTES];
} box;

struct mpi_double_memory {
    box boxes[AHEAD - 1 + MPI_CHANNELS][MPI_DOUBLE_MOST];
};

/* The transfer of a channel that is under way. */
typedef struct {
    unsigned number;
    kind kind;
    bool is_put;
    const unsigned char *from;
    unsigned char *to;
    int size; /* of this rank's part */
    int other;
    const int *sizes_from, *offsets_from, *sizes_to, *offsets_to;
} transfer;

static struct {
    mpi_double_memory *memory;
    int size, rank;
    const int *leaders; /* NULL: all are on one machine */
    void (*started)(int channel);
    bool (*held)(int channel);
    transfer channels[MPI_CHANNELS];
} own;

static int leader_of(int rank) {
    return own.leaders ? own.leaders[rank] : 0;
}

static int start(mpi_place *place) {
    const int leader = leader_of(own.rank);
    *place = (mpi_place){.rank = own.rank, .size = own.size, .local = own.rank - leader, .leader = leader};
    return 0;
}

/* The first rank of a channel's, and the one behind the last. */
static void members_of(int channel, int *first, int *end) {
    *first = 0;
    *end = own.size;
    if (channel != MPI_LOCAL_EXCHANGE && channel != MPI_LOCAL_COLLECT) return;
    *first = *end = leader_of(own.rank);
    while (*end < own.size && leader_of(*end) == *first) ++*end;
}

static int begin(int channel, transfer t) {
    t.number = own.channels[channel].number + 1;
    own.channels[channel] = t;
    if (own.started) own.started(channel);
    return t.size <= BOX_BYTES ? 0 : TOO_LARGE;
}

static int broadcast(int channel, void *bytes, int size) {
    return begin(channel, (transfer){.kind = BROADCAST, .from = bytes, .to = bytes, .size = size});
}

static int gather(int channel, const void *mine, int size, void *all) {
    return begin(channel, (transfer){.kind = GATHER, .from = mine, .to = all, .size = size});
}

static int exchange(int channel, const void *from, const int *sizes_from, const int *offsets_from, void *to,
                    const int *sizes_to, const int *offsets_to) {
    int size = 0, first, end;
    members_of(channel, &first, &end);
    for (int i = 0; i < end - first; i++) size += sizes_from[i];
    return begin(channel, (transfer){.kind = EXCHANGE,
                                     .from = from,
                                     .to = to,
                                     .size = size,
                                     .sizes_from = sizes_from,
                                     .offsets_from = offsets_from,
                                     .sizes_to = sizes_to,
                                     .offsets_to = offsets_to});
}

static int collect(int channel, const void *mine, int size, void *all, const int *sizes, const int *offsets) {
    return begin(channel, (transfer){.kind = COLLECT,
                                     .from = mine,
                                     .to = all,
                                     .size = size,
                                     .sizes_to = sizes,
                                     .offsets_to = offsets});
}

static int send_to(int channel, int other, const void *bytes, int size) {
    return begin(channel, (transfer){.kind = SEND, .from = bytes, .size = size, .other = other});
}

static int receive_from(int channel, int other, void *bytes, int size) {
    return begin(channel, (transfer){.kind = RECEIVE, .to = bytes, .size = size, .other = other});
}

/* A rank may be ahead of others by broadcasts of the trainer, which have several boxes. */
static int boxes_of(int channel) {
    return channel == MPI_CONTROL ? AHEAD : 1;
}

static box *box_of(int channel, int rank, unsigned number) {
    const int first = channel == MPI_CONTROL ? 0 : AHEAD - 1 + channel;
    return &own.memory->boxes[first + (int)(number % (unsigned)boxes_of(channel))][rank];
}

/* ---- Progress ----------------------------------------------------------------------------------------- */

static bool all_have_taken(int channel, unsigned number) {
    int first, end;
    members_of(channel, &first, &end);
    for (int i = first; i < end; i++)
        if (atomic_load(&box_of(channel, i, number)->taken) < number) return false;
    return true;
}

static bool all_have_put(int channel, unsigned number) {
    int first, end;
    members_of(channel, &first, &end);
    for (int i = first; i < end; i++)
        if (atomic_load(&box_of(channel, i, number)->put) < number) return false;
    return true;
}

static void put(box *to, int channel, const transfer *t) {
    int used = 0, first, end;
    members_of(channel, &first, &end);
    to->kind = t->kind;
    to->size = t->size;
    if (t->kind != EXCHANGE) memcpy(to->bytes, t->from, (size_t)t->size);
    for (int i = 0; i < end - first && t->kind == EXCHANGE; i++) {
        to->offsets[i] = used;
        memcpy(to->bytes + used, t->from + t->offsets_from[i], (size_t)t->sizes_from[i]);
        used += t->sizes_from[i];
    }
    atomic_store(&to->put, t->number);
}

static bool is_of(const box *from, const transfer *t) {
    const bool same_sizes = t->kind == BROADCAST || t->kind == GATHER;
    return from->kind == t->kind && (!same_sizes || from->size == t->size);
}

/* `rank` is the other's place among the channel's, `place` that of this one. */
static void take(const box *from, int rank, int place, const transfer *t) {
    if (t->kind == BROADCAST && rank == 0)
        memcpy(t->to, from->bytes, (size_t)t->size);
    else if (t->kind == GATHER)
        memcpy(t->to + rank * t->size, from->bytes, (size_t)t->size);
    else if (t->kind == EXCHANGE)
        memcpy(t->to + t->offsets_to[rank], from->bytes + from->offsets[place], (size_t)t->sizes_to[rank]);
    else if (t->kind == COLLECT)
        memcpy(t->to + t->offsets_to[rank], from->bytes, (size_t)t->sizes_to[rank]);
}

static int take_all(int channel, const transfer *t) {
    int first, end;
    members_of(channel, &first, &end);
    if (t->kind == BROADCAST && own.rank == 0) end = first + 1; /* the others may not have begun */
    for (int i = first; i < end; i++) {
        const box *from = box_of(channel, i, t->number);
        if (!is_of(from, t)) return DIFFERENT_TRANSFERS;
        take(from, i - first, own.rank - first, t);
    }
    atomic_store(&box_of(channel, own.rank, t->number)->taken, t->number);
    return 0;
}

static int test_sending(int channel, transfer *t, int *complete) {
    box *to = box_of(channel, own.rank, t->number);
    if (!t->is_put) put(to, channel, t);
    t->is_put = true;
    *complete = atomic_load(&to->taken) == t->number;
    return 0;
}

static int test_receiving(int channel, const transfer *t, int *complete) {
    box *from = box_of(channel == MPI_UP_FROM ? MPI_UP_TO : MPI_DOWN_TO, t->other, t->number);
    *complete = atomic_load(&from->put) == t->number;
    if (!*complete) return 0;
    if (from->size != t->size) return DIFFERENT_TRANSFERS;
    memcpy(t->to, from->bytes, (size_t)t->size);
    atomic_store(&from->taken, t->number);
    return 0;
}

static int test(int channel, int *complete) {
    transfer *t = &own.channels[channel];
    *complete = 0;
    if (own.held && own.held(channel)) return 0;
    if (t->kind == SEND) return test_sending(channel, t, complete);
    if (t->kind == RECEIVE) return test_receiving(channel, t, complete);
    const unsigned before =
        t->number > (unsigned)boxes_of(channel) ? t->number - (unsigned)boxes_of(channel) : 0;
    if (!t->is_put && before > 0 && !all_have_taken(channel, before)) return 0;
    if (!t->is_put) put(box_of(channel, own.rank, t->number), channel, t);
    t->is_put = true;
    if (!all_have_put(channel, t->number) && !(t->kind == BROADCAST && own.rank == 0)) return 0;
    *complete = 1;
    return take_all(channel, t);
}

static int finish(void) {
    return 0;
}

static void describe(int code, char *text, int size) {
    snprintf(text, (size_t)size, "%s",
             code == DIFFERENT_TRANSFERS ? "ranks call different transfers" : "a transfer is too large");
}

mpi_double_memory *mpi_double_share(void) {
    return forked_memory(sizeof(mpi_double_memory));
}

void mpi_double_machines(const int *leaders) {
    own.leaders = leaders;
}

const mpi_table *mpi_double_table(mpi_double_memory *memory, int size, int rank, void (*started)(int channel),
                                  bool (*held)(int channel)) {
    static const mpi_table table = {.version = MPI_TABLE_VERSION,
                                    .implementation = "a double of MPI",
                                    .start = start,
                                    .broadcast = broadcast,
                                    .gather = gather,
                                    .exchange = exchange,
                                    .collect = collect,
                                    .send = send_to,
                                    .receive = receive_from,
                                    .test = test,
                                    .finish = finish,
                                    .describe = describe};
    own.memory = memory;
    own.size = size;
    own.rank = rank;
    own.started = started;
    own.held = held;
    return &table;
}
