/* Sessions. A session owns the networks' state, device memory, plans and their operations. Private to plan/.
 *
 * session_comm.c opens the communicator, session_networks.c lays out parameters and derived filters,
 * session_choices.c chooses the algorithms of convolutions, session_memory.c allocates buffers,
 * session_prepare.c creates operations, all replicas' at once, session_state.c copies parameters between host
 * and devices, session_processes.c agrees with other processes, and session.c creates and destroys sessions
 * and plans.
 */
#ifndef P2P_CORE_SESSION_H
#define P2P_CORE_SESSION_H

#include "plan.h"

typedef struct {
    p2p_network *network;
    int param_count;
    p2p_tensor *tensors; /* per parameter, as stored */
    size_t *offsets; /* per parameter: in the space of values, or of running statistics; see session_param */
    /* Vectors are first. Filters begin here, in bytes. If their gradients have a type of their own, those of
     * vectors begin at vector_gradients in the space of gradients. */
    size_t filters, vector_gradients;
    size_t *buckets; /* where the buckets of gradients begin, in descending order */
    int bucket_count;
    p2p_type gradient; /* of filters' gradients; those of vectors have the session's type of vectors */
    bool has_gradient; /* a plan has written gradients, so their type is decided */
    bool needed[4];    /* per p2p_state_part: a plan reads or writes it */
    bool mirrored;     /* the space `mirror` holds the parameters in type `mirror`, each at its own offset */
    p2p_type mirror;
    size_t bytes[PLAN_NETWORK_SPACES];
    bool stale; /* the host has written parameters since derived filters were renewed */
    unsigned char
        *running; /* running statistics of the replicas of all processes; NULL if this one has all */
} plan_network;

/* A filter in a second storage: in the network's mirror if only the type differs and is the mirror's, else in
 * the space of derived filters. */
typedef struct {
    int network, param;
    p2p_tensor tensor;
    plan_address at;
    bool mirrored;
} plan_derived;

/* A copy that renews derived filters of a network: one of them, or a stretch of the mirror. */
typedef struct {
    int network;
    bool mirror;
    p2p_op op;
    plan_address at[2];
} session_refresh;

typedef struct {
    p2p_device *device;
    plan_space *spaces;
    p2p_operation **refresh; /* per refresh of the session: renews derived filters before a run */
} plan_replica;

/* Host memory of p2p_session_host_alloc. */
typedef struct {
    p2p_device *device;
    p2p_host_memory memory;
} session_host_piece;

/* A convolution and its algorithm. */
typedef struct {
    int replica; /* the first with an equal device (name and driver) */
    p2p_op op;   /* a p2p_op_plain_convolution */
    p2p_choice choice;
} session_choice;

struct p2p_session {
    p2p_session_options options;
    plan_replica *replicas;
    int replica_count; /* of this process */
    int world, rank0;  /* replicas of all processes, and the number of this one's first */
    p2p_storage activation, filter, vector; /* equal on all replicas */
    p2p_type gradient;                      /* of filters' gradients that are written once */
    int channel_alignment;
    plan_cut cut;
    p2p_device **devices; /* those of `replicas`, as communicators take them */
    p2p_comm *comm;       /* NULL until a plan with collectives has memory, or the state is broadcast */
    plan_network *networks;
    int network_count, network_capacity;
    plan_derived *derived;
    int derived_count, derived_capacity;
    session_refresh *refreshes;
    int refresh_count, refresh_capacity;
    p2p_plan **plans;
    int plan_count, plan_capacity;
    session_choice *choices;
    int choice_count, choice_capacity;
    char *imposed; /* copy of options.tuning.imposed; owned */
    session_host_piece *host_pieces;
    int host_piece_count, host_piece_capacity;
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
/* Rebuilds the list of copies that renew derived filters. session_networks.c */
p2p_status session_list_refreshes(p2p_session *session);

/* A range of a network's arenas that lies in one chunk of every space and has one type in each. `offset` and
 * `bytes` are those of the parameters. */
typedef struct {
    size_t offset, bytes;
    int64_t elements;
} plan_stretch;

/* Sets *stretch to the range after the given one that ends at `limit` at most, an offset of parameters; false
 * if there is none. A range of no bytes starts the search. session_networks.c */
bool session_next_stretch(const p2p_session *session, int network, size_t limit, plan_stretch *stretch);
/* The stretch as a flat tensor of a state part, and its address. session_networks.c */
p2p_tensor session_stretch_part(const p2p_session *session, int network, const plan_stretch *stretch,
                                p2p_state_part part, plan_address *at);
/* The same for the mirror of the network's filters. */
p2p_tensor session_stretch_mirror(const p2p_session *session, int network, const plan_stretch *stretch,
                                  plan_address *at);
/* A parameter's tensor and address in a state part. session_networks.c */
p2p_tensor session_param(const p2p_session *session, int network, int param, p2p_state_part part,
                         plan_address *at);
/* Decides the storage of the gradients that a graph writes, before its values are described. P2P_INVALID if
 * an earlier plan decided otherwise. session_networks.c */
p2p_status session_gradients(p2p_session *session, const p2p_graph *graph);
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
/* Frees what p2p_session_host_alloc has given. */
void session_host_release(p2p_session *session);
size_t session_space_bytes(const p2p_session *session, int space);
/* Creates an operation of a replica from the addresses of its operands and of its scratch memory. */
p2p_status session_operation(p2p_session *session, int replica, const p2p_op *op, const plan_address *at,
                             plan_address scratch, p2p_operation **operation);

/* Waits for all replicas' commands; the first failure is returned after the last wait. */
p2p_status session_finish_all(const p2p_session *session);
/* The same before memory is freed, also by a session without memory of its own: failures are ignored, and the
 * message is kept. A lost device has no command in flight. */
void session_finish_devices(const p2p_session *session);

/* ---- The communicator: session_comm.c ----------------------------------------------------------------- */

/* Sets *direct to whether the backend's communicator performs the collective, or will if it is not open yet.
 * P2P_UNSUPPORTED if it can't be performed at all. */
p2p_status session_foresee(const p2p_session *session, const p2p_op *op, bool *direct);
/* Whether this process would store gradients of filters in the type of the parameters: a communicator sums
 * those only directly. */
p2p_status session_widens_gradients(const p2p_session *session, bool *widens);
/* Opens the communicator unless it is open. All processes call it together. Sessions that only plan never
 * do: opening may take seconds. */
p2p_status session_open_comm(p2p_session *session);
/* Opens it and prepares the collectives of all plans, if there are any. */
p2p_status session_prepare_collectives(p2p_session *session);

/* ---- Other processes: session_processes.c ------------------------------------------------------------- */

/* Whether there are replicas in other processes. */
bool session_is_apart(const p2p_session *session);
/* Sets world and rank0, and agrees on the cut of arenas and the type of gradients. P2P_UNSUPPORTED if devices
 * store tensors differently, P2P_USAGE if processes have different numbers of them. */
p2p_status session_join_processes(p2p_session *session);
/* Called with `chosen` false before the algorithms of a plan's first replica are chosen, and with true
 * afterwards: process 0 chooses, and equal devices of the others have its choices, so that a checkpoint has
 * those of all. */
p2p_status session_share_choices(p2p_session *session, bool chosen);
/* P2P_UNSUPPORTED if a process has planned other collectives. */
p2p_status session_compare_collectives(const p2p_plan *plan);
/* The copy of running statistics: allocates it; reads or writes `bytes` at an offset of the network's space,
 * for replica `number` of all. session_keep_running has no effect if this process has all replicas. */
p2p_status session_allocate_running(p2p_session *session);
void session_copy_running(const p2p_session *session, int network, int number, size_t offset, void *raw,
                          size_t bytes);
void session_keep_running(const p2p_session *session, int network, int number, size_t offset, const void *raw,
                          size_t bytes);
/* Gives every replica the statistics that process 0 has kept for it. */
p2p_status session_share_running(p2p_session *session);

/* ---- Replicas: session_prepare.c ---------------------------------------------------------------------- */

/* Calls work(context, r) for every replica r: at the same time, by the session's `parallel`, if the replicas'
 * devices are different objects. If several fail, the failure of the first replica is returned, with message
 * and hint; replicas after one that has failed may be left out. */
typedef p2p_status (*session_work)(void *context, int replica);
p2p_status session_each_replica(const p2p_session *session, session_work work, void *context);

#endif
