/* Prints a graph as text: a line per node with its operands and the numbers of its descriptor. For tests and
 * debugging; there is no parser for it.
 */
#include "ir.h"

#include <inttypes.h>
#include <string.h>

/* G.conv1, dG.conv1 for its gradient, mG.conv1 and vG.conv1 for the moments; dG for the whole arena. */
static void put_state(FILE *to, const ir_value *v) {
    static const char *const parts[] = {"", "d", "m", "v"};
    fprintf(to, "%s%s", parts[v->part], v->network->name);
    if (v->origin == IR_STATE) fprintf(to, ".%s", v->network->params[v->param].name);
}

static void put_value(FILE *to, const p2p_graph *graph, int id) {
    const ir_value *v = &graph->values[id];
    if (v->alias_of) {
        fprintf(to, "detached ");
        put_value(to, graph, v->alias_of);
    } else if (v->origin == IR_RANGE) {
        fprintf(to, "%%%d[%" PRId64 ":%" PRId64 "]", v->parent, v->c0, v->c0 + v->c);
    } else if (v->origin == IR_STATE || v->origin == IR_ARENA) {
        put_state(to, v);
    } else if (v->origin == IR_STEP || v->origin == IR_INPUT) {
        fprintf(to, "%s", v->name);
    } else {
        fprintf(to, "%%%d", id);
    }
}

/* `y+=%7:1x4x8x8`: outputs that a node makes carry their shape. */
static void put_operand(FILE *to, const p2p_graph *graph, const ir_node *node, int operand) {
    int id = node->value[operand];
    const ir_value *v = &graph->values[id];
    fprintf(to, " %s%s=", p2p_kind_operand_name(node->op.kind, operand),
            p2p_op_accumulates(&node->op, operand) ? "+" : "");
    put_value(to, graph, id);
    bool output = (p2p_kind_operand_use(node->op.kind, operand) & P2P_OUT) != 0;
    if (output && v->origin == IR_LOCAL)
        fprintf(to, ":%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, v->n, v->c, v->h, v->w);
}

static void print_node(FILE *to, const p2p_graph *graph, const ir_node *node) {
    const char *kind = p2p_kind_name(node->op.kind);
    fprintf(to, "%s", kind);
    for (int i = 0; i < p2p_kind_operand_count(node->op.kind); i++)
        if (node->value[i]) put_operand(to, graph, node, i);
    p2p_op numbers = node->op; /* without operands its text is the kind, then the numbers */
    memset(numbers.t, 0, sizeof numbers.t);
    numbers.accumulate = 0;
    char line[P2P_OP_TEXT];
    p2p_op_print(&numbers, line, sizeof line);
    fprintf(to, "%s\n", line + strlen(kind));
}

void ir_print(const p2p_graph *graph, FILE *stream) {
    for (int i = 0; i < graph->node_count; i++) print_node(stream, graph, &graph->nodes[i]);
}
