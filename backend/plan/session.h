/* Sessions. A session owns the networks' state, device memory, plans and their operations. Private to plan/.
 *
 * session_networks.c lays out parameters and derived filters, session_choices.c chooses the algorithms of
 * convolutions, session_memory.c allocates buffers, session_state.c copies parameters between host and
 * devices, and session.c creates and destroys sessions and plans.
 */
#ifndef P2P_CORE_SESSION_H
#define P2P_CORE_SESSION_H

#include "plan.h"

typedef struct {
    p2p_network *network;
    int param_count;
    p2p_tensor *tensors; /* per parameter, as stored */
    size_t *offsets;     /* per parameter: in the space of every part, or of running statistics */
    bool needed[4];      /* per p2p_state_part: a plan reads or writes it */
    size_t bytes[PLAN_NETWORK_SPACES];
    bool stale; /* the host has written parameters since derived filters were renewed */
} plan_network;

/* A filter in a second layout. */
typedef struct {
    int network, param;
    p2p_tensor tensor;
    size_t offset; /* in the network's space of derived filters */
} plan_derived;

typedef struct {
    p2p_device *device;
    plan_space *spaces;
    p2p_operation **refresh; /* per derived filter: the copy that renews it before a run */
} plan_replica;

/* A convolution and its algorithm. */
typedef struct {
    int replica; /* the first with an equal device (name and driver) */
    p2p_op op;   /* a p2p_op_plain_convolution */
    p2p_choice choice;
} session_choice;

struct p2p_session {
    p2p_session_options options;
    plan_replica *replicas;
    int replica_count;
    p2p_storage activation, filter, vector; /* equal on all replicas */
    int channel_alignment;
    plan_cut cut;
    p2p_comm *comm;
    plan_network *networks;
    int network_count, network_capacity;
    plan_derived *derived;
    int derived_count, derived_capacity;
    p2p_plan **plans;
    int plan_count, plan_capacity;
    session_choice *choices;
    int choice_count, choice_capacity;
    char *imposed; /* copy of options.tuning.imposed; owned */
    size_t space_bytes[PLAN_SESSION_SPACES];
    bool broken; /* planning or allocation failed; the session can only be destroyed */
    bool allocated;
    bool touched; /* gradients or moments may be nonzero; buffers are created with zeros */
};

/* Registers a network and lays out its parameters unless it is registered. session_networks.c */
p2p_status session_network(p2p_session *session, p2p_network *network, int *index);
/* Sets *id to the number, from 1, of a parameter's derived filter of this storage; registers it if necessary.
 * session_networks.c */
p2p_status session_derived(p2p_session *session, int network, int param, const p2p_tensor *tensor, int *id);
/* Sets *index to the session's index of a network. P2P_INVALID if no plan uses it. session_networks.c */
p2p_status session_find_network(const p2p_session *session, const p2p_network *network, int *index);
/* Describes the copy that renews derived filter number derived + 1, with the addresses of its two operands.
 * session_networks.c */
void session_derived_copy(const p2p_session *session, int derived, p2p_op *op, plan_address at[2]);
/* Checks options.tuning and copies the imposed choices. session_choices.c */
p2p_status session_check_tuning(p2p_session *session);
/* Chooses the algorithms of an imported part's convolutions. session_choices.c */
p2p_status session_choose(plan_part *part);
/* The choice for a convolution; NULL if none was made. session_choices.c */
const session_choice *session_find_choice(const p2p_session *session, int replica, const p2p_op *op);

/* ---- Memory: session_memory.c ------------------------------------------------------------------------- */

/* The buffer and offset of an address; {0} if at.space is -1. */
p2p_place session_place(const p2p_session *session, int replica, plan_address at);
/* Allocates the buffers of all spaces of a replica. The message of P2P_OUT_OF_MEMORY lists the needs by
 * purpose. */
p2p_status session_memory_allocate(p2p_session *session, int replica);
void session_memory_release(p2p_session *session, int replica);
size_t session_space_bytes(const p2p_session *session, int space);
/* Creates an operation of a replica from the addresses of its operands and of its scratch memory. */
p2p_status session_operation(p2p_session *session, int replica, const p2p_op *op, const plan_address *at,
                             plan_address scratch, p2p_operation **operation);

#endif
