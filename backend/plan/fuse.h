/* Shared by the files of fusion: uses of a value, and replacement of nodes. Private to plan/.
 *
 * fuse_index.c has the nodes that use each value, fuse_uses.c the tests of the rules on them.
 */
#ifndef P2P_CORE_FUSE_H
#define P2P_CORE_FUSE_H

#include "session.h"

enum { FUSE_MOST = 3 };

/* Nodes that use a value, in order. All are counted; the first FUSE_MOST readers and writers are stored. A
 * node that adds to the value is a writer; a node that updates it in place is both. */
typedef struct {
    int reader_count, writer_count;
    int readers[FUSE_MOST], writers[FUSE_MOST];
    int last_reader, last_writer; /* -1: none */
    bool in_parts;                /* a node uses a channel range of it */
} fuse_uses;

fuse_uses fuse_find_uses(const plan_part *part, int value);
/* Whether only nodes use the value, and only as a whole: then it may be left unwritten, or moved. */
bool fuse_is_private(const plan_part *part, int value, const fuse_uses *uses);
/* Whether the node writes the operand, accumulation included. */
bool fuse_writes(const plan_node *node, int operand);
/* Whether a node strictly between two positions writes the value or, for state, updates its network. */
bool fuse_written_between(const plan_part *part, int value, int from, int to);

/* Replaces node `position` by `candidate` if the device accepts it; sets *done accordingly. */
p2p_status fuse_replace(plan_part *part, int position, const plan_node *candidate, bool *done);
/* Replaces node `position` by `node`, which the device has accepted. */
p2p_status fuse_put(plan_part *part, int position, const plan_node *node);

/* The nodes that use each value. A rule then looks at the uses of a value without visiting all nodes. */
typedef struct {
    int *items; /* in ascending order, each once */
    int count, capacity;
} fuse_list;

struct fuse_index {
    int value_count;
    /* Per value: nodes, and values that are ranges of it. Lists keep what was true once: a node may be
     * removed or use other values by now, and a value may not be a range any more. */
    fuse_list *nodes, *ranges;
    fuse_list arenas; /* values */
};

/* Makes part->index of the nodes; fuse_index_free releases it. Nodes and parents of values change through
 * fuse_put and fuse_add_range only while it exists. */
p2p_status fuse_index_make(plan_part *part);
void fuse_index_free(plan_part *part);
/* Adds `value`, which has become a range of its parent. */
p2p_status fuse_add_range(plan_part *part, int value);
/* Whether test() is true for a node in [from, to) that uses the value or a range of it. */
typedef bool (*fuse_test)(const plan_part *part, int position, const void *context);
bool fuse_any_use(const plan_part *part, int value, int from, int to, fuse_test test, const void *context);

/* fuse_norm.c: normalisations. */
p2p_status fuse_merge_norms(plan_part *part);
p2p_status fuse_norm_backward(plan_part *part);
p2p_status fuse_norm_forward(plan_part *part);
/* fuse_ranges.c: copies into and out of concatenations. */
p2p_status fuse_elide_copies(plan_part *part);

/* The readers of a value, if they are one leaky relu and otherwise relus. The relus can read the leaky relu's
 * result instead of its argument, because relu(lrelu(z)) = relu(z) for slopes that are not negative. */
typedef struct {
    int leaky; /* the act_fwd node to fuse into the producer; -1: none, or other readers exist */
    int relus[FUSE_MOST], relu_count;
} fuse_reread;
fuse_reread fuse_find_reread(const plan_part *part, const fuse_uses *uses);
/* Makes the relus read `result`, the leaky relu's. */
p2p_status fuse_apply_reread(plan_part *part, const fuse_reread *reread, int result);

#endif
