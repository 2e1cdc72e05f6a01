/* The operations that make pictures from pictures: what each reads, its options, and how it draws A from a
 * photograph. Each is a row of one table. */
#ifndef P2P_PAIRS_OPERATION_H
#define P2P_PAIRS_OPERATION_H

#include "image/image.h"
#include "options/options.h"

/* What an operation makes of its sources. */
typedef enum {
    PAIRS_JOIN,  /* A and B side by side, from two folders */
    PAIRS_FIT,   /* the picture, resized */
    PAIRS_DERIVE /* A is drawn from the photograph, which is B */
} pairs_making;

typedef struct {
    const char *name;
    pairs_making making;
    const char *const *options; /* those that determine the result; NULL-terminated */

    /* PAIRS_DERIVE: draw A, of the photograph's size and of any format. `item` distinguishes pictures, and
     * depends on their names only. The caller frees the result, which is empty after a failure. */
    p2p_status (*draw)(const settings *all, image_view photo, uint32_t item, image *input);
    /* The most memory of `draw` beside the photograph, the result included. */
    uint64_t (*draw_bytes)(const settings *all, int width, int height, image_format format);
} pairs_operation;

/* NULL if there is none of this name. */
const pairs_operation *pairs_operation_named(const char *name);

#endif
