/* Private to the planner: a session, which owns networks' state, device memory, plans and their operations.
 *
 * session_networks.c lays out parameters and derived filters, session_choices.c asks devices how convolutions
 * are computed, session_memory.c has the buffers, session_state.c the host's access to parameters, session.c
 * brings all of it and the plans together.
 */
#ifndef P2P_CORE_SESSION_H
#define P2P_CORE_SESSION_H

#include "plan.h"

typedef struct {
    p2p_network *network;
    int param_count;
    p2p_tensor *tensors; /* per parameter, as stored */
    size_t *offsets;     /* into every part's space, or into the running statistics' */
    bool needed[4];      /* per p2p_state_part: some plan reads or writes it */
    size_t bytes[PLAN_NETWORK_SPACES];
    bool stale; /* derived filters don't follow from the parameters: the host has written them */
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
    p2p_operation **refresh; /* per derived filter: its copy, for use outside plans */
} plan_replica;

/* A convolution and the way that it is computed. */
typedef struct {
    int replica; /* the first with such a device */
    p2p_op op;   /* a p2p_op_plain_convolution */
    p2p_choice choice;
} session_choice;

struct p2p_session {
    p2p_session_options options;
    plan_replica *replicas;
    int replica_count;
    p2p_storage activation, filter, vector; /* the same for all replicas */
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
    char *imposed; /* options.tuning.imposed, ours */
    size_t space_bytes[PLAN_SESSION_SPACES];
    bool broken; /* planning failed half way */
    bool allocated;
    bool touched; /* gradients or moments may differ from the zeros that buffers are created with */
};

/* Register a network (once) and lay out its parameters. session_networks.c */
p2p_status session_network(p2p_session *session, p2p_network *network, int *index);
/* The derived filter of a parameter in a layout, made known where it isn't yet; from 1. session_networks.c */
p2p_status session_derived(p2p_session *session, int network, int param, const p2p_tensor *tensor, int *id);
/* The session's number of a network; P2P_INVALID where no plan uses it. session_networks.c */
p2p_status session_find_network(const p2p_session *session, const p2p_network *network, int *index);
/* The copy that makes a derived filter, with the addresses of its two operands. */
void session_derived_copy(const p2p_session *session, int derived, p2p_op *op, plan_address at[2]);
/* Check options.tuning and take what it imposes. session_choices.c */
p2p_status session_check_tuning(p2p_session *session);
/* Choose how the convolutions of an imported part are computed. session_choices.c */
p2p_status session_choose(plan_part *part);
/* The choice made for a convolution; NULL where none was asked for. session_choices.c */
const session_choice *session_find_choice(const p2p_session *session, int replica, const p2p_op *op);
/* ---- Memory: session_memory.c ------------------------------------------------------------------------- */

/* The buffer and offset of an address; an absent one gives {0}. */
p2p_place session_place(const p2p_session *session, int replica, plan_address at);
/* Buffers of all spaces of a replica. P2P_OUT_OF_MEMORY names what was needed for what. */
p2p_status session_memory_allocate(p2p_session *session, int replica);
void session_memory_release(p2p_session *session, int replica);
size_t session_space_bytes(const p2p_session *session, int space);
/* An operation of a replica with its operands' addresses, and that of its scratch memory. */
p2p_status session_operation(p2p_session *session, int replica, const p2p_op *op, const plan_address *at,
                             plan_address scratch, p2p_operation **operation);

#endif
