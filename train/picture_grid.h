/* A picture of pictures: a few columns of three cells each, for people to look at. */
#ifndef P2P_PICTURE_GRID_H
#define P2P_PICTURE_GRID_H

#include "image.h"

enum { PICTURE_GRID_ROWS = 3, PICTURE_GRID_MAX_COLUMNS = 10 };

/* Begin with {.columns = ...}, 1 to PICTURE_GRID_MAX_COLUMNS; the cells are owned. */
typedef struct {
    int columns;
    image cells[PICTURE_GRID_ROWS * PICTURE_GRID_MAX_COLUMNS];
} picture_grid;

/* Fill a column from the top with the three pictures, which become empty: the grid takes them. They may
 * differ in format; in the grid all are RGB of 8 bits. */
p2p_status picture_grid_put(picture_grid *grid, int column, image *const rows[PICTURE_GRID_ROWS]);

/* Write the grid once all columns are filled with pictures of one size. */
p2p_status picture_grid_save(const picture_grid *grid, const char *path);
void picture_grid_free(picture_grid *grid);

#endif
