/* Private to the planner: what the files of fusion share, namely who touches a value, and the negotiation. */
#ifndef P2P_CORE_FUSE_H
#define P2P_CORE_FUSE_H

#include "session.h"

enum { FUSE_MOST = 3 };

/* Nodes that touch a value, in order; only the first FUSE_MOST of each are kept, all are counted. A node that
 * adds to the value is a writer; one that updates it in place is both. */
typedef struct {
    int reader_count, writer_count;
    int readers[FUSE_MOST], writers[FUSE_MOST];
    int last_reader, last_writer; /* -1: none */
    bool in_parts;                /* some node touches a channel range of it */
} fuse_uses;

fuse_uses fuse_find_uses(const plan_part *part, int value);
/* Made and used by nodes alone, whole: it may be left unwritten, or moved. */
bool fuse_is_private(const plan_part *part, int value, const fuse_uses *uses);
/* Whether the node writes the operand, accumulation included. */
bool fuse_writes(const plan_node *node, int operand);
/* Some node strictly between two positions writes the value (or, for state, updates its network). */
bool fuse_written_between(const plan_part *part, int value, int from, int to);
bool fuse_accumulates(const plan_node *node, int operand);

/* Put `candidate` in place of node `position` where the device accepts it. */
p2p_status fuse_replace(plan_part *part, int position, const plan_node *candidate, bool *done);

/* fuse_norm.c: everything around normalisations. */
p2p_status fuse_merge_norms(plan_part *part);
p2p_status fuse_norm_backward(plan_part *part);
p2p_status fuse_norm_forward(plan_part *part);
/* fuse_ranges.c: copies into and out of concatenations. */
p2p_status fuse_elide_copies(plan_part *part);

/* Let every relu in `relus` read the result of node `producer`'s leaky relu instead of its argument:
 * relu(lrelu(z)) = relu(z), slopes being never negative. */
typedef struct {
    int leaky; /* the act_fwd node to join with the producer; -1: there is none */
    int relus[FUSE_MOST], relu_count;
} fuse_reread;
fuse_reread fuse_find_reread(const plan_part *part, const fuse_uses *uses);
void fuse_apply_reread(plan_part *part, const fuse_reread *reread, int result);

#endif
