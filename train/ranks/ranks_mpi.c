/* The thread that calls MPI. See ranks_mpi.h. It starts what is posted and tests what is under way, with
 * pauses that grow while nothing happens: the processors belong to those that compute. MPI moves bytes only
 * while it is called, so pauses stay short as long as a large transfer is under way.
 */
#include "ranks_mpi.h"

#include "host/sys.h"
#include "host/text.h"

#include <stdatomic.h>

enum { REASON_BYTES = 512, LARGE = 1 << 16, MOST_SHORT = 2000 };
static const double AT_START = 2e-3;     /* seconds between looks whether MPI has started or ended */
static const double PAUSE = 250e-6;      /* seconds between tests, at most */
static const double SHORT_PAUSE = 20e-6; /* MOST_SHORT times, during transfers of LARGE bytes or more */

typedef enum { IDLE, POSTED, STARTED, COMPLETE } transfer_state;

typedef struct {
    transfer_state state;
    enum { BROADCAST, GATHER, EXCHANGE, COLLECT, SEND, RECEIVE } kind;
    const void *from;
    void *to;
    int size, other;
    bool large;
    const int *sizes_from, *offsets_from, *sizes_to, *offsets_to;
    int code; /* of MPI, when complete; 0: it succeeded */
} transfer;

/* A process has one MPI. */
static struct {
    const mpi_table *table;
    sys_thread *thread;
    sys_monitor *monitor; /* protects all that follows */
    bool started, ending, finished;
    int code; /* of starting or ending */
    mpi_place place;
    int failure;        /* the first code of a transfer that failed: MPI is not called any more */
    uint64_t ended_all; /* transfers */
    transfer channels[MPI_CHANNELS];
    atomic_ullong begun[MPI_CHANNELS], ended[MPI_CHANNELS]; /* transfers */
} mpi;

/* ---- The thread --------------------------------------------------------------------------------------- */

static int start_transfer(int channel, const transfer *t) {
    const mpi_table *table = mpi.table;
    switch (t->kind) {
    case BROADCAST:
        return table->broadcast(channel, t->to, t->size);
    case GATHER:
        return table->gather(channel, t->from, t->size, t->to);
    case EXCHANGE:
        return table->exchange(channel, t->from, t->sizes_from, t->offsets_from, t->to, t->sizes_to,
                               t->offsets_to);
    case SEND:
        return table->send(channel, t->other, t->from, t->size);
    case RECEIVE:
        return table->receive(channel, t->other, t->to, t->size);
    default:
        return table->collect(channel, t->from, t->size, t->to, t->sizes_to, t->offsets_to);
    }
}

/* Whether the transfer has changed its state. What is under way when another one fails keeps its memory as it
 * is: only calls of MPI change it. */
static bool advance(int channel, transfer *t) {
    int complete = 0;
    if (t->state != POSTED && t->state != STARTED) return false;
    const bool posted = t->state == POSTED;
    t->code = mpi.failure;
    if (t->code == 0) t->code = posted ? start_transfer(channel, t) : mpi.table->test(channel, &complete);
    if (mpi.failure == 0) mpi.failure = t->code;
    t->state = t->code != 0 || complete ? COMPLETE : STARTED;
    if (t->state == COMPLETE) mpi.ended_all++;
    return posted || t->state == COMPLETE;
}

static bool is_busy(void) {
    bool busy = false;
    for (int i = 0; i < MPI_CHANNELS; i++)
        busy = busy || mpi.channels[i].state == POSTED || mpi.channels[i].state == STARTED;
    return busy;
}

static bool advance_all(void) {
    bool changed = false;
    for (int i = 0; i < MPI_CHANNELS; i++) changed |= advance(i, &mpi.channels[i]);
    if (changed) sys_monitor_wake_all(mpi.monitor);
    return changed;
}

static double longest_pause(int tests) {
    for (int i = 0; i < MPI_CHANNELS && tests < MOST_SHORT; i++)
        if (mpi.channels[i].state == STARTED && mpi.channels[i].large) return SHORT_PAUSE;
    return PAUSE;
}

static void pause_after(int tests, double longest) {
    const double seconds = 2e-6 * tests;
    sys_sleep(seconds < longest ? seconds : longest);
}

/* Under the lock. */
static void serve_transfers(void) {
    for (int tests = 0; !mpi.ending || is_busy();) {
        if (!is_busy()) {
            sys_monitor_wait(mpi.monitor);
            tests = 0;
            continue;
        }
        tests = advance_all() ? 0 : tests + 1;
        if (tests == 0) continue;
        const double longest = longest_pause(tests);
        sys_monitor_leave(mpi.monitor);
        pause_after(tests, longest);
        sys_monitor_enter(mpi.monitor);
    }
}

static void serve(void *unused) {
    (void)unused;
    const int code = mpi.table->start(&mpi.place);
    sys_monitor_enter(mpi.monitor);
    mpi.code = code;
    mpi.started = true;
    sys_monitor_wake_all(mpi.monitor);
    if (code == 0) serve_transfers();
    sys_monitor_leave(mpi.monitor);
    if (code != 0) return;
    const int ended = mpi.table->finish();
    sys_monitor_enter(mpi.monitor);
    mpi.code = ended;
    mpi.finished = true;
    sys_monitor_leave(mpi.monitor);
}

/* ---- Other threads ------------------------------------------------------------------------------------ */

static p2p_status check(int code, const char *what) {
    char reason[REASON_BYTES];
    if (code == 0) return P2P_OK;
    mpi.table->describe(code, reason, sizeof reason);
    return p2p_fail(P2P_FAILED, "%s: %s failed: %s", mpi.table->implementation, what, reason);
}

/* Whether MPI has started, or finished, within the seconds. */
static bool await(const bool *happened, double seconds) {
    const double end = sys_clock() + seconds;
    for (;; sys_sleep(AT_START)) {
        sys_monitor_enter(mpi.monitor);
        const bool has = *happened;
        sys_monitor_leave(mpi.monitor);
        if (has || sys_clock() >= end) return has;
    }
}

/* MPI's start can't be interrupted, and does not report which process is missing. */
static p2p_status await_others(double patience, double limit) {
    if (await(&mpi.started, patience)) return P2P_OK;
    text_line(stderr, "%s has waited %.0f s for other processes of the launcher to start p2p",
              mpi.table->implementation, patience);
    if (await(&mpi.started, limit - patience)) return P2P_OK;
    p2p_fail(P2P_FAILED, "%s: not all processes of the launcher have started p2p within %.0f s",
             mpi.table->implementation, limit);
    return p2p_hint(P2P_FAILED, "one may have ended before, or run another program, or not reach this "
                                "machine; P2P_RANK_TIMEOUT lengthens this time too");
}

p2p_status ranks_mpi_start(const mpi_table *table, double patience, double limit) {
    mpi.table = table;
    P2P_TRY(sys_monitor_create(&mpi.monitor));
    P2P_TRY(sys_thread_start(&mpi.thread, serve, NULL));
    P2P_TRY(await_others(patience, limit));
    return check(mpi.code, "the start");
}

const mpi_place *ranks_mpi_place(void) {
    return &mpi.place;
}

void ranks_mpi_progress(int channel, uint64_t *begun, uint64_t *ended) {
    *ended = atomic_load(&mpi.ended[channel]);
    *begun = atomic_load(&mpi.begun[channel]);
}

p2p_status ranks_mpi_finish(double limit) {
    sys_monitor_enter(mpi.monitor);
    mpi.ending = true;
    sys_monitor_wake_all(mpi.monitor);
    sys_monitor_leave(mpi.monitor);
    if (!await(&mpi.finished, limit)) {
        text_line(stderr, "warning: %s has not ended within %.0f s; p2p ends without it",
                  mpi.table->implementation, limit);
        return P2P_OK;
    }
    sys_thread_join(mpi.thread);
    sys_monitor_destroy(mpi.monitor);
    return check(mpi.code, "the end");
}

/* ---- Transfers of other threads ----------------------------------------------------------------------- */

static void begin(int channel, transfer wanted) {
    atomic_fetch_add(&mpi.begun[channel], 1);
    sys_monitor_enter(mpi.monitor);
    mpi.channels[channel] = wanted;
    mpi.channels[channel].state = POSTED;
    sys_monitor_wake_all(mpi.monitor);
    sys_monitor_leave(mpi.monitor);
}

static const char *name_of(const transfer *t) {
    static const char *const names[] = {"a broadcast",       "a gather", "an exchange",
                                        "a gather of parts", "sending",  "receiving"};
    return names[t->kind];
}

p2p_status ranks_mpi_end(int channel) {
    transfer *t = &mpi.channels[channel];
    sys_monitor_enter(mpi.monitor);
    while (t->state != COMPLETE) sys_monitor_wait(mpi.monitor);
    t->state = IDLE;
    const int code = t->code;
    sys_monitor_leave(mpi.monitor);
    atomic_fetch_add(&mpi.ended[channel], 1);
    return check(code, name_of(t));
}

bool ranks_mpi_has_ended(int channel) {
    sys_monitor_enter(mpi.monitor);
    const bool ended = mpi.channels[channel].state == COMPLETE;
    sys_monitor_leave(mpi.monitor);
    return ended;
}

uint64_t ranks_mpi_ended(void) {
    sys_monitor_enter(mpi.monitor);
    const uint64_t ended = mpi.ended_all;
    sys_monitor_leave(mpi.monitor);
    return ended;
}

void ranks_mpi_await(uint64_t seen) {
    sys_monitor_enter(mpi.monitor);
    while (mpi.ended_all == seen) sys_monitor_wait(mpi.monitor);
    sys_monitor_leave(mpi.monitor);
}

p2p_status ranks_mpi_broadcast(int channel, void *bytes, int size) {
    begin(channel, (transfer){.kind = BROADCAST, .to = bytes, .size = size, .large = size >= LARGE});
    return ranks_mpi_end(channel);
}

p2p_status ranks_mpi_gather(int channel, const void *mine, int size, void *all) {
    begin(channel, (transfer){.kind = GATHER, .from = mine, .to = all, .size = size, .large = size >= LARGE});
    return ranks_mpi_end(channel);
}

void ranks_mpi_exchange(int channel, const void *from, const int *sizes_from, const int *offsets_from,
                        void *to, const int *sizes_to, const int *offsets_to) {
    begin(channel, (transfer){.kind = EXCHANGE,
                              .from = from,
                              .to = to,
                              .large = true,
                              .sizes_from = sizes_from,
                              .offsets_from = offsets_from,
                              .sizes_to = sizes_to,
                              .offsets_to = offsets_to});
}

void ranks_mpi_collect(int channel, const void *mine, int size, void *all, const int *sizes,
                       const int *offsets) {
    begin(channel, (transfer){.kind = COLLECT,
                              .from = mine,
                              .to = all,
                              .size = size,
                              .large = true,
                              .sizes_to = sizes,
                              .offsets_to = offsets});
}

void ranks_mpi_send(int channel, int other, const void *bytes, int size) {
    begin(channel, (transfer){.kind = SEND, .other = other, .from = bytes, .size = size, .large = true});
}

void ranks_mpi_receive(int channel, int other, void *bytes, int size) {
    begin(channel, (transfer){.kind = RECEIVE, .other = other, .to = bytes, .size = size, .large = true});
}
