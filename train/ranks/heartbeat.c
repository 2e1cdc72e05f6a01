/* The thread of heartbeats, and the end of all ranks. See heartbeat.h.
 *
 * A message is a byte, followed by the progress in a beat, by numbers and texts in a failure. Time in which
 * this process itself did not run, because all of them were stopped or the machine slept, is not counted as
 * silence of another.
 */
#include "heartbeat_connect.h"
#include "heartbeat_waits.h"
#include "ranks_launch.h"

#include "host/sys.h"
#include "host/text.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const double INTERVAL = 1;      /* seconds between beats */
static const double LONGEST_TURN = 2;  /* seconds of silence that one turn of the thread counts at most */
static const double FAILURE_DELAY = 1; /* seconds before a failure is sent: rank 0 may report its own */
static const double SEND_LIMIT = 5;    /* seconds for messages to be sent or printed */
static const double AT_END = 0.02;     /* seconds between looks when a rank has ended */
static const double PASSING_ON = 0.5;  /* seconds in which a launcher passes on what was printed */

enum { BEAT = 'B', END = 'E', FAILURE = 'F', EXIT = 'X', WARNING = 'W' };
enum { MESSAGE_BYTES = 4096, HINT_BYTES = 8192, COMMAND_BYTES = 4096 };
enum { MOST_WARNINGS = 64 }; /* different ones; more are not printed */

typedef struct {
    uint32_t exit_code, status;
    char message[MESSAGE_BYTES], hint[HINT_BYTES];
} failure_text;

typedef struct {
    char text[MESSAGE_BYTES];
} warning_text;

typedef struct {
    int rank, socket; /* socket -1: the connection has ended */
    double silence;   /* seconds */
    bool ended;       /* it has sent END */
    char kind;        /* of the message that is being received; 0: none */
    size_t received;  /* bytes of its rest */
    failure_text *failure;
    warning_text warning;
    heartbeat_progress progress;
    uint32_t exit_code;
} peer;

/* A warning that was printed in rank 0. */
typedef struct {
    const char *host; /* of the first rank that gave it; borrowed */
    char *text;
} known_warning;

static struct {
    heartbeat_options options;
    sys_listener listener;
    peer *peers; /* rank 0: all others; another rank: rank 0 */
    int count;
    sys_monitor *monitor; /* protects sending, closing, `command`, and warnings */
    sys_thread *thread;
    heartbeat_waits *waits; /* rank 0's thread */
    char command[COMMAND_BYTES];
    known_warning warnings[MOST_WARNINGS];
    int warning_count;
    char *kept[MOST_WARNINGS]; /* warnings before the connection */
    int kept_count;
    bool connected;
    double turn;                /* sys_clock() at the beginning of the thread's turn */
    double pause, resumed;      /* the last long pause of the thread: its seconds, and when it ended */
    atomic_bool has_checkpoint; /* rank 0: there is a checkpoint */
    atomic_bool ending;         /* this process is about to end: nothing else may be printed */
    atomic_bool leaving;        /* the ends of connections are not losses */
} beat = {.listener = {{-1, -1}}};

/* ---- Sending ------------------------------------------------------------------------------------------ */

/* Sends all bytes, unless the connection ends or nothing moves for too long. */
static void send_all(const peer *to, const void *bytes, size_t size) {
    const double end = sys_clock() + SEND_LIMIT;
    for (size_t done = 0; done < size && sys_clock() < end;) {
        const long sent = sys_send(to->socket, (const char *)bytes + done, size - done);
        if (sent < 0) return;
        done += (size_t)sent;
        if (sent == 0) sys_sleep(0.01);
    }
}

static void send_to_all(char kind, const void *rest, size_t size) {
    char message[1 + sizeof(heartbeat_progress)];
    message[0] = kind;
    if (size > 0) memcpy(message + 1, rest, size);
    sys_monitor_enter(beat.monitor);
    for (int i = 0; i < beat.count; i++)
        if (beat.peers[i].socket >= 0) send_all(&beat.peers[i], message, 1 + size);
    sys_monitor_leave(beat.monitor);
}

/* ---- Ends --------------------------------------------------------------------------------------------- */

/* Whether this is the first call: its caller prints, and ends the process. */
static bool begin_end(void) {
    return !atomic_exchange(&beat.ending, true);
}

/* Ends this process and, from rank 0, all others. What was printed is with the launcher before any of them
 * ends, because it may then end all and what it has not passed on. */
static _Noreturn void end_all(int exit_code) {
    const uint32_t number = (uint32_t)exit_code;
    sys_messages_wait(SEND_LIMIT);
    sys_sleep(PASSING_ON);
    if (beat.options.rank == 0) send_to_all(EXIT, &number, sizeof number);
    sys_process_end(exit_code);
}

_Noreturn void heartbeat_end_all(p2p_status status) {
    while (!begin_end()) sys_sleep(SEND_LIMIT); /* the thread is ending this process */
    text_print_line("p2p: ", p2p_message(), stderr);
    if (p2p_message_hint()[0]) text_print_line("hint: ", p2p_message_hint(), stderr);
    end_all(p2p_status_exit_code(status));
}

/* Rank 0 writes checkpoints, and the others may not see them. */
static const char *describe_kept(void) {
    if (atomic_load(&beat.has_checkpoint)) return "continue from the last checkpoint";
    if (beat.options.rank == 0) return "there is no checkpoint yet: begin again at step 1";
    return "continue from the last checkpoint, or at step 1 if there is none";
}

static void hint_command(void) {
    sys_monitor_enter(beat.monitor);
    if (beat.command[0])
        text_line(stderr, "hint: %s, on what is left, under %s for several ranks, with: %s", describe_kept(),
                  launch_command(), beat.command);
    else
        text_line(stderr, "hint: start the command again, on what is left");
    sys_monitor_leave(beat.monitor);
}

/* Seconds for which this process may not have run: it may have been stopped within the turn or before it.
 * Beats that arrived during the pause are read first, so the closed connections may be noticed some turns
 * later. */
static double longest_pause(void) {
    const double now = sys_clock(), since = now - beat.turn;
    const bool recent = now - beat.resumed < beat.options.limit;
    return recent && beat.pause > since ? beat.pause : since;
}

/* A process that was stopped for almost the limit is the one that the others have lost. */
static void print_loss(const peer *lost, const char *reason) {
    const heartbeat_options *o = &beat.options;
    const double pause = longest_pause();
    if (sys_is_terminal(stderr)) fputc('\n', stderr);
    if (pause > o->limit - INTERVAL)
        text_line(
            stderr,
            "p2p: rank %d on %s was stopped for %.0f s, and taken for lost by the others, which have ended",
            o->rank, o->hosts[o->rank], pause);
    else
        text_line(stderr, "p2p: rank %d on %s is lost: %s; all other ranks end", lost->rank,
                  o->hosts[lost->rank], reason);
    hint_command();
}

static void lose(const peer *lost, const char *reason) {
    if (!begin_end()) return;
    sys_messages_discard(false);
    print_loss(lost, reason);
    end_all(p2p_status_exit_code(P2P_DEVICE_LOST));
}

/* Prints another rank's failure, and ends all. */
static void report_failure(const peer *of) {
    failure_text *text = of->failure;
    text->message[MESSAGE_BYTES - 1] = text->hint[HINT_BYTES - 1] = '\0';
    if (!begin_end()) return;
    if (sys_is_terminal(stderr)) fputc('\n', stderr);
    text_line(stderr, "p2p: rank %d on %s: %s", of->rank, beat.options.hosts[of->rank], text->message);
    if (text->hint[0]) text_line(stderr, "hint: %s", text->hint);
    end_all((int)(text->exit_code & 0xff));
}

void heartbeat_await_end(void) {
    sys_sleep(FAILURE_DELAY + SEND_LIMIT + PASSING_ON);
}

_Noreturn void heartbeat_fail(p2p_status status) {
    failure_text *text = calloc(1, sizeof *text);
    sys_sleep(FAILURE_DELAY);
    if (text) {
        const char kind = FAILURE;
        text->exit_code = (uint32_t)p2p_status_exit_code(status);
        text->status = (uint32_t)status;
        snprintf(text->message, MESSAGE_BYTES, "%s", p2p_message());
        snprintf(text->hint, HINT_BYTES, "%s", p2p_message_hint());
        sys_monitor_enter(beat.monitor);
        send_all(&beat.peers[0], &kind, 1);
        send_all(&beat.peers[0], text, sizeof *text);
        sys_monitor_leave(beat.monitor);
    }
    sys_sleep(SEND_LIMIT); /* the thread ends this process when rank 0 has printed the message */
    sys_process_end(p2p_status_exit_code(status));
}

/* ---- Warnings ----------------------------------------------------------------------------------------- */

/* Whether the machine has not given this warning before. */
static bool is_new(const char *host, const char *text) {
    sys_monitor_enter(beat.monitor);
    bool known = beat.warning_count == MOST_WARNINGS;
    for (int i = 0; i < beat.warning_count && !known; i++)
        known = strcmp(beat.warnings[i].host, host) == 0 && strcmp(beat.warnings[i].text, text) == 0;
    char *copy = known ? NULL : strdup(text);
    if (copy) beat.warnings[beat.warning_count++] = (known_warning){host, copy};
    sys_monitor_leave(beat.monitor);
    return !known;
}

static void send_warning(const char *text) {
    const char kind = WARNING;
    warning_text *warning = calloc(1, sizeof *warning);
    if (!warning) return;
    snprintf(warning->text, sizeof warning->text, "%s", text);
    sys_monitor_enter(beat.monitor);
    if (beat.peers[0].socket >= 0) {
        send_all(&beat.peers[0], &kind, 1);
        send_all(&beat.peers[0], warning, sizeof *warning);
    }
    sys_monitor_leave(beat.monitor);
    free(warning);
}

static void keep(const char *text) {
    char *copy = beat.kept_count < MOST_WARNINGS ? strdup(text) : NULL;
    if (copy) beat.kept[beat.kept_count++] = copy;
}

static void print_own(const char *text) {
    text_print_line("warning: ", text, stderr);
}

void heartbeat_warn(const char *text) {
    const heartbeat_options *o = &beat.options;
    if (!beat.connected)
        keep(text);
    else if (o->rank > 0)
        send_warning(text);
    else if (is_new(o->hosts[0], text))
        print_own(text);
}

static void release_kept(void (*to)(const char *text)) {
    for (int i = 0; i < beat.kept_count; i++) {
        to(beat.kept[i]);
        free(beat.kept[i]);
    }
    beat.kept_count = 0;
}

void heartbeat_print_kept(void) {
    release_kept(print_own);
}

static void print_warning(peer *of) {
    const char *host = beat.options.hosts[of->rank];
    of->warning.text[MESSAGE_BYTES - 1] = '\0';
    if (is_new(host, of->warning.text))
        text_line(stderr, "warning: rank %d on %s: %s", of->rank, host, of->warning.text);
}

/* ---- Receiving ---------------------------------------------------------------------------------------- */

/* Where the rest of the message goes, and its size; 0: it has none. */
static size_t rest_of(peer *from, void **rest) {
    *rest = NULL;
    if (from->kind == EXIT) {
        *rest = &from->exit_code;
        return sizeof from->exit_code;
    }
    if (from->kind == BEAT) {
        *rest = &from->progress;
        return sizeof from->progress;
    }
    if (from->kind == WARNING) {
        *rest = &from->warning;
        return sizeof from->warning;
    }
    if (from->kind != FAILURE) return 0;
    if (!from->failure) from->failure = calloc(1, sizeof *from->failure);
    *rest = from->failure;
    return from->failure ? sizeof *from->failure : 0;
}

static void take_message(peer *from) {
    const char kind = from->kind;
    from->kind = 0;
    if (kind == BEAT && beat.waits) heartbeat_waits_note(beat.waits, from->rank, &from->progress);
    if (kind == END) from->ended = true;
    if (kind == WARNING) print_warning(from);
    if (kind == FAILURE && from->failure) report_failure(from);
    if (kind == EXIT && begin_end()) sys_process_end((int)(from->exit_code & 0xff));
}

/* Receives what there is. Whether the connection has ended. */
static bool receive(peer *from) {
    for (;;) {
        void *rest;
        const size_t size = from->kind ? rest_of(from, &rest) : 0;
        const bool whole = from->kind && from->received == size;
        if (whole) {
            take_message(from);
            continue;
        }
        const long got = from->kind
                             ? sys_receive(from->socket, (char *)rest + from->received, size - from->received)
                             : sys_receive(from->socket, &from->kind, 1);
        if (got < 0) return true;
        if (got == 0) return false;
        from->silence = 0;
        from->received = from->kind && size > 0 ? from->received + (size_t)got : 0;
    }
}

static void look_at(peer *from, double turn) {
    char reason[96];
    if (from->socket < 0) return;
    const bool over = receive(from), leaving = from->ended || atomic_load(&beat.leaving);
    if (over) {
        sys_monitor_enter(beat.monitor);
        sys_socket_close(from->socket);
        from->socket = -1;
        sys_monitor_leave(beat.monitor);
        if (!leaving) lose(from, "its process has ended or its machine is out of reach");
        return;
    }
    from->silence += turn;
    snprintf(reason, sizeof reason, "no sign of life for %.0f s", beat.options.limit);
    if (from->silence > beat.options.limit && !leaving) lose(from, reason);
}

/* ---- The thread --------------------------------------------------------------------------------------- */

static bool all_over(void) {
    bool over = atomic_load(&beat.leaving);
    for (int i = 0; i < beat.count; i++) over = over && (beat.peers[i].socket < 0 || beat.peers[i].ended);
    return over;
}

static void wait_for_peers(int *sockets, bool *writes, bool *ready) {
    bool ends = false;
    for (int i = 0; i < beat.count; i++) {
        sockets[i] = beat.peers[i].socket;
        writes[i] = false;
        ends = ends || beat.peers[i].ended;
    }
    sys_sockets_wait(sockets, writes, ready, beat.count, ends ? AT_END : INTERVAL / 2);
}

/* `passed`: seconds since the beat before. */
static void send_beat(double passed) {
    heartbeat_progress own;
    beat.options.progress(&own);
    send_to_all(BEAT, &own, sizeof own);
    if (!beat.waits || atomic_load(&beat.leaving)) return;
    heartbeat_waits_note(beat.waits, 0, &own);
    heartbeat_waits_pass(beat.waits, passed < LONGEST_TURN ? passed : LONGEST_TURN);
}

static void watch(void *memory) {
    int *sockets = memory;
    bool *writes = (bool *)(sockets + beat.count), *ready = writes + beat.count;
    beat.turn = sys_clock();
    double sent = beat.turn - INTERVAL, left = 0;
    while (!all_over() && left < SEND_LIMIT) {
        wait_for_peers(sockets, writes, ready);
        const double now = sys_clock(), passed = now - beat.turn;
        const double turn = passed < LONGEST_TURN ? passed : LONGEST_TURN;
        if (passed > beat.options.limit - INTERVAL) {
            beat.pause = passed;
            beat.resumed = now;
        }
        beat.turn = now;
        if (atomic_load(&beat.leaving)) left += turn;
        for (int i = 0; i < beat.count; i++) look_at(&beat.peers[i], turn);
        if (now - sent < INTERVAL) continue;
        send_beat(now - sent);
        sent = now;
    }
    free(memory);
    heartbeat_waits_destroy(beat.waits);
    beat.waits = NULL;
}

static p2p_status start_thread(void) {
    void *memory = calloc((size_t)beat.count, sizeof(int) + 2 * sizeof(bool));
    if (!memory) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the connections of ranks");
    return sys_thread_start(&beat.thread, watch, memory);
}

/* ---- Start and end ------------------------------------------------------------------------------------ */

p2p_status heartbeat_listen(heartbeat_place *place) {
    memset(place, 0, sizeof *place);
    P2P_TRY(sys_random(place->secret, sizeof place->secret));
    return sys_listen(&beat.listener, place->addresses);
}

static p2p_status connect_all(const heartbeat_place *place) {
    const heartbeat_options *o = &beat.options;
    if (o->rank > 0) {
        beat.peers[0].rank = 0;
        return heartbeat_connect(o, place, &beat.peers[0].socket);
    }
    int *sockets = malloc((size_t)o->size * sizeof *sockets);
    if (!sockets) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the connections of ranks");
    const p2p_status status = heartbeat_accept(o, place, &beat.listener, sockets);
    for (int i = 1; i < o->size; i++) {
        beat.peers[i - 1].rank = i;
        beat.peers[i - 1].socket = sockets[i];
    }
    free(sockets);
    return status;
}

p2p_status heartbeat_start(const heartbeat_options *options, const heartbeat_place *place) {
    beat.options = *options;
    beat.count = options->rank == 0 ? options->size - 1 : 1;
    beat.peers = calloc((size_t)beat.count, sizeof *beat.peers);
    if (!beat.peers) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the connections of ranks");
    P2P_TRY(sys_monitor_create(&beat.monitor));
    if (options->rank == 0) P2P_TRY(heartbeat_waits_create(&beat.options, &beat.waits));
    P2P_TRY(connect_all(place));
    beat.connected = true;
    release_kept(heartbeat_warn);
    return start_thread();
}

void heartbeat_set_command(const char *command) {
    sys_monitor_enter(beat.monitor);
    snprintf(beat.command, sizeof beat.command, "%s",
             command && strlen(command) < sizeof beat.command ? command : "");
    sys_monitor_leave(beat.monitor);
}

void heartbeat_set_kept(void) {
    atomic_store(&beat.has_checkpoint, true);
}

void heartbeat_end(void) {
    atomic_store(&beat.leaving, true);
    send_to_all(END, NULL, 0);
}

void heartbeat_join(void) {
    sys_thread_join(beat.thread);
    beat.thread = NULL;
}
