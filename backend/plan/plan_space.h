/* Spaces and addresses in a replica's device memory. A space is memory for one purpose, divided into chunks,
 * each a buffer. An address is an offset in a space. No tensor straddles a chunk boundary. Addresses are
 * assigned in memplan.c and session_networks.c. Private to plan/.
 */
#ifndef P2P_PLAN_SPACE_H
#define P2P_PLAN_SPACE_H

#include "device/device.h"

/* X(name, contents): spaces of a session. Y(name, contents): spaces of each network. For messages. */
#define PLAN_SPACE_LIST(X, Y)                                                                                \
    X(arena, "activations and scratch")                                                                      \
    X(io, "inputs and the step block")                                                                       \
    Y(value, "parameters")                                                                                   \
    Y(gradient, "gradients")                                                                                 \
    Y(moment1, "first moments")                                                                              \
    Y(moment2, "second moments")                                                                             \
    Y(running, "running statistics")                                                                         \
    Y(mirror, "parameters in a second type")                                                                 \
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

/* Numbers of spaces: first the session's, then PLAN_NETWORK_SPACES per network. */
int plan_space_of(int network, plan_network_space which);
const char *plan_space_text(int space);

typedef struct {
    int space; /* -1: no address */
    size_t offset;
} plan_address;

typedef struct {
    p2p_buffer **chunks; /* after p2p_session_allocate; plan_cut.chunk_bytes each, the last may be shorter */
    int chunk_count;
} plan_space;

/* The division of spaces into chunks, equal on all replicas. */
typedef struct {
    size_t alignment;   /* of every offset; a power of two */
    size_t chunk_bytes; /* a multiple of the alignment */
} plan_cut;

/* The lowest aligned offset at or after `from` at which `bytes` do not straddle a chunk boundary. */
size_t plan_fit(const plan_cut *cut, size_t from, size_t bytes);
/* P2P_OUT_OF_MEMORY if `bytes` exceed the largest buffer of the devices. `what` is for the message. */
p2p_status plan_check_fits(const plan_cut *cut, size_t bytes, const char *what);
size_t plan_round_up(size_t bytes, size_t alignment);
/* Fails with P2P_OUT_OF_MEMORY: "no host memory for WHAT". */
static inline p2p_status plan_no_memory(const char *what) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for %s", what);
}

#endif
