/* The operation runner's suite: the checks of each descriptor, and their results.
 *
 * A case is stamped with the device's storages. It runs with every output overwritten, with every output
 * accumulated, and with some; with exact contents if the kind allows them, and with real ones. A refusal by
 * op_query counts as skipped, with its reason, if the rule and the list of op_refusal.h allow it; otherwise
 * it is a failure. A failure prints one line that reproduces it.
 */
#ifndef OP_SUITE_H
#define OP_SUITE_H

#include "check/op_execute.h"
#include "op_refusal.h"
#include "op_tables.h"

enum { OP_SUITE_REMARKS = 12 };

/* A remark about cases, and their number. */
typedef struct {
    char text[256];
    long count;
} op_remark;

/* Of one kind. */
typedef struct {
    long passed, skipped, failed, refused; /* refused: invalid variants, as required */
    double used;                           /* largest share of the error budget */
    char used_by[P2P_OP_TEXT];
    op_remark refusals[OP_SUITE_REMARKS]; /* reasons of the device */
    op_remark kernels[OP_SUITE_REMARKS];  /* names from op_query */
} op_tally;

typedef struct {
    const char *repro; /* the command line up to --case, printed with failures */
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
    bool own_storage;          /* the storages are the device's own */
    bool one_family;           /* of convolutions, selected by name */
    const char *list;          /* the committed list, */
    char section[160];         /* the device's section in it, */
    op_refusals listed, found; /* refusals of the section; of the device */
    bool has_list;             /* `listed` is valid */
    int query_only;            /* the kind whose descriptors are queried; -1: all */
} op_suite;

/* Queries the whole fixed table, whatever part of it runs, and compares the refusals with the list, or with
 * `accept` writes them into it. Prints the differences and returns whether there are none. Refusals that
 * break the rule are counted as failed in the tally only. */
bool op_suite_refusals(op_suite *suite, bool accept);
/* Prints a summary of the queries. Returns whether no refusal broke the rule. */
bool op_suite_refusals_report(const op_suite *suite);
/* Classifies a refusal of `op`. Returns P2P_UNSUPPORTED if it is allowed, else P2P_FAILED with the reason as
 * message. */
p2p_status op_suite_classify(const op_suite *suite, const p2p_op *op);

/* Checks one descriptor as it is, and counts the result. */
void op_suite_descriptor(op_suite *suite, const p2p_op *op);
/* The outputs that can accumulate, as bits. */
uint32_t op_suite_accumulable(const p2p_op *op);
/* The case with the device's storages, in the suite's precision. */
p2p_op op_suite_stamp(const op_suite *suite, const op_case *item);
/* A visitor: checks the stamped case with no, all and some outputs accumulated, then invalid variants. */
void op_suite_case(void *suite, const op_case *item);
/* Checks the collectives: op_query refuses them, and a communicator over three such devices runs them. */
void op_suite_collectives(op_suite *suite, const char *address);

/* Counts one result, and prints it if it is a failure. */
void op_suite_count(op_suite *suite, const p2p_op *op, p2p_status status, double used);
/* Prints a table of all kinds, with kernels and reasons of refusals. Returns whether nothing failed and at
 * least one descriptor of every kind ran. */
bool op_suite_report(const op_suite *suite);
/* Prints for each kind how much of it runs and what is refused. Has no verdict. */
void op_suite_matrix(const op_suite *suite);

/* op_invalid.c: checks that invalid variants of `op` are refused with a message. Adds their number. */
p2p_status op_invalid_check(p2p_device *device, const p2p_op *op, long *refused);

/* op_perf.c: times a descriptor and prints a line. */
p2p_status op_perf(op_bench *bench, const p2p_op *op, uint64_t seed);

#endif
