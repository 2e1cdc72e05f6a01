/* Joining, transfers of any size, and the end of ranks. See ranks.h. */
#include "ranks.h"

#include "heartbeat.h"
#include "host/sys.h"
#include "p2p.h"
#include "ranks_add.h"
#include "ranks_launch.h"
#include "ranks_mpi.h"
#include "ranks_sum.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A tensor of this size, times the number of ranks, is gathered and added by every rank, in one transfer. For
 * larger ones see ranks_add.h. */
enum { GATHERED_BYTES = 1 << 18, MOST_RANKS = 1024 };
/* The first exchanges are of these sizes in every version, so that builds whose others differ recognize each
 * other. PROTOCOL changes with any later exchange of ranks. */
enum { TEXT_BYTES = 64, PROTOCOL = 4 };
/* MPI's start is given up after so many times the limit for signs of life, and a rank that keeps the others
 * waiting is named: 300 s by default. */
static const double STARTS = 15;

/* A channel and its memory. */
typedef struct {
    ranks *of;
    int channel;
    unsigned char *memory;
    size_t bytes;
} lane;

enum { LANES = MPI_SESSION + 1 };

struct ranks {
    int size, rank, local;
    double limit; /* seconds without a sign of life */
    char (*hosts)[HEARTBEAT_HOST];
    int *leaders; /* of each rank's machine (mpi_place) */
    lane lanes[LANES];
    ranks_adder *adder;
    bool agreed; /* on a failure */
    bool other;  /* the first was another rank's, which reports it */
    p2p_processes processes;
};

/* ---- Transfers ---------------------------------------------------------------------------------------- */

static p2p_status no_memory(void) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for transfers between ranks");
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static p2p_status reserve(lane *l, size_t bytes) {
    if (bytes <= l->bytes) return P2P_OK;
    free(l->memory);
    l->bytes = 0;
    l->memory = malloc(bytes);
    if (!l->memory) return no_memory();
    l->bytes = bytes;
    return P2P_OK;
}

static p2p_status share(void *context, void *bytes, size_t size) {
    const lane *l = context;
    for (size_t done = 0; done < size;) {
        const size_t piece = smaller(size - done, P2P_PROCESSES_PIECE);
        P2P_TRY(ranks_mpi_broadcast(l->channel, (char *)bytes + done, (int)piece));
        done += piece;
    }
    return P2P_OK;
}

/* The bytes from `done` on, a piece of each rank's. */
static p2p_status gather_piece(lane *l, const char *mine, size_t size, char *all, size_t done, size_t piece) {
    const size_t count = (size_t)l->of->size;
    P2P_TRY(reserve(l, count * piece));
    P2P_TRY(ranks_mpi_gather(l->channel, mine + done, (int)piece, l->memory));
    for (size_t i = 0; i < count; i++) memcpy(all + i * size + done, l->memory + i * piece, piece);
    return P2P_OK;
}

static p2p_status gather(void *context, const void *mine, size_t size, void *all) {
    lane *l = context;
    const size_t most = P2P_PROCESSES_PIECE / (size_t)l->of->size;
    for (size_t done = 0; done < size;) {
        const size_t piece = smaller(size - done, most);
        P2P_TRY(gather_piece(l, mine, size, all, done, piece));
        done += piece;
    }
    return P2P_OK;
}

/* ---- Sums --------------------------------------------------------------------------------------------- */

static p2p_status add_gathered(lane *l, p2p_type type, unsigned char *stored, size_t bytes) {
    P2P_TRY(reserve(l, (size_t)l->of->size * bytes));
    P2P_TRY(ranks_mpi_gather(l->channel, stored, (int)bytes, l->memory));
    const ranks_rows rows = {.type = type,
                             .rows = l->memory,
                             .count = l->of->size,
                             .stride = bytes,
                             .elements = bytes / p2p_type_bytes(type)};
    return ranks_sum(&rows, stored);
}

/* Of the trainer: numbers, of which there are few. */
static p2p_status add_numbers(lane *l, double *values, size_t count) {
    const size_t most = GATHERED_BYTES / ((size_t)l->of->size * sizeof *values);
    for (size_t done = 0; done < count;) {
        const size_t now = smaller(count - done, most);
        P2P_TRY(add_gathered(l, P2P_TYPE_f64, (void *)(values + done), now * sizeof *values));
        done += now;
    }
    return P2P_OK;
}

/* The last piece may be small in one rank, and a part of a larger one in another, so each is judged by
 * itself. */
static p2p_status add(lane *l, p2p_type type, unsigned char *stored, size_t bytes) {
    const size_t piece = bytes % P2P_PROCESSES_PIECE;
    const size_t small = piece * (size_t)l->of->size <= GATHERED_BYTES ? piece : 0;
    if (bytes > small) P2P_TRY(ranks_adder_add(l->of->adder, type, stored, bytes - small));
    return small > 0 ? add_gathered(l, type, stored + (bytes - small), small) : P2P_OK;
}

static p2p_status unite(lane *l, const p2p_tensor *stats, unsigned char *stored, size_t bytes) {
    unsigned char *all = malloc((size_t)l->of->size * bytes);
    if (!all) return no_memory();
    const p2p_status status = gather(l, stored, bytes, all);
    if (status == P2P_OK) ranks_unite(stats, all, l->of->size, bytes, stored);
    free(all);
    return status;
}

static p2p_status combine(void *context, const p2p_op *op, void *stored, size_t bytes) {
    if (op->kind == P2P_KIND_broadcast) return share(context, stored, bytes);
    if (op->reduction == P2P_REDUCE_MOMENTS) return unite(context, &op->t[0], stored, bytes);
    return add(context, op->t[0].type, stored, bytes);
}

p2p_status ranks_share(const ranks *r, void *bytes, size_t size) {
    return r ? share((void *)&r->lanes[MPI_CONTROL], bytes, size) : P2P_OK;
}

p2p_status ranks_gather(const ranks *r, const void *mine, size_t size, void *all) {
    if (r) return gather((void *)&r->lanes[MPI_CONTROL], mine, size, all);
    memcpy(all, mine, size);
    return P2P_OK;
}

p2p_status ranks_add(const ranks *r, double *values, size_t count) {
    if (!r) return P2P_OK;
    return add_numbers((void *)&r->lanes[MPI_CONTROL], values, count);
}

p2p_status ranks_share_text(const ranks *r, char **text) {
    uint64_t size = *text ? strlen(*text) + 1 : 0;
    if (!r) return P2P_OK;
    P2P_TRY(ranks_share(r, &size, sizeof size));
    if (r->rank > 0) *text = size > 0 ? calloc(1, (size_t)size) : NULL;
    if (size > 0 && !*text) return no_memory();
    return size > 0 ? ranks_share(r, *text, (size_t)size) : P2P_OK;
}

/* ---- Joining ------------------------------------------------------------------------------------------ */

p2p_status ranks_look(int *size, int *rank) {
    launch found;
    P2P_TRY(launch_find(&found));
    *size = found.size;
    *rank = found.kind != LAUNCH_ALONE ? found.rank : 0;
    return P2P_OK;
}

static p2p_status allocate(ranks *r) {
    const size_t size = (size_t)r->size;
    r->hosts = calloc(size, sizeof *r->hosts);
    if (!r->hosts) return no_memory();
    for (int i = 0; i < LANES; i++) r->lanes[i] = (lane){.of = r, .channel = i};
    r->processes = (p2p_processes){.size = r->size,
                                   .rank = r->rank,
                                   .share = share,
                                   .gather = gather,
                                   .combine = combine,
                                   .context = &r->lanes[MPI_SESSION]};
    return P2P_OK;
}

/* Gather a text of each rank, of TEXT_BYTES, and find a rank whose text is not that of rank 0; 0: none. The
 * caller frees *all. */
static p2p_status compare_texts(const ranks *r, const char mine[TEXT_BYTES], char **all, int *other) {
    *other = 0;
    *all = calloc((size_t)r->size, TEXT_BYTES);
    if (!*all) return no_memory();
    P2P_TRY(ranks_gather(r, mine, TEXT_BYTES, *all));
    for (int i = r->size - 1; i > 0; i--) {
        (*all)[(i + 1) * TEXT_BYTES - 1] = '\0';
        if (strcmp(*all + i * TEXT_BYTES, *all) != 0) *other = i;
    }
    return P2P_OK;
}

/* The version of p2p, the order of bytes and size of addresses, and what the exchanges depend on. */
static p2p_status compare_builds(const ranks *r, const ranks_work *work) {
    char mine[TEXT_BYTES] = "", *all;
    const uint16_t order = 1;
    int other;
    snprintf(mine, sizeof mine, "%s %d %d protocol %d options %016" PRIx64, P2P_VERSION, (int)sizeof(void *),
             *(const unsigned char *)&order, (int)PROTOCOL, work->layout);
    p2p_status status = compare_texts(r, mine, &all, &other);
    if (status == P2P_OK && other > 0) {
        p2p_fail(P2P_USAGE, "rank %d on %s runs another build of p2p (%s) than rank 0 on %s (%s)", other,
                 r->hosts[other], all + other * TEXT_BYTES, r->hosts[0], all);
        status = p2p_hint(P2P_USAGE, "start one p2p in all ranks, or builds of the same sources");
    }
    free(all);
    return status;
}

static p2p_status compare_commands(const ranks *r, const ranks_work *work) {
    char mine[TEXT_BYTES] = "", *all;
    int other;
    snprintf(mine, sizeof mine, "%s", work->command);
    p2p_status status = compare_texts(r, mine, &all, &other);
    if (status == P2P_OK && other > 0)
        status = p2p_fail(P2P_USAGE, "rank %d on %s was started with p2p %s, and rank 0 on %s with p2p %s",
                          other, r->hosts[other], all + other * TEXT_BYTES, r->hosts[0], all);
    free(all);
    return status;
}

static p2p_status find_machines(ranks *r) {
    const mpi_place *place = ranks_mpi_place();
    r->leaders = calloc((size_t)r->size, sizeof *r->leaders);
    if (!r->leaders) return no_memory();
    P2P_TRY(ranks_gather(r, &place->leader, sizeof place->leader, r->leaders));
    return ranks_adder_create(place, r->leaders, &r->adder);
}

static p2p_status name_hosts(const ranks *r) {
    char mine[HEARTBEAT_HOST] = "";
    sys_host_name(mine, sizeof mine);
    return ranks_gather(r, mine, sizeof mine, r->hosts);
}

/* Seconds without a sign of life. */
static p2p_status read_limit(double *limit) {
    const char *text = getenv("P2P_RANK_TIMEOUT");
    char *end;
    *limit = 20;
    if (!text || !text[0]) return P2P_OK;
    *limit = strtod(text, &end);
    if (*end == '\0' && *limit >= 3 && *limit <= 3600) return P2P_OK;
    return p2p_fail(P2P_USAGE, "P2P_RANK_TIMEOUT=%s: 3 to 3600 seconds are possible", text);
}

/* Sets *failed to the number of ranks that have failed, and *first to the first of them. */
static p2p_status count_failures(const ranks *r, p2p_status status, int *failed, int *first) {
    const int32_t mine = status != P2P_OK;
    *failed = *first = 0;
    int32_t *all = calloc((size_t)r->size, sizeof *all);
    if (!all) return no_memory();
    const p2p_status gathered = ranks_gather(r, &mine, sizeof mine, all);
    for (int i = r->size - 1; i >= 0; i--) {
        *failed += all[i];
        if (all[i]) *first = i;
    }
    free(all);
    return gathered;
}

p2p_status ranks_agree(ranks *r, p2p_status status) {
    int failed, first;
    if (!r) return status;
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    const p2p_status counted = count_failures(r, status, &failed, &first);
    if (status != P2P_OK) p2p_failure_give(&failure);
    P2P_TRY(status == P2P_OK ? counted : P2P_OK);
    if (failed > 0 && !r->agreed) r->other = status == P2P_OK;
    r->agreed = r->agreed || failed > 0;
    if (status != P2P_OK || failed == 0) return status;
    return p2p_fail(P2P_FAILED, "rank %d on %s has failed", first, r->hosts[first]);
}

/* Before there are heartbeats: whether none waits for one that has failed. Each returns its own failure. */
static p2p_status agree(const ranks *r, p2p_status status) {
    int failed, first;
    P2P_TRY(count_failures(r, status, &failed, &first));
    if (status != P2P_OK || failed == 0) return status;
    return p2p_fail(P2P_FAILED, "%d of %d ranks can't connect to rank 0 on %s for signs of life", failed,
                    r->size, r->hosts[0]);
}

_Static_assert((int)HEARTBEAT_CHANNELS == (int)MPI_COLLECTIVES, "signs of life have their progress");

static void read_progress(heartbeat_progress *now) {
    for (int i = 0; i < HEARTBEAT_CHANNELS; i++) ranks_mpi_progress(i, &now->begun[i], &now->ended[i]);
}

static p2p_status start_heartbeat(const ranks *r) {
    heartbeat_place place = {.secret = {0}};
    const heartbeat_options options = {.rank = r->rank,
                                       .size = r->size,
                                       .hosts = r->hosts,
                                       .limit = r->limit,
                                       .patience = STARTS * r->limit,
                                       .progress = read_progress};
    const p2p_status listening = r->rank == 0 ? heartbeat_listen(&place) : P2P_OK;
    P2P_TRY(agree(r, listening));
    P2P_TRY(ranks_share(r, &place, sizeof place));
    return agree(r, heartbeat_start(&options, &place));
}

static p2p_status join(ranks *r, const ranks_work *work) {
    P2P_TRY(allocate(r));
    P2P_TRY(name_hosts(r));
    P2P_TRY(compare_builds(r, work));
    P2P_TRY(compare_commands(r, work));
    P2P_TRY(start_heartbeat(r));
    P2P_TRY(find_machines(r));
    if (r->rank > 0) sys_messages_discard(true);
    return P2P_OK;
}

static void free_ranks(ranks *r) {
    for (int i = 0; i < LANES; i++) free(r->lanes[i].memory);
    ranks_adder_destroy(r->adder);
    free(r->leaders);
    free(r->hosts);
    free(r);
}

/* `started` processes, if that is known. */
static p2p_status check_count(const ranks *r, const mpi_table *table, int started) {
    if (r->size == 1 && started > 1) {
        p2p_fail(P2P_USAGE, "%s finds this process alone, and not the %d that were started together",
                 table->implementation, started);
        return p2p_hint(
            P2P_USAGE,
            "the launcher has to be that of this MPI, which P2P_MPI may have chosen; srun needs --mpi=pmix "
            "for Open MPI, --mpi=pmi2 for most builds of MPICH; P2P_MPI=off trains in each process by "
            "itself");
    }
    if (r->size <= MOST_RANKS) return P2P_OK;
    return p2p_fail(P2P_USAGE, "%d ranks were started; at most %d are possible", r->size, (int)MOST_RANKS);
}

static p2p_status find_place(ranks *r, const mpi_table *table, int started) {
    P2P_TRY(ranks_mpi_start(table, r->limit, STARTS * r->limit));
    const mpi_place *place = ranks_mpi_place();
    r->rank = place->rank;
    r->size = place->size;
    r->local = place->local;
    return check_count(r, table, started);
}

static p2p_status open_all(const mpi_table *table, int started, const ranks_work *work, ranks **opened) {
    double limit;
    P2P_TRY(read_limit(&limit)); /* before MPI starts, which then waits for all */
    ranks *r = calloc(1, sizeof *r);
    if (!r) return no_memory();
    r->limit = limit;
    const p2p_status found = find_place(r, table, started);
    if (found != P2P_OK) {
        free(r);
        return found;
    }
    P2P_TRY(join(r, work)); /* what MPI's thread and that of heartbeats use stays */
    *opened = r;
    return P2P_OK;
}

static p2p_status load_and_open(const launch *found, const ranks_work *work, ranks **opened) {
    const mpi_table *table;
    P2P_TRY(launch_load(found, &table));
    return open_all(table, found->size, work, opened);
}

/* Warnings are passed on from the beginning, and printed here if the ranks don't meet. */
static p2p_status end_opening(p2p_status status) {
    if (status == P2P_OK) return P2P_OK;
    p2p_warnings_pass(NULL);
    heartbeat_print_kept();
    return status;
}

/* After a failure here the process ends: what MPI's thread and that of heartbeats use stays. */
p2p_status ranks_open_with(const mpi_table *table, const ranks_work *work, ranks **opened) {
    *opened = NULL;
    p2p_warnings_pass(heartbeat_warn);
    return end_opening(open_all(table, 0, work, opened));
}

p2p_status ranks_open(const ranks_work *work, ranks **opened) {
    launch found;
    *opened = NULL;
    P2P_TRY(launch_find(&found));
    if (found.kind == LAUNCH_ALONE) return P2P_OK;
    p2p_warnings_pass(heartbeat_warn);
    return end_opening(load_and_open(&found, work, opened));
}

/* ---- Ends --------------------------------------------------------------------------------------------- */

p2p_status ranks_close(ranks *r) {
    double together = 0;
    if (!r) return P2P_OK;
    P2P_TRY(ranks_add(r, &together, 1));
    p2p_warnings_pass(NULL);
    heartbeat_end();
    const p2p_status status = ranks_mpi_finish(r->limit);
    heartbeat_join();
    free_ranks(r);
    return status;
}

_Noreturn void ranks_fail(ranks *r, p2p_status status) {
    if (r->other) heartbeat_await_end();
    if (r->rank > 0) heartbeat_fail(status);
    heartbeat_end_all(status);
}

p2p_status ranks_end(ranks *r, p2p_status status) {
    if (r && status != P2P_OK && status != P2P_STOPPED) ranks_fail(r, status);
    const bool reports = ranks_number(r) == 0;
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    P2P_TRY(ranks_close(r));
    return status == P2P_OK || !reports ? P2P_OK : p2p_failure_give(&failure);
}

void ranks_set_command(ranks *r, const char *command) {
    if (r) heartbeat_set_command(command);
}

void ranks_set_kept(ranks *r) {
    if (r) heartbeat_set_kept();
}

bool ranks_agreed(const ranks *r) {
    return r && r->agreed;
}

int ranks_size(const ranks *r) {
    return r ? r->size : 1;
}

int ranks_number(const ranks *r) {
    return r ? r->rank : 0;
}

int ranks_local(const ranks *r) {
    return r ? r->local : 0;
}

const char *ranks_host(const ranks *r, int rank) {
    return r ? r->hosts[rank] : "this machine";
}

bool ranks_is_here(const ranks *r, int rank) {
    return !r || r->leaders[rank] == r->leaders[r->rank];
}

int ranks_here(const ranks *r) {
    int here = 0;
    for (int i = 0; i < ranks_size(r); i++) here += ranks_is_here(r, i);
    return here;
}

const p2p_processes *ranks_processes(const ranks *r) {
    return r ? &r->processes : NULL;
}
