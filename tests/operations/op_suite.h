/* The operation runner's suite: what is done with each descriptor, and what came of it.
 *
 * A case is stamped with the device's storages, run with every output overwritten, with every output added
 * to, and with some; with exact contents where the kind allows, and with real ones. A refusal by op_query
 * counts as skipped, with its reason, where the rule and the list of op_refusal.h allow it, and fails
 * elsewhere. A failure prints one line that reproduces it.
 */
#ifndef OP_SUITE_H
#define OP_SUITE_H

#include "op_case.h"
#include "op_execute.h"
#include "op_refusal.h"

enum { OP_SUITE_REMARKS = 12 };

/* Something said about cases, and how often. */
typedef struct {
    char text[256];
    long count;
} op_remark;

/* Of one kind. */
typedef struct {
    long passed, skipped, failed, refused; /* refused: invalid variants that had to be */
    double used;                           /* largest share of the error budget */
    char used_by[P2P_OP_TEXT];
    op_remark refusals[OP_SUITE_REMARKS]; /* why the device refused */
    op_remark kernels[OP_SUITE_REMARKS];  /* what it used */
} op_tally;

typedef struct {
    const char *repro; /* the command line up to --case, for failures */
    op_bench device, reference;
    op_storages storages;
    uint64_t seed;
    int only_kind;     /* -1: all */
    p2p_math math;     /* of convolutions */
    double most_flops; /* of a case; larger ones are left out. 0: none is */
    long left_out;     /* so far */
    uint32_t turn;     /* cases so far: chooses among variants */
    op_tally tally[P2P_KIND_COUNT];
    /* Refusals. */
    bool own_storage;          /* the storages are those that the device asks for */
    bool one_family;           /* of convolutions, asked for by name */
    const char *list;          /* the committed list, */
    char section[160];         /* the device's section in it, */
    op_refusals listed, found; /* what it says, and what the device refuses of the fixed table */
    bool has_list;             /* `listed` is valid */
    int asks_only;             /* kind that op_query is asked about; -1: all */
} op_suite;

/* Ask op_query about the whole fixed table, whatever part of it is run, and compare the refusals with the
 * list, or with `accept` write them into it. Prints and returns whether all is well, but for what it counts
 * as failed in the tally: refusals that break the rule. */
bool op_suite_refusals(op_suite *suite, bool accept);
/* A line about them. Returns whether none broke the rule. */
bool op_suite_refusals_report(const op_suite *suite);
/* After a refusal of `op`: P2P_UNSUPPORTED where it is allowed, else P2P_FAILED with the reason as message.
 */
p2p_status op_suite_judge(const op_suite *suite, const p2p_op *op);

/* Everything about one descriptor as it stands. */
void op_suite_descriptor(op_suite *suite, const p2p_op *op);
/* Outputs that may accumulate, as bits. */
uint32_t op_suite_accumulable(const p2p_op *op);
/* The case as the device would get it, in the suite's precision. */
p2p_op op_suite_stamp(const op_suite *suite, const op_case *item);
/* A visitor: stamp, then all variants of what is overwritten and what is added to, then invalid ones. */
void op_suite_case(void *suite, const op_case *item);
/* Collectives: refused by the device's op_query, carried out by a communicator over three of it. */
void op_suite_collectives(op_suite *suite, const char *address);

/* Count one result, and print it when it is a failure. */
void op_suite_count(op_suite *suite, const p2p_op *op, p2p_status status, double used);
/* A table of all kinds, with kernels used and reasons of refusals. Returns whether all is well: nothing
 * failed, and no kind was left out altogether. */
bool op_suite_report(const op_suite *suite);
/* Kind by kind: what runs and what is refused, without judging. */
void op_suite_matrix(const op_suite *suite);

/* op_invalid.c: descriptors next to `op` that make no sense must be refused with a message. Counts them. */
p2p_status op_invalid_check(p2p_device *device, const p2p_op *op, long *refused);

/* op_perf.c: time a descriptor, print a line for people. */
p2p_status op_perf(op_bench *bench, const p2p_op *op, uint64_t seed);

#endif
