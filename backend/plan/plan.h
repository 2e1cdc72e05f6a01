/* Plans: the parts of a plan and their lists of steps. Private to plan/.
 *
 * A plan has a part per replica. plan_import.c copies the graph into a part and describes every value as the
 * device stores it. fuse.c rewrites the nodes, plan_settle.c adapts them to the device's preferences and
 * limits, plan_list.c makes the list of steps, with addresses from memplan.c, and plan_run.c runs it.
 * Sessions are in session.h.
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
    int parent;        /* IR_RANGE: the value of which it is a channel range */
    int network;       /* IR_STATE, IR_ARENA: index in the session */
    int param;
    p2p_state_part part;
    int derived; /* not 0: number of the session's derived filter, from 1 */
    bool output; /* read by the host after the run */
    plan_address at;
    /* Lifetime of a local value: the first and last position in the list of steps at which it needs its
     * memory. first > last: it needs none. */
    int first, last;
} plan_value;

typedef struct {
    p2p_op op; /* without tensors: plan_describe fills a copy */
    int value[P2P_MAX_OPERANDS];
    int layer;
    bool removed; /* by fusion */
} plan_node;

/* A node with all decisions made. A node over an arena becomes a step per chunk. */
typedef struct {
    p2p_op op;
    int value[P2P_MAX_OPERANDS]; /* of the node; 0 in copies that renew derived filters */
    plan_address at[P2P_MAX_OPERANDS];
    plan_address scratch; /* query.scratch_bytes in the arena, disjoint from all values live at the step */
    p2p_query query;      /* of a collective: only a name */
    int layer;
    bool collective;
    p2p_operation *operation; /* created by p2p_session_allocate */
} plan_step;

/* A run of steps without a collective, which is recorded as one. The device's commands are ordered after the
 * first `needed` collectives of the run before it begins; `collective` is started after it. */
typedef struct {
    int begin, end; /* steps */
    int needed;
    int collective; /* the step `end` is one; -1: no */
} plan_segment;

/* X(name, text): counters of applied fusions. */
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

/* An input or output of the host. Offsets are into a run's host memory. */
typedef struct {
    char name[64];
    int value;
    p2p_type type;                  /* of the host's elements */
    bool loss;                      /* outputs: a scalar, summed over replicas and parts of the batch */
    int64_t first;                  /* inputs: the first image of the part of the local batch */
    size_t host_bytes, host_offset; /* inputs: plain, as written by the host */
    size_t raw_bytes, raw_offset;   /* as the device stores it; the host's if no conversion is needed */
} plan_port;

/* A step block, of a part of the local batch. */
typedef struct {
    int value;
    int64_t first, images;
    size_t offset; /* into plan_slot.step */
} plan_step_block;

/* Host memory of one run of one replica. */
typedef struct {
    p2p_host_memory inputs;  /* plain and raw forms of all inputs */
    p2p_host_memory outputs; /* raw */
    p2p_host_memory step;    /* a p2p_step_block for each of the part's */
    p2p_ticket ticket;       /* complete when the device no longer accesses this memory */
} plan_slot;

enum {
    PLAN_SLOTS = 2,
    PLAN_ZEROS = 1 << 20 /* bytes of plan_part.zeros */
};

typedef struct fuse_index fuse_index; /* fuse.h */

/* One replica's part of a plan. */
typedef struct {
    p2p_session *session;
    const p2p_plan *plan;
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
    plan_step_block *step_blocks;     /* those that a node reads */
    int step_block_count, step_block_capacity;
    size_t step_bytes; /* of all step blocks of a run */
    int fused[PLAN_FUSION_COUNT];
    fuse_index *index; /* only during plan_fuse */

    plan_step *steps;
    int step_count, step_capacity;
    plan_segment *segments;
    int segment_count, segment_capacity;
    int collective_count;
    int next_segment,
        ordered; /* of the run under way: the next segment; collectives before the next command */
    size_t arena_bytes, io_bytes; /* needed by this part */
    size_t scratch_bytes;         /* largest scratch memory of an operation, within the arena */
    size_t unshared_bytes;        /* arena size without sharing, with one scratch memory for all operations */
    size_t live_bytes; /* most bytes live at one step, scratch included: a lower bound of arena_bytes */

    plan_slot slots[PLAN_SLOTS];
    const void **given;      /* per input: where the next run takes it from; NULL: the slot's memory */
    p2p_host_memory results; /* raw outputs of the run last waited for */
    p2p_host_memory zeros;   /* what a part without images contributes to collectives, a piece at a time */
    p2p_recorded **recorded; /* per segment; NULL: steps run one by one */
} plan_part;

struct p2p_plan {
    p2p_session *session;
    char name[64];
    int64_t global_batch;
    double beta1, beta2;    /* of the graph's Adam updates; 0 without updates */
    plan_part *parts;       /* per replica */
    p2p_place *places;      /* per replica: operands of a collective */
    p2p_ticket *after;      /* per replica: the ticket after which a collective begins */
    p2p_ticket *done;       /* per collective and replica of the run under way */
    int started;            /* collectives of the run under way */
    uint64_t runs, retired; /* number of runs begun, and waited for or overtaken */
    bool has_results;
};

/* ---- From graph to steps ------------------------------------------------------------------------------ */

/* Copies a graph into an empty part and describes its values as the device stores them. plan_import.c */
p2p_status plan_import(plan_part *part, p2p_graph *graph);
/* Applies the fusion rules that the device accepts. fuse.c */
p2p_status plan_fuse(plan_part *part);
/* Adapts nodes to the device: derived filters, separate additions for outputs to which the device cannot
 * accumulate, plain copies of padded outputs. P2P_UNSUPPORTED if the device accepts a node in no form.
 * plan_settle.c */
p2p_status plan_settle(plan_part *part);
/* Rebuilds the list of steps, with addresses, from the nodes and the session's state. plan_list.c */
p2p_status plan_list(plan_part *part);
/* Divides the steps into segments. plan_segments.c */
p2p_status plan_find_segments(plan_part *part);
/* Assigns addresses to local values, scratch memory, inputs and the step block, and sets the part's sizes.
 * memplan.c */
p2p_status plan_memory(plan_part *part);

/* ---- Parts: plan_part.c ------------------------------------------------------------------------------- */

void plan_part_free(plan_part *part);
/* The node's descriptor with its tensors. */
void plan_describe(const plan_part *part, const plan_node *node, p2p_op *op);
/* A node as the device would run it. */
typedef struct {
    p2p_op op; /* with the filter in the storage in which it will be read */
    p2p_query query;
    bool accepted; /* else the device refuses it in every form, and the reason was logged */
    bool derived;  /* the filter has another storage than the parameter */
} plan_form;

/* Queries the device about the node, and again with the filter that the device requests. Failures other than
 * refusals are returned. */
p2p_status plan_find_form(const plan_part *part, const plan_node *node, plan_form *form);
/* Sets *accepted to whether the device supports the node. The reason of a refusal is logged. Other failures
 * are returned. */
p2p_status plan_accepts(const plan_part *part, const plan_node *node, bool *accepted);
p2p_status plan_value_add(plan_part *part, const plan_value *value, int *id);
/* The value that owns a value's memory: itself, or its parent. */
int plan_root(const plan_part *part, int value);
/* The address of a value after plan_list; a range has its parent's. plan_list.c */
plan_address plan_value_address(const plan_part *part, int value);
bool plan_is_arena(const plan_part *part, const plan_node *node);
bool plan_is_collective(const plan_node *node);
p2p_status plan_node_insert(plan_part *part, int position, const plan_node *node);
/* Assigns offsets in a run's host memory to `count` ports and returns its size in bytes. */
size_t plan_lay_out_ports(const plan_part *part, plan_port *ports, int count, bool inputs);
/* Bytes of all host memory that plan_prepare_part allocates for the part. */
size_t plan_run_bytes(const plan_part *part);

/* The part of p2p_plan_print that follows the operations: counts, fusions, memory. plan_print.c */
p2p_status plan_print_summary(const p2p_plan *plan, FILE *stream);

/* Host memory and recordings of runs, created once by p2p_session_allocate: of the plan, then of each part,
 * which different threads may prepare at the same time. plan_run.c */
p2p_status plan_prepare_runs(p2p_plan *plan);
p2p_status plan_prepare_part(plan_part *part);
void plan_release_runs(p2p_plan *plan);

/* The check mode. plan_check_before fills the memory that step `s` is the first to use with NaN.
 * plan_check_after reads every output of the step; it returns P2P_FAILED, naming the operation, if one has a
 * NaN or an infinity. plan_check.c */
p2p_status plan_check_before(const plan_part *part, int s);
p2p_status plan_check_after(const plan_part *part, int s);

#endif
