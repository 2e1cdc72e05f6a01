/* Sums in pieces, along machines. See ranks_add.h.
 *
 * A piece passes these stages, and each stage takes the pieces in their order: the exchange between the ranks
 * of a machine, the sums of the machine before (up), the addition, sums to the machine behind, the whole sums
 * from there (down), which are collected from the owners of slices, and go to the machine before. Whatever
 * can begin begins; the thread waits only if nothing can. A stage waits for earlier stages of its piece, and
 * for memory that earlier pieces free, so no two ranks wait for each other.
 */
#include "ranks_add.h"

#include "p2p_processes.h"
#include "ranks_mpi.h"
#include "ranks_sum.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of a piece, which divide P2P_PROCESSES_PIECE; pieces whose contributions, or whose whole sums, are in
 * memory at once. */
enum { PIECE = 512 << 10, GIVEN = 2, WHOLE = 4 };

/* The numbers of pieces that have begun a stage, and that have ended it. */
typedef struct {
    int channel;
    int64_t begun, ended;
} stage;

enum { EXCHANGE, UP_FROM, UP_TO, DOWN_FROM, DOWN_TO, COLLECT, STAGES };

struct ranks_adder {
    int members, own; /* ranks that exchange with each other, and this one's place among them */
    int slices;       /* the first so many of them have one each */
    bool has_slice;
    int before, after; /* ranks that have the slice on the neighbouring machines; -1: none */
    bool chained;
    uint64_t sent;
    unsigned char *memory, *given[GIVEN], *up_from[GIVEN], *up_to[GIVEN], *whole[WHOLE];
    int *numbers, *sizes[2], *offsets[2], *sizes_to, *offsets_to; /* of the exchange; and of the collection */

    /* The sum that is under way. */
    p2p_type type;
    unsigned char *stored;
    size_t bytes;
    int64_t pieces, added;
    stage stages[STAGES];
};

/* ---- Machines ----------------------------------------------------------------------------------------- */

/* Whether the ranks of each machine follow each other. Sets *fewest to the number on the smallest machine,
 * and *most. */
static bool are_together(const int *leaders, int size, int *fewest, int *most) {
    *fewest = size;
    *most = 0;
    for (int first = 0, next; first < size; first = next) {
        for (next = first; next < size && leaders[next] == leaders[first]; next++) {
        }
        if (leaders[first] != first) return false;
        if (next - first < *fewest) *fewest = next - first;
        if (next - first > *most) *most = next - first;
    }
    return true;
}

static int leader_after(const int *leaders, int size, int leader) {
    for (int i = leader; i < size; i++)
        if (leaders[i] != leader) return i;
    return -1;
}

static void arrange(ranks_adder *a, const mpi_place *place, const int *leaders) {
    int fewest, most;
    const bool together = are_together(leaders, place->size, &fewest, &most);
    a->chained = together && most > 1 && most < place->size;
    a->before = a->after = -1;
    if (!a->chained) {
        a->members = a->slices = place->size;
        a->own = place->rank;
        a->has_slice = true;
        return;
    }
    const int next = leader_after(leaders, place->size, place->leader);
    a->members = (next < 0 ? place->size : next) - place->leader;
    a->own = place->local;
    a->slices = fewest;
    a->has_slice = a->own < fewest;
    if (!a->has_slice) return;
    if (place->leader > 0) a->before = leaders[place->leader - 1] + a->own;
    if (next >= 0) a->after = next + a->own;
}

/* ---- Memory ------------------------------------------------------------------------------------------- */

/* The most bytes of a slice. */
static size_t slice_bytes(const ranks_adder *a) {
    return PIECE / (size_t)a->slices + sizeof(double);
}

/* Partial sums of bfloat16 have twice its size. */
static p2p_status allocate(ranks_adder *a) {
    const size_t slice = (slice_bytes(a) + 15) / 16 * 16, members = (size_t)a->members;
    a->memory = malloc(slice * (GIVEN * members + 4 * GIVEN + WHOLE));
    a->numbers = calloc(6 * members, sizeof *a->numbers);
    if (!a->memory || !a->numbers) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for sums over ranks");
    unsigned char *at = a->memory;
    for (int i = 0; i < GIVEN; i++, at += slice * members) a->given[i] = at;
    for (int i = 0; i < GIVEN; i++, at += 2 * slice) a->up_from[i] = at;
    for (int i = 0; i < GIVEN; i++, at += 2 * slice) a->up_to[i] = at;
    for (int i = 0; i < WHOLE; i++, at += slice) a->whole[i] = at;
    int *number = a->numbers;
    for (int i = 0; i < 2; i++, number += 2 * members) {
        a->sizes[i] = number;
        a->offsets[i] = number + members;
    }
    a->sizes_to = number;
    a->offsets_to = number + members;
    return P2P_OK;
}

p2p_status ranks_adder_create(const mpi_place *place, const int *leaders, ranks_adder **adder) {
    ranks_adder *a = calloc(1, sizeof *a);
    *adder = a;
    if (!a) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for sums over ranks");
    arrange(a, place, leaders);
    const p2p_status status = allocate(a);
    if (status == P2P_OK) return P2P_OK;
    ranks_adder_destroy(a);
    *adder = NULL;
    return status;
}

void ranks_adder_destroy(ranks_adder *adder) {
    if (!adder) return;
    free(adder->memory);
    free(adder->numbers);
    free(adder);
}

bool ranks_adder_is_chained(const ranks_adder *adder) {
    return adder->chained;
}

uint64_t ranks_adder_sent(const ranks_adder *adder) {
    return adder->sent;
}

/* ---- Pieces ------------------------------------------------------------------------------------------- */

static unsigned char *piece_at(const ranks_adder *a, int64_t number) {
    return a->stored + (size_t)number * PIECE;
}

static size_t elements_of(const ranks_adder *a, int64_t number) {
    const size_t left = a->bytes - (size_t)number * PIECE;
    return (left < PIECE ? left : PIECE) / p2p_type_bytes(a->type);
}

/* The elements of a member's slice, and the number of those before it. */
static size_t slice_of(const ranks_adder *a, size_t elements, int member, size_t *first) {
    const size_t slices = (size_t)a->slices, number = (size_t)member, rest = elements % slices;
    *first = elements;
    if (member >= a->slices) return 0;
    *first = number * (elements / slices) + (number < rest ? number : rest);
    return elements / slices + (number < rest);
}

static size_t own_elements(const ranks_adder *a, int64_t number) {
    size_t first;
    return slice_of(a, elements_of(a, number), a->own, &first);
}

/* Where members' slices of a piece are. */
static void lay_out(const ranks_adder *a, int64_t number, int *sizes, int *offsets) {
    const size_t element = p2p_type_bytes(a->type);
    for (int i = 0; i < a->members; i++) {
        size_t first;
        sizes[i] = (int)(slice_of(a, elements_of(a, number), i, &first) * element);
        offsets[i] = (int)(first * element);
    }
}

/* ---- Stages ------------------------------------------------------------------------------------------- */

static bool is_idle(const stage *s) {
    return s->begun == s->ended;
}

/* Pieces whose whole sums nothing needs any more. */
static int64_t freed(const ranks_adder *a) {
    const int64_t collected = a->stages[COLLECT].ended, passed = a->stages[DOWN_TO].ended;
    return a->before >= 0 && passed < collected ? passed : collected;
}

/* Pieces whose whole sums of the own slice are here. */
static int64_t ready(const ranks_adder *a) {
    if (!a->has_slice) return a->pieces;
    return a->after >= 0 ? a->stages[DOWN_FROM].ended : a->added;
}

/* Whether the next piece may begin the stage. */
static bool may_begin(const ranks_adder *a, int which) {
    const stage *s = &a->stages[which];
    const int64_t next = s->begun;
    if (!is_idle(s) || next == a->pieces) return false;
    switch (which) {
    case EXCHANGE:
        return next - a->added < GIVEN;
    case UP_FROM:
        return a->before >= 0 && next - a->added < GIVEN;
    case UP_TO:
        return a->after >= 0 && next < a->added;
    case DOWN_FROM:
        return a->after >= 0 && next - freed(a) < WHOLE;
    case DOWN_TO:
        return a->before >= 0 && next < ready(a);
    default:
        return next < ready(a) && next < a->stages[EXCHANGE].ended;
    }
}

static void begin_exchange(ranks_adder *a, int64_t number, int channel) {
    int *sizes = a->sizes[0], *offsets = a->offsets[0];
    const size_t own = own_elements(a, number) * p2p_type_bytes(a->type);
    lay_out(a, number, sizes, offsets);
    for (int i = 0; i < a->members; i++) {
        a->sizes_to[i] = (int)own;
        a->offsets_to[i] = i * (int)own;
    }
    ranks_mpi_exchange(channel, piece_at(a, number), sizes, offsets, a->given[number % GIVEN], a->sizes_to,
                       a->offsets_to);
}

static void begin_collection(ranks_adder *a, int64_t number, int channel) {
    int *sizes = a->sizes[1], *offsets = a->offsets[1];
    lay_out(a, number, sizes, offsets);
    ranks_mpi_collect(channel, a->whole[number % WHOLE], sizes[a->own], piece_at(a, number), sizes, offsets);
}

static void begin(ranks_adder *a, int which) {
    stage *s = &a->stages[which];
    const int64_t number = s->begun++;
    const size_t own = own_elements(a, number);
    const size_t whole = own * p2p_type_bytes(a->type),
                 partial = own * p2p_type_bytes(ranks_partial_type(a->type));
    switch (which) {
    case EXCHANGE:
        begin_exchange(a, number, s->channel);
        break;
    case UP_FROM:
        ranks_mpi_receive(s->channel, a->before, a->up_from[number % GIVEN], (int)partial);
        break;
    case UP_TO:
        a->sent += partial;
        ranks_mpi_send(s->channel, a->after, a->up_to[number % GIVEN], (int)partial);
        break;
    case DOWN_FROM:
        ranks_mpi_receive(s->channel, a->after, a->whole[number % WHOLE], (int)whole);
        break;
    case DOWN_TO:
        a->sent += whole;
        ranks_mpi_send(s->channel, a->before, a->whole[number % WHOLE], (int)whole);
        break;
    default:
        begin_collection(a, number, s->channel);
    }
}

static bool may_add(const ranks_adder *a) {
    const int64_t next = a->added;
    if (next == a->pieces || next == a->stages[EXCHANGE].ended) return false;
    if (a->before >= 0 && next == a->stages[UP_FROM].ended) return false;
    if (!a->has_slice) return true;
    return a->after >= 0 ? next - a->stages[UP_TO].ended < GIVEN : next - freed(a) < WHOLE;
}

static p2p_status add_next(ranks_adder *a) {
    const int64_t number = a->added++;
    const size_t own = own_elements(a, number);
    const ranks_rows rows = {.type = a->type,
                             .rows = a->given[number % GIVEN],
                             .count = a->members,
                             .stride = own * p2p_type_bytes(a->type),
                             .elements = own};
    const bool partial = a->after >= 0;
    if (!a->has_slice) return P2P_OK;
    return ranks_sum_on(&rows, a->before >= 0 ? a->up_from[number % GIVEN] : NULL, partial,
                        partial ? a->up_to[number % GIVEN] : a->whole[number % WHOLE]);
}

/* Does what can be done now. */
static p2p_status move_on(ranks_adder *a, bool *moved) {
    *moved = false;
    for (int i = 0; i < STAGES; i++) {
        stage *s = &a->stages[i];
        if (!is_idle(s) && ranks_mpi_has_ended(s->channel)) {
            P2P_TRY(ranks_mpi_end(s->channel));
            s->ended++;
            *moved = true;
        }
        if (!may_begin(a, i)) continue;
        begin(a, i);
        *moved = true;
    }
    if (!may_add(a)) return P2P_OK;
    *moved = true;
    return add_next(a);
}

static bool is_over(const ranks_adder *a) {
    return a->stages[COLLECT].ended == a->pieces && (a->before < 0 || a->stages[DOWN_TO].ended == a->pieces);
}

static void reset(ranks_adder *a) {
    static const int all[STAGES] = {MPI_EXCHANGE,  MPI_UP_FROM, MPI_UP_TO,
                                    MPI_DOWN_FROM, MPI_DOWN_TO, MPI_COLLECT};
    for (int i = 0; i < STAGES; i++) a->stages[i] = (stage){.channel = all[i]};
    if (!a->chained) return;
    a->stages[EXCHANGE].channel = MPI_LOCAL_EXCHANGE;
    a->stages[COLLECT].channel = MPI_LOCAL_COLLECT;
}

p2p_status ranks_adder_add(ranks_adder *adder, p2p_type type, unsigned char *stored, size_t bytes) {
    _Static_assert((int)P2P_PROCESSES_PIECE % (int)PIECE == 0, "ranks may divide tensors differently");
    adder->type = type;
    adder->stored = stored;
    adder->bytes = bytes;
    adder->pieces = (int64_t)((bytes + PIECE - 1) / PIECE);
    adder->added = 0;
    reset(adder);
    while (!is_over(adder)) {
        const uint64_t seen = ranks_mpi_ended();
        bool moved;
        P2P_TRY(move_on(adder, &moved));
        if (!moved) ranks_mpi_await(seen);
    }
    return P2P_OK;
}
