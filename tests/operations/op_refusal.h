/* Refusals of a device, counted by kind and by the optional parts of a descriptor.
 *
 * op_query must accept every kind but the collectives, unfused and in the device's own storage; a refusal of
 * such a descriptor is a failure. Every other refusal needs a line in golden/refusals.txt, in the section of
 * the device's family. An optional form that a device loses or gains is therefore a difference from that
 * file. Only the fixed table is counted, so the counts depend neither on the size of a run nor, within a
 * family, on the processor.
 */
#ifndef OP_REFUSAL_H
#define OP_REFUSAL_H

#include "check/op_parts.h"

#include <stdio.h>

/* The kind of a name; -1 if there is none. */
int op_kind_named(const char *name);

typedef struct {
    long queried, refused;
} op_refusal_count;

/* By kind and set of parts. */
typedef struct {
    op_refusal_count of[P2P_KIND_COUNT][OP_PART_SETS];
} op_refusals;

/* Reads a section of a list. P2P_INPUT if the file has no such section or a line of it is malformed. */
p2p_status op_refusals_read(const char *path, const char *section, op_refusals *listed);
/* Replaces or appends a section and keeps the others. */
p2p_status op_refusals_write(const char *path, const char *section, const op_refusals *found);
/* Prints a line for each difference in the rows of `kind` (-1: all kinds). Returns their number. */
int op_refusals_compare(const op_refusals *listed, const op_refusals *found, int kind, FILE *stream);
/* Whether a descriptor of the kind with these parts, which need not be one of the table, may be refused: the
 * list has a refusal with exactly these parts. Of sets of parts that no descriptor of the table has
 * (`queried` counts them) nothing is listed: the list must refuse every descriptor of some subset.
 * `by_shape`: the kind is refused by its shape too, of which the list has no record, so a refusal with some
 * subset is enough. */
bool op_refusals_cover(const op_refusals *listed, const op_refusals *queried, p2p_kind kind, unsigned parts,
                       bool by_shape);

#endif
