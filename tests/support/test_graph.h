/* What tests count in a graph. */
#ifndef P2P_TEST_GRAPH_H
#define P2P_TEST_GRAPH_H

#include "graph/ir.h"

static inline int count_nodes(const p2p_graph *graph, p2p_kind kind) {
    int count = 0;
    for (int i = 0; i < graph->node_count; i++) count += graph->nodes[i].op.kind == kind;
    return count;
}

#endif
