/* Private to the planner: sessions, plans and the list that a plan becomes.
 *
 * A plan has one part per replica. A part starts as a copy of the graph with every value described as the
 * device stores it (plan.c), is rewritten by fusion (fuse.c), gets addresses (memplan.c) and becomes a list
 * of steps, which plan_run.c carries out. session.c owns networks' state, device memory and operations. An
 * address is a position in a space; a space is cut into chunks, each a buffer of its own, and no tensor
 * straddles a cut. Nothing here is seen by models or backends.
 */
#ifndef P2P_CORE_PLAN_H
#define P2P_CORE_PLAN_H

#include "device.h"
#include "ir.h"

/* ---- Memory ------------------------------------------------------------------------------------------- */

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
    p2p_buffer **chunks; /* after p2p_session_allocate; each p2p_session.chunk_bytes long, the last shorter */
    int chunk_count;
} plan_space;

/* The first place at or after `from` where a tensor of `bytes` is aligned and straddles no cut. */
size_t plan_fit(const p2p_session *session, size_t from, size_t bytes);
/* P2P_OUT_OF_MEMORY when no buffer of the devices can hold `bytes`. */
p2p_status plan_check_fits(const p2p_session *session, size_t bytes, const char *what);
size_t plan_round_up(size_t bytes, size_t alignment);

/* ---- Plans -------------------------------------------------------------------------------------------- */

typedef struct {
    ir_role role;
    ir_origin origin;
    p2p_tensor tensor; /* as the device stores it; absent for arenas, whose extents depend on the cuts */
    int parent;        /* IR_RANGE: the value whose channels it is */
    int network;       /* IR_STATE, IR_ARENA: index in the session */
    int param;
    p2p_state_part part;
    int derived; /* not 0: the session's derived filter of this index, from 1 */
    bool output; /* the host reads it after the run */
    plan_address at;
    /* Positions in the list of steps between which a local value's memory is its own; first > last where it
     * has none. */
    int first, last;
} plan_value;

typedef struct {
    p2p_op op; /* t[] stays empty: plan_describe fills a copy */
    int value[P2P_MAX_OPERANDS];
    int layer;
    bool removed; /* by fusion */
} plan_node;

/* A node with everything settled; several for a node over an arena in chunks. */
typedef struct {
    p2p_op op;
    int value[P2P_MAX_OPERANDS]; /* of the node; 0 for what comes with the step alone (derived filters) */
    plan_address at[P2P_MAX_OPERANDS];
    plan_address scratch; /* in the arena, where no value lives during the step; of query.scratch_bytes */
    p2p_query query;      /* of a collective: only a name */
    int layer;
    bool collective;
    p2p_operation *operation; /* after p2p_session_allocate */
} plan_step;

/* X(name, text): what fusion did, counted. */
#define PLAN_FUSION_LIST(X)                                                                                  \
    X(bias, "biases into convolutions")                                                                      \
    X(act_conv, "activations into convolutions")                                                             \
    X(act_norm, "activations into normalisations")                                                           \
    X(act_norm_bwd, "activation gradients into normalisations")                                              \
    X(act_reread, "relus that read another activation's result")                                             \
    X(dropout, "dropouts into normalisations")                                                               \
    X(dropout_bwd, "dropout gradients into normalisations")                                                  \
    X(merge, "statistics merged with normalisations")                                                        \
    X(merge_bwd, "gradient sums merged with normalisations")                                                 \
    X(elide, "copies into concatenations elided")                                                            \
    X(elide_bwd, "copies out of concatenations' gradients elided")                                           \
    X(derived, "filters read in a derived layout")

typedef enum {
#define X(name, text) PLAN_FUSED_##name,
    PLAN_FUSION_LIST(X)
#undef X
        PLAN_FUSION_COUNT
} plan_fusion;

/* One thing that the host gives or reads. Offsets are into a run's host memory. */
typedef struct {
    char name[64];
    int value;
    p2p_type type;                  /* of the host's elements */
    bool loss;                      /* outputs: a scalar, summed over replicas */
    size_t host_bytes, host_offset; /* inputs: plain, as the host fills it */
    size_t raw_bytes, raw_offset;   /* as the device stores it; equal to the host's where nothing converts */
} plan_port;

/* Host memory of one run of one replica. */
typedef struct {
    unsigned char *inputs;  /* plain and raw forms of all inputs */
    unsigned char *outputs; /* raw */
    p2p_step_block *step;
    p2p_ticket ticket; /* done when the device has let go of all this */
} plan_slot;

enum { PLAN_SLOTS = 2 };

/* One replica's part of a plan. */
typedef struct {
    p2p_session *session;
    p2p_device *device;
    int replica;
    int64_t local_batch, first_sample;
    plan_value *values; /* [0] is unused */
    int value_count, value_capacity;
    plan_node *nodes;
    int node_count, node_capacity;
    plan_port *inputs, *outputs;
    int input_count, output_count;
    size_t input_bytes, output_bytes; /* of a run's host memory */
    int step_value;                   /* 0: nothing reads the step block */
    int fused[PLAN_FUSION_COUNT];

    plan_step *steps;
    int step_count, step_capacity;
    int segment_count;            /* one more than there are collectives */
    size_t arena_bytes, io_bytes; /* what this part needs */
    size_t scratch_bytes;         /* the most that an operation needs of the arena while it runs */
    size_t unshared_bytes;        /* the arena if every value had memory of its own, and scratch one */
    size_t live_bytes; /* the most that is live at one step, scratch included: no placement needs less */

    plan_slot slots[PLAN_SLOTS];
    unsigned char *results;  /* raw outputs of the run last waited for */
    int *segment_ends;       /* per segment: the position of the collective that ends it, or step_count */
    p2p_recorded **recorded; /* per segment; NULL where steps run one by one */
} plan_part;

struct p2p_plan {
    p2p_session *session;
    char name[64];
    int64_t global_batch;
    double beta1, beta2; /* of the graph's Adam updates; 0 without */
    plan_part *parts;    /* one per replica */
    p2p_place *places;   /* one per replica, for a collective */
    p2p_ticket *tickets;
    uint64_t runs, retired; /* begun; waited for */
    bool has_results;
};

/* ---- Sessions ----------------------------------------------------------------------------------------- */

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
    size_t alignment, chunk_bytes;
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

/* Register a network (once) and lay out its parameters. session.c */
p2p_status session_network(p2p_session *session, p2p_network *network, int *index);
/* The derived filter of a parameter in a layout, made known where it isn't yet; from 1. session.c */
p2p_status session_derived(p2p_session *session, int network, int param, const p2p_tensor *tensor, int *id);
/* The session's number of a network; P2P_INVALID where no plan uses it. session.c */
p2p_status session_find_network(const p2p_session *session, const p2p_network *network, int *index);
/* Check options.tuning and take what it imposes. session_choices.c */
p2p_status session_check_tuning(p2p_session *session);
/* Choose how the convolutions of an imported part are computed. session_choices.c */
p2p_status session_choose(plan_part *part);
/* The choice made for a convolution; NULL where none was asked for. session_choices.c */
const session_choice *session_find_choice(const p2p_session *session, int replica, const p2p_op *op);
p2p_place session_place(const p2p_session *session, int replica, plan_address at);
int session_space_count(const p2p_session *session);
size_t session_space_bytes(const p2p_session *session, int space);
/* An operation of a replica with its operands' addresses, and that of its scratch memory. */
p2p_status session_operation(p2p_session *session, int replica, const p2p_op *op, const plan_address *at,
                             plan_address scratch, p2p_operation **operation);
/* The copy that makes a derived filter, with the addresses of its two operands. */
void session_derived_copy(const p2p_session *session, int derived, p2p_op *op, plan_address at[2]);

/* ---- From graph to steps ------------------------------------------------------------------------------ */

/* Copy a graph into an empty part and describe its values as the device stores them. plan.c */
p2p_status plan_import(plan_part *part, p2p_graph *graph);
/* Rewrite the part's nodes by what the device accepts. fuse.c */
p2p_status plan_fuse(plan_part *part);
/* The last negotiation: derived filters, and a separate addition where a device can't accumulate. plan.c */
p2p_status plan_settle(plan_part *part);
/* Make the list of steps anew, with addresses, from the nodes and what the session knows. plan.c */
p2p_status plan_list(plan_part *part);
/* Addresses of local values, inputs and the step block; sets the part's bytes. memplan.c */
p2p_status plan_memory(plan_part *part);
void plan_part_free(plan_part *part);

/* The node's descriptor with its tensors. */
void plan_describe(const plan_part *part, const plan_node *node, p2p_op *op);
/* Whether the device carries the node out as it stands; a refusal's reason goes to the log. Other failures
 * are returned. */
p2p_status plan_accepts(const plan_part *part, const plan_node *node, bool *accepted);
p2p_status plan_value_add(plan_part *part, const plan_value *value, int *id);
/* The value that owns a value's memory: itself, or its parent. */
int plan_root(const plan_part *part, int value);
/* Where a value lies, after plan_list; a range lies where its parent does. */
plan_address plan_value_address(const plan_part *part, int value);
bool plan_is_arena(const plan_part *part, const plan_node *node);

/* plan_print.c */
p2p_status plan_print_steps(const p2p_plan *plan, FILE *stream);
p2p_status plan_print_summary(const p2p_plan *plan, FILE *stream);

/* plan_run.c: host memory of runs and recordings, made once by p2p_session_allocate. */
p2p_status plan_prepare_runs(p2p_plan *plan);
void plan_release_runs(p2p_plan *plan);

/* plan_check.c: the check mode. Before step `s`, memory that it is the first to touch becomes NaN; after it,
 * every output is read back and a NaN or an infinity is a failure that names the operation. */
p2p_status plan_check_before(const plan_part *part, int s);
p2p_status plan_check_after(const plan_part *part, int s);

#endif
