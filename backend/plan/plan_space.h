/* Spaces: where things lie on a replica's device. A space is memory by purpose, cut into chunks, each a
 * buffer of its own; an address is an offset in a space, and no tensor straddles a cut. Private to the
 * planner; what lies where is decided elsewhere (memplan.c, session_networks.c).
 */
#ifndef P2P_PLAN_SPACE_H
#define P2P_PLAN_SPACE_H

#include "device/device.h"

/* X(name, what it holds, for messages). First those of a session, then those that every network has. */
#define PLAN_SPACE_LIST(X, Y)                                                                                \
    X(arena, "activations and scratch")                                                                      \
    X(io, "inputs and the step block")                                                                       \
    Y(value, "parameters")                                                                                   \
    Y(gradient, "gradients")                                                                                 \
    Y(moment1, "first moments")                                                                              \
    Y(moment2, "second moments")                                                                             \
    Y(running, "running statistics")                                                                         \
    Y(derived, "derived filters")

typedef enum {
#define X(name, text) PLAN_SPACE_##name,
#define Y(name, text)
    PLAN_SPACE_LIST(X, Y)
#undef X
#undef Y
        PLAN_SESSION_SPACES
} plan_session_space;

/* The first four are in the order of p2p_state_part. */
typedef enum {
#define X(name, text)
#define Y(name, text) PLAN_SPACE_##name,
    PLAN_SPACE_LIST(X, Y)
#undef X
#undef Y
        PLAN_NETWORK_SPACES
} plan_network_space;

/* Spaces are numbered: the session's, then PLAN_NETWORK_SPACES per network. */
int plan_space_of(int network, plan_network_space which);
const char *plan_space_text(int space);

typedef struct {
    int space; /* -1: nowhere */
    size_t offset;
} plan_address;

typedef struct {
    p2p_buffer **chunks; /* after p2p_session_allocate; each plan_cut.chunk_bytes long, the last shorter */
    int chunk_count;
} plan_space;

/* How spaces are cut, the same on all replicas. */
typedef struct {
    size_t alignment;   /* of every offset; a power of two */
    size_t chunk_bytes; /* a multiple of the alignment */
} plan_cut;

/* The first place at or after `from` where a tensor of `bytes` is aligned and straddles no cut. */
size_t plan_fit(const plan_cut *cut, size_t from, size_t bytes);
/* P2P_OUT_OF_MEMORY when no buffer of the devices can hold `bytes`. */
p2p_status plan_check_fits(const plan_cut *cut, size_t bytes, const char *what);
size_t plan_round_up(size_t bytes, size_t alignment);
/* P2P_OUT_OF_MEMORY: "no host memory for WHAT". */
p2p_status plan_no_memory(const char *what);

#endif
