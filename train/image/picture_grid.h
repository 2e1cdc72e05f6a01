/* A picture of pictures: a few columns of three cells each, for people to look at. Columns are copied into
 * the one picture as they come, so a grid never takes its memory twice.
 */
#ifndef P2P_PICTURE_GRID_H
#define P2P_PICTURE_GRID_H

#include "image.h"

enum { PICTURE_GRID_ROWS = 3, PICTURE_GRID_MAX_COLUMNS = 10 };

/* Begin with {.columns = ...}, 1 to PICTURE_GRID_MAX_COLUMNS. */
typedef struct {
    int columns;
    int width, height; /* of a cell, from the first picture on */
    image picture;     /* owned */
} picture_grid;

/* Fill a column from the top with the three pictures, which become empty: the grid takes them. They may
 * differ in format; in the grid all are RGB of 8 bits, with a thin light line between and around them. A
 * picture of another size than the grid's first is P2P_INVALID. */
p2p_status picture_grid_put(picture_grid *grid, int column, image *const rows[PICTURE_GRID_ROWS]);

/* Write the grid; columns that were not filled are light. P2P_INVALID without any. */
p2p_status picture_grid_save(const picture_grid *grid, const char *path);
void picture_grid_free(picture_grid *grid);

#endif
