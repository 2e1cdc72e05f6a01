/* The beginning of connections between ranks. See heartbeat_connect.h. */
#include "heartbeat_connect.h"

#include "host/sys.h"

#include <stdlib.h>
#include <string.h>

static const double PATIENCE = 20;  /* seconds for all connections */
static const double STAGGER = 0.25; /* seconds between attempts at different addresses */
static const double PAUSE = 0.01;   /* seconds between looks */
static const char ANSWER = 'K';
enum { STRANGERS = 64 }; /* connections that are not known yet, beside one per rank */

typedef struct {
    unsigned char secret[HEARTBEAT_SECRET];
    uint32_t rank;
} greeting;

/* ---- Rank 0 ------------------------------------------------------------------------------------------- */

typedef struct {
    int socket; /* -1: none */
    size_t received;
    greeting said;
} visitor;

typedef struct {
    const heartbeat_options *options;
    const heartbeat_place *place;
    const sys_listener *listener;
    visitor *visitors;
    int capacity;
    int *sockets, connected;
} reception;

static void admit(reception *r) {
    int socket;
    while ((socket = sys_accept(r->listener)) >= 0) {
        int at = 0;
        while (at < r->capacity && r->visitors[at].socket >= 0) at++;
        if (at == r->capacity) {
            sys_socket_close(socket);
            return;
        }
        r->visitors[at] = (visitor){.socket = socket};
    }
}

static bool is_expected(const reception *r, const greeting *said) {
    return memcmp(said->secret, r->place->secret, HEARTBEAT_SECRET) == 0 && said->rank > 0 &&
           said->rank < (uint32_t)r->options->size && r->sockets[said->rank] < 0;
}

/* Receives more of a greeting, and decides when it is complete. */
static void listen_to(reception *r, visitor *v) {
    const long got = sys_receive(v->socket, (char *)&v->said + v->received, sizeof v->said - v->received);
    if (got > 0) v->received += (size_t)got;
    if (got >= 0 && v->received < sizeof v->said) return;
    if (got > 0 && is_expected(r, &v->said) && sys_send(v->socket, &ANSWER, 1) == 1) {
        r->sockets[v->said.rank] = v->socket;
        r->connected++;
    } else {
        sys_socket_close(v->socket);
    }
    v->socket = -1;
}

static p2p_status name_missing(const reception *r) {
    int missing = 1;
    while (r->sockets[missing] >= 0) missing++;
    p2p_fail(P2P_FAILED, "rank %d on %s has not connected to rank 0 on %s within %g s", missing,
             r->options->hosts[missing], r->options->hosts[0], PATIENCE);
    return p2p_hint(P2P_FAILED, "a firewall between the machines has to let connections through over TCP");
}

p2p_status heartbeat_accept(const heartbeat_options *options, const heartbeat_place *place,
                            sys_listener *listener, int *sockets) {
    reception r = {.options = options,
                   .place = place,
                   .listener = listener,
                   .sockets = sockets,
                   .capacity = options->size + STRANGERS};
    const double end = sys_clock() + PATIENCE;
    r.visitors = malloc((size_t)r.capacity * sizeof *r.visitors);
    if (!r.visitors) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the connections of ranks");
    for (int i = 0; i < r.capacity; i++) r.visitors[i].socket = -1;
    for (int i = 0; i < options->size; i++) sockets[i] = -1;
    while (r.connected < options->size - 1 && sys_clock() < end) {
        admit(&r);
        for (int i = 0; i < r.capacity; i++)
            if (r.visitors[i].socket >= 0) listen_to(&r, &r.visitors[i]);
        if (r.connected < options->size - 1) sys_sleep(PAUSE);
    }
    for (int i = 0; i < r.capacity; i++) sys_socket_close(r.visitors[i].socket);
    free(r.visitors);
    sys_listener_close(listener);
    return r.connected == options->size - 1 ? P2P_OK : name_missing(&r);
}

/* ---- Other ranks -------------------------------------------------------------------------------------- */

typedef struct {
    int socket; /* -1: none */
    bool greeted;
} attempt;

/* Advances an attempt; whether rank 0 has answered. */
static bool pursue(attempt *a, const greeting *said) {
    char answer = '\0';
    long done = 0;
    if (a->socket < 0) return false;
    if (!a->greeted)
        done = sys_send(a->socket, said, sizeof *said);
    else
        done = sys_receive(a->socket, &answer, 1);
    if (done == 1 && answer == ANSWER) return true;
    a->greeted = a->greeted || done == (long)sizeof *said;
    if (done >= 0) return false;
    sys_socket_close(a->socket);
    a->socket = -1;
    return false;
}

static p2p_status no_answer(const heartbeat_options *options, const heartbeat_place *place) {
    char texts[4][SYS_ADDRESS_TEXT] = {"", "", "", ""};
    for (int i = 0; i < 4; i++)
        if (place->addresses[i].size > 0) sys_address_text(&place->addresses[i], texts[i]);
    p2p_fail(P2P_FAILED, "rank 0 on %s does not answer within %g s at %s%s%s%s%s%s%s", options->hosts[0],
             PATIENCE, texts[0], texts[1][0] ? ", " : "", texts[1], texts[2][0] ? ", " : "", texts[2],
             texts[3][0] ? ", " : "", texts[3]);
    return p2p_hint(P2P_FAILED, "a firewall between the machines has to let connections through over TCP");
}

/* Attempts begin one after the other, and go on beside each other. */
static int find_answer(attempt attempts[SYS_ADDRESSES], const heartbeat_place *place, const greeting *said) {
    const double begin = sys_clock();
    for (int begun = 0; sys_clock() < begin + PATIENCE; sys_sleep(PAUSE)) {
        const bool due = sys_clock() >= begin + begun * STAGGER;
        if (due && begun < SYS_ADDRESSES && place->addresses[begun].size > 0) {
            attempts[begun].socket = sys_connect(&place->addresses[begun]);
            begun++;
        }
        for (int i = 0; i < begun; i++)
            if (pursue(&attempts[i], said)) return i;
    }
    return -1;
}

p2p_status heartbeat_connect(const heartbeat_options *options, const heartbeat_place *place, int *socket) {
    attempt attempts[SYS_ADDRESSES];
    greeting said = {.rank = (uint32_t)options->rank};
    memcpy(said.secret, place->secret, HEARTBEAT_SECRET);
    for (int i = 0; i < SYS_ADDRESSES; i++) attempts[i] = (attempt){.socket = -1};
    const int found = find_answer(attempts, place, &said);
    for (int i = 0; i < SYS_ADDRESSES; i++)
        if (i != found) sys_socket_close(attempts[i].socket);
    if (found < 0) return no_answer(options, place);
    *socket = attempts[found].socket;
    return P2P_OK;
}
