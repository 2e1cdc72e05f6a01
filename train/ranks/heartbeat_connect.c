/* The beginning of connections between ranks. See heartbeat_connect.h. */
#include "heartbeat_connect.h"

#include "host/sys.h"

#include <stdlib.h>
#include <string.h>

static const double CONNECT_TIMEOUT = 20; /* seconds for all connections */
static const double STAGGER = 0.25;       /* seconds between attempts at different addresses */
static const double PAUSE = 0.01;         /* seconds between looks */
static const char ANSWER = 'K';
enum { MORE_CONNECTIONS = 64 }; /* that are not known yet, beside one per rank */

/* The first message of a connection. */
typedef struct {
    unsigned char secret[HEARTBEAT_SECRET];
    uint32_t rank;
} hello;

/* ---- Rank 0 ------------------------------------------------------------------------------------------- */

typedef struct {
    int socket; /* -1: none */
    size_t received;
    hello hello;
} connection;

typedef struct {
    const heartbeat_options *options;
    const heartbeat_place *place;
    const sys_listener *listener;
    connection *pending;
    int capacity;
    int *sockets, connected;
} acceptor;

static void accept_all(acceptor *a) {
    int socket;
    while ((socket = sys_accept(a->listener)) >= 0) {
        int at = 0;
        while (at < a->capacity && a->pending[at].socket >= 0) at++;
        if (at == a->capacity) {
            sys_socket_close(socket);
            return;
        }
        a->pending[at] = (connection){.socket = socket};
    }
}

static bool is_expected(const acceptor *a, const hello *sent) {
    return memcmp(sent->secret, a->place->secret, HEARTBEAT_SECRET) == 0 && sent->rank > 0 &&
           sent->rank < (uint32_t)a->options->size && a->sockets[sent->rank] < 0;
}

/* Receives more of the first message, and checks it when it is complete. */
static void receive_hello(acceptor *a, connection *c) {
    const long got = sys_receive(c->socket, (char *)&c->hello + c->received, sizeof c->hello - c->received);
    if (got > 0) c->received += (size_t)got;
    if (got >= 0 && c->received < sizeof c->hello) return;
    if (got > 0 && is_expected(a, &c->hello) && sys_send(c->socket, &ANSWER, 1) == 1) {
        a->sockets[c->hello.rank] = c->socket;
        a->connected++;
    } else {
        sys_socket_close(c->socket);
    }
    c->socket = -1;
}

static p2p_status name_missing(const acceptor *a) {
    int missing = 1;
    while (a->sockets[missing] >= 0) missing++;
    p2p_fail(P2P_FAILED, "rank %d on %s has not connected to rank 0 on %s within %g s", missing,
             a->options->hosts[missing], a->options->hosts[0], CONNECT_TIMEOUT);
    return p2p_hint(P2P_FAILED, "a firewall between the machines has to let connections through over TCP");
}

p2p_status heartbeat_accept(const heartbeat_options *options, const heartbeat_place *place,
                            sys_listener *listener, int *sockets) {
    acceptor a = {.options = options,
                  .place = place,
                  .listener = listener,
                  .sockets = sockets,
                  .capacity = options->size + MORE_CONNECTIONS};
    const double end = sys_clock() + CONNECT_TIMEOUT;
    a.pending = malloc((size_t)a.capacity * sizeof *a.pending);
    if (!a.pending) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the connections of ranks");
    for (int i = 0; i < a.capacity; i++) a.pending[i].socket = -1;
    for (int i = 0; i < options->size; i++) sockets[i] = -1;
    while (a.connected < options->size - 1 && sys_clock() < end) {
        accept_all(&a);
        for (int i = 0; i < a.capacity; i++)
            if (a.pending[i].socket >= 0) receive_hello(&a, &a.pending[i]);
        if (a.connected < options->size - 1) sys_sleep(PAUSE);
    }
    for (int i = 0; i < a.capacity; i++) sys_socket_close(a.pending[i].socket);
    free(a.pending);
    sys_listener_close(listener);
    return a.connected == options->size - 1 ? P2P_OK : name_missing(&a);
}

/* ---- Other ranks -------------------------------------------------------------------------------------- */

typedef struct {
    int socket; /* -1: none */
    bool sent;  /* the first message, as a whole */
} attempt;

/* Advances an attempt; whether rank 0 has answered. */
static bool pursue(attempt *a, const hello *sent) {
    char answer = '\0';
    long done = 0;
    if (a->socket < 0) return false;
    if (!a->sent)
        done = sys_send(a->socket, sent, sizeof *sent);
    else
        done = sys_receive(a->socket, &answer, 1);
    if (done == 1 && answer == ANSWER) return true;
    a->sent = a->sent || done == (long)sizeof *sent;
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
             CONNECT_TIMEOUT, texts[0], texts[1][0] ? ", " : "", texts[1], texts[2][0] ? ", " : "", texts[2],
             texts[3][0] ? ", " : "", texts[3]);
    return p2p_hint(P2P_FAILED, "a firewall between the machines has to let connections through over TCP");
}

/* Attempts begin one after the other, and run beside each other. */
static int find_answer(attempt attempts[SYS_ADDRESSES], const heartbeat_place *place, const hello *sent) {
    const double begin = sys_clock();
    for (int begun = 0; sys_clock() < begin + CONNECT_TIMEOUT; sys_sleep(PAUSE)) {
        const bool due = sys_clock() >= begin + begun * STAGGER;
        if (due && begun < SYS_ADDRESSES && place->addresses[begun].size > 0) {
            attempts[begun].socket = sys_connect(&place->addresses[begun]);
            begun++;
        }
        for (int i = 0; i < begun; i++)
            if (pursue(&attempts[i], sent)) return i;
    }
    return -1;
}

p2p_status heartbeat_connect(const heartbeat_options *options, const heartbeat_place *place, int *socket) {
    attempt attempts[SYS_ADDRESSES];
    hello own = {.rank = (uint32_t)options->rank};
    memcpy(own.secret, place->secret, HEARTBEAT_SECRET);
    for (int i = 0; i < SYS_ADDRESSES; i++) attempts[i] = (attempt){.socket = -1};
    const int found = find_answer(attempts, place, &own);
    for (int i = 0; i < SYS_ADDRESSES; i++)
        if (i != found) sys_socket_close(attempts[i].socket);
    if (found < 0) return no_answer(options, place);
    *socket = attempts[found].socket;
    return P2P_OK;
}
