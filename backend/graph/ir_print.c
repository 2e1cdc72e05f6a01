/* Graphs as text: a line per node, with what each operand is and the numbers of the descriptor. For tests,
 * for messages and for people; nothing reads it back.
 */
#include "ir.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    char *text;
    size_t size;
    int length; /* of the whole text, as snprintf counts */
} writer;

static void put(writer *to, const char *format, ...) P2P_PRINTF(2, 3);

static void put(writer *to, const char *format, ...) {
    size_t used = (size_t)to->length < to->size ? (size_t)to->length : to->size;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(to->text + used, to->size - used, format, args);
    va_end(args);
    if (length > 0) to->length += length;
}

/* G.conv1, dG.conv1 for its gradient, mG.conv1 and vG.conv1 for the moments; dG for the whole arena. */
static void put_state(writer *to, const ir_value *v) {
    static const char *const parts[] = {"", "d", "m", "v"};
    put(to, "%s%s", parts[v->part], v->network->name);
    if (v->origin == IR_STATE) put(to, ".%s", v->network->params[v->param].name);
}

static void put_value(writer *to, const p2p_graph *graph, int id) {
    const ir_value *v = &graph->values[id];
    if (v->alias_of) {
        put(to, "detached ");
        put_value(to, graph, v->alias_of);
    } else if (v->origin == IR_RANGE) {
        put(to, "%%%d[%" PRId64 ":%" PRId64 "]", v->parent, v->c0, v->c0 + v->c);
    } else if (v->origin == IR_STATE || v->origin == IR_ARENA) {
        put_state(to, v);
    } else if (v->origin == IR_STEP || v->origin == IR_INPUT) {
        put(to, "%s", v->name);
    } else {
        put(to, "%%%d", id);
    }
}

/* `y+=%7:1x4x8x8`: outputs that a node makes carry their shape. */
static void put_operand(writer *to, const p2p_graph *graph, const ir_node *node, int operand) {
    int id = node->value[operand];
    const ir_value *v = &graph->values[id];
    put(to, " %s%s=", p2p_kind_operand_name(node->op.kind, operand),
        node->op.accumulate >> operand & 1 ? "+" : "");
    put_value(to, graph, id);
    bool output = (p2p_kind_operand_use(node->op.kind, operand) & P2P_OUT) != 0;
    if (output && v->origin == IR_LOCAL)
        put(to, ":%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, v->n, v->c, v->h, v->w);
}

int ir_node_print(const p2p_graph *graph, const ir_node *node, char *text, size_t size) {
    writer to = {.text = text, .size = size};
    const char *kind = p2p_kind_name(node->op.kind);
    put(&to, "%s", kind);
    for (int i = 0; i < p2p_kind_operand_count(node->op.kind); i++)
        if (node->value[i]) put_operand(&to, graph, node, i);
    p2p_op numbers = node->op; /* printed without operands, for the numbers behind its kind */
    memset(numbers.t, 0, sizeof numbers.t);
    numbers.accumulate = 0;
    char line[P2P_OP_TEXT];
    p2p_op_print(&numbers, line, sizeof line);
    put(&to, "%s", line + strlen(kind));
    return to.length;
}

void ir_print(const p2p_graph *graph, FILE *stream) {
    char text[IR_NODE_TEXT];
    for (int i = 0; i < graph->node_count; i++) {
        ir_node_print(graph, &graph->nodes[i], text, sizeof text);
        fprintf(stream, "%s\n", text);
    }
}
