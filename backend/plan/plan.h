/* Private to the planner: plans and the list of steps that a plan becomes.
 *
 * A plan has one part per replica. A part starts as a copy of the graph with every value described as the
 * device stores it (plan_import.c), is rewritten by fusion (fuse.c), takes what the device prefers or lacks
 * into account (plan_settle.c), gets addresses (memplan.c) and becomes a list of steps (plan_list.c), which
 * plan_run.c carries out. Sessions are in session.h. Nothing here is seen by models or backends.
 */
#ifndef P2P_CORE_PLAN_H
#define P2P_CORE_PLAN_H

#include "device/device.h"
#include "graph/ir.h"
#include "plan_space.h"

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

/* ---- From graph to steps ------------------------------------------------------------------------------ */

/* Copy a graph into an empty part and describe its values as the device stores them. plan.c */
p2p_status plan_import(plan_part *part, p2p_graph *graph);
/* Rewrite the part's nodes by what the device accepts. fuse.c */
p2p_status plan_fuse(plan_part *part);
/* The last negotiation: derived filters, and a separate addition where a device can't accumulate.
 * plan_settle.c */
p2p_status plan_settle(plan_part *part);
/* Make the list of steps anew, with addresses, from the nodes and what the session knows. plan_list.c */
p2p_status plan_list(plan_part *part);
/* Addresses of local values, inputs and the step block; sets the part's bytes. memplan.c */
p2p_status plan_memory(plan_part *part);

/* ---- Parts: plan_part.c ------------------------------------------------------------------------------- */

void plan_part_free(plan_part *part);
/* The node's descriptor with its tensors. */
void plan_describe(const plan_part *part, const plan_node *node, p2p_op *op);
/* Whether the device carries the node out as it stands; a refusal's reason goes to the log. Other failures
 * are returned. */
p2p_status plan_accepts(const plan_part *part, const plan_node *node, bool *accepted);
p2p_status plan_value_add(plan_part *part, const plan_value *value, int *id);
/* The value that owns a value's memory: itself, or its parent. */
int plan_root(const plan_part *part, int value);
/* Where a value lies, after plan_list; a range lies where its parent does. plan_list.c */
plan_address plan_value_address(const plan_part *part, int value);
bool plan_is_arena(const plan_part *part, const plan_node *node);
bool plan_is_collective(const plan_node *node);
p2p_status plan_node_insert(plan_part *part, int position, const plan_node *node);
/* Lay out `count` ports in a run's host memory, and return the bytes that they take. */
size_t plan_lay_out_ports(const plan_part *part, plan_port *ports, int count, bool inputs);

/* The part of p2p_plan_print that follows the operations: counts, fusions, memory. plan_print.c */
p2p_status plan_print_summary(const p2p_plan *plan, FILE *stream);

/* plan_run.c: host memory of runs and recordings, made once by p2p_session_allocate. */
p2p_status plan_prepare_runs(p2p_plan *plan);
void plan_release_runs(p2p_plan *plan);

/* plan_check.c: the check mode. Before step `s`, memory that it is the first to touch becomes NaN; after it,
 * every output is read back and a NaN or an infinity is a failure that names the operation. */
p2p_status plan_check_before(const plan_part *part, int s);
p2p_status plan_check_after(const plan_part *part, int s);

#endif
