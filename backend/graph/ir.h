/* The intermediate form of a graph. graph.c builds it, grad.c appends to it, plan/ copies and rewrites it.
 * Private to the core.
 *
 * A graph is an array of values and an array of nodes in program order. Shapes are logical; there are no
 * layouts and no memory. A node is an operation descriptor without tensors, with a value per operand instead.
 */
#ifndef P2P_CORE_IR_H
#define P2P_CORE_IR_H

#include "p2p.h"

typedef enum {
    IR_ACTIVATION, /* in the device's storage of activations */
    IR_FILTER,     /* in the device's storage of filters */
    IR_VECTOR,     /* in the device's storage of vectors, plain: vectors, statistics, losses, flat arrays */
    IR_IMAGE,      /* u8 or u16 nhwc */
    IR_WORDS,      /* u32 plain: the step block */
} ir_role;

typedef enum {
    IR_LOCAL, /* written by a node; memory from the arena, live from the first write to the last use */
    IR_INPUT, /* written by the host before each run */
    IR_STATE, /* a part (value, gradient or moment) of a parameter: `network`, `param`, `part` */
    IR_ARENA, /* a whole arena of a network, flat (Adam, gradient reduction): `network`, `part` */
    IR_STEP,  /* the step block */
    IR_RANGE, /* channels [c0, c0 + c) of value `parent`, which is not a range itself */
} ir_origin;

typedef struct {
    ir_role role;
    ir_origin origin;
    int64_t n, c, h, w; /* as in p2p_tensor; IR_ARENA: 0, because the device's layout determines the size */
    p2p_type type;      /* inputs: of the host's elements; unused otherwise */
    int parent;         /* IR_RANGE */
    int64_t c0;         /* IR_RANGE */
    p2p_network *network;
    int param;
    p2p_state_part part;
    int64_t first; /* inputs and the step block: the first image of the part of the local batch */
    bool detached; /* an alias without a gradient */
    int alias_of;  /* nonzero: same memory and contents as that value (p2p_detach) */
    char name[64]; /* of an input, loss or layer; "" otherwise */
} ir_value;

typedef struct {
    p2p_op op;                   /* kind, accumulate and fields; t[] is empty */
    int value[P2P_MAX_OPERANDS]; /* 0: absent */
    int layer;                   /* for dumps: the number of the builder call, from 1 */
    bool backward;               /* appended by p2p_backward */
} ir_node;

typedef struct {
    char name[64];
    int value;
    p2p_type type;
    bool loss;     /* a scalar, summed over replicas and parts */
    int64_t first; /* of the part that declares it */
} ir_output;

struct p2p_graph {
    int64_t local_batch, global_batch;
    /* The part that is built: extent n of its values, and its first image. Of the whole batch `images` is
     * local_batch, or 1 if that is 0. */
    int64_t images, first;
    int world;
    bool images_apart; /* p2p_graph_images_apart */
    p2p_status status;
    char message[512]; /* of the first failure */
    ir_value *values;  /* [0] is unused: id 0 means none */
    int value_count, value_capacity;
    ir_node *nodes;
    int node_count, node_capacity;
    ir_output *outputs;
    int output_count, output_capacity;
    int step_value; /* of the part; 0 until a node uses its step block */
    int layer_count;
    char label[288];  /* of the current builder call, for messages: "layer 3, conv of G.down1.weight" */
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

/* ir.c. Append a value or a node. The first failure is recorded in the graph; after a failure the result is 0
 * or NULL. The pointer to a node is valid until the next node is added. */
int ir_value_add(p2p_graph *graph, const ir_value *value);
ir_node *ir_node_add(p2p_graph *graph, p2p_kind kind);
int ir_value_like(p2p_graph *graph, int value);          /* a local activation of the same shape */
int ir_value_resolve(const p2p_graph *graph, int value); /* the value of which it is an alias, or itself */
/* The value of a part of a parameter, or of a whole arena. The same key always yields the same value. */
int ir_state_value(p2p_graph *graph, p2p_network *network, int param, p2p_state_part part);
int ir_arena_value(p2p_graph *graph, p2p_network *network, p2p_state_part part);
int ir_step_value(p2p_graph *graph);
/* Records a failure, with the message "LABEL: ...", unless one is recorded. Returns the graph's status. */
p2p_status ir_fail(p2p_graph *graph, p2p_status code, const char *format, ...) P2P_PRINTF(3, 4);

/* p2p_op_validate on logical tensors. Returns whether the node is valid; records a failure in the graph. */
bool ir_node_check(p2p_graph *graph, const ir_node *node);

/* Returns the array with room for at least one more element, reallocated if necessary. NULL if out of memory;
 * the old array is then unchanged. */
void *ir_grow(void *array, int count, int *capacity, size_t element);

/* The graph as text, a line per node, for tests and debugging. ir_print.c */
void ir_print(const p2p_graph *graph, FILE *stream);

#endif
