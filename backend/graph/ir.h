/* The intermediate form between graph.c (which builds it), grad.c (which appends to it) and the planner
 * (fuse.c, memplan.c, plan.c, which copy and rewrite it). Private to the core.
 *
 * A graph is an array of values and an array of nodes in program order. Shapes are logical; no layout, no
 * memory. A node is an operation descriptor whose operand descriptions are still empty, with a value per
 * operand instead.
 */
#ifndef P2P_CORE_IR_H
#define P2P_CORE_IR_H

#include "p2p.h"

typedef enum {
    IR_ACTIVATION, /* the device's activation storage */
    IR_FILTER,     /* the device's filter storage */
    IR_VECTOR,     /* the device's vector storage, plain: vectors, statistics, losses, flat arrays */
    IR_IMAGE,      /* u8 or u16 nhwc */
    IR_WORDS,      /* u32 plain: the step block */
} ir_role;

typedef enum {
    IR_LOCAL, /* made by a node; memory from the arena, live from first write to last use */
    IR_INPUT, /* written by the host before each run */
    IR_STATE, /* a part of a network's parameter: `network`, `param`, `part` */
    IR_ARENA, /* a whole arena of a network, flat (Adam, gradient reduction): `network`, `part` */
    IR_STEP,  /* the step block */
    IR_RANGE, /* channels [c0, c0 + c) of value `parent`, which is no range itself */
} ir_origin;

typedef struct {
    ir_role role;
    ir_origin origin;
    int64_t n, c, h, w; /* as in p2p_tensor; IR_ARENA: unknown until the device's layout is, all 0 */
    p2p_type type;      /* inputs: what the host gives. Others: ignored, the device's storage decides */
    int parent;         /* IR_RANGE */
    int64_t c0;         /* IR_RANGE */
    p2p_network *network;
    int param;
    p2p_state_part part;
    bool detached; /* no gradient passes to what made it (a detached value is an alias: see alias_of) */
    int alias_of;  /* nonzero: the same memory and contents as that value (detach) */
    char name[64]; /* input, loss or layer name for dumps; "" otherwise */
} ir_value;

typedef struct {
    p2p_op op;                   /* kind, accumulate and fields; t[] is empty */
    int value[P2P_MAX_OPERANDS]; /* 0 where absent */
    int layer;                   /* for dumps: which builder call made it, from 1 */
    bool backward;               /* appended by p2p_backward */
} ir_node;

typedef struct {
    char name[64];
    int value;
    p2p_type type;
    bool loss; /* a scalar, summed over replicas */
} ir_output;

struct p2p_graph {
    int64_t local_batch, global_batch;
    int world;
    bool images_apart; /* p2p_graph_images_apart */
    p2p_status status;
    char message[512]; /* of the first failure */
    ir_value *values;  /* [0] is unused: id 0 is "none" */
    int value_count, value_capacity;
    ir_node *nodes;
    int node_count, node_capacity;
    ir_output *outputs;
    int output_count, output_capacity;
    int step_value; /* 0 until something needs the step block */
    int layer_count;
    char label[288];  /* of the builder call under way, for messages: "layer 3, conv of G.down1.weight" */
    int *state_slots; /* hash table of state values and arenas by (network, param, part); private to ir.c */
    int state_count, state_capacity;
};

struct p2p_network {
    char name[64];
    p2p_status status;
    char message[512];
    p2p_param_info *params;
    int param_count, param_capacity;
};

/* ir.c, for graph.c and grad.c: append, keeping the first failure; 0 or NULL after one. A node's pointer is
 * valid until the next node is added. */
int ir_value_add(p2p_graph *graph, const ir_value *value);
ir_node *ir_node_add(p2p_graph *graph, p2p_kind kind);
int ir_value_like(p2p_graph *graph, int value);          /* a local activation of the same shape */
int ir_value_resolve(const p2p_graph *graph, int value); /* follow alias_of to the end */
/* The value of a parameter's part, or of a whole arena; one per key. */
int ir_state_value(p2p_graph *graph, p2p_network *network, int param, p2p_state_part part);
int ir_arena_value(p2p_graph *graph, p2p_network *network, p2p_state_part part);
int ir_step_value(p2p_graph *graph);
/* The message becomes "LABEL: ..."; only the first failure is kept. */
p2p_status ir_fail(p2p_graph *graph, p2p_status code, const char *format, ...) P2P_PRINTF(3, 4);

/* p2p_op_validate on logical tensors; a failure is kept in the graph. True when the node is right. */
bool ir_node_check(p2p_graph *graph, const ir_node *node);

/* Room for one more element: the array, grown where needed; NULL when memory fails (the old one stays). */
void *ir_grow(void *array, int count, int *capacity, size_t element);

/* The graph as text, a line per node, for tests and debugging. ir_print.c */
void ir_print(const p2p_graph *graph, FILE *stream);

#endif
