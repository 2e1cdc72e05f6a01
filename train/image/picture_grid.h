/* A grid of pairs, for users to look at: a column per pair, with its name above, and three rows, named on the
 * left, in one order everywhere: input, generated, target. Each column is copied into the one result at once,
 * so that the cells are not held twice.
 */
#ifndef P2P_PICTURE_GRID_H
#define P2P_PICTURE_GRID_H

#include "image.h"

enum { PICTURE_GRID_ROWS = 3, PICTURE_GRID_MAX_COLUMNS = 10, PICTURE_GRID_TITLE_BYTES = 32 };

/* Initialise with {.columns = ..., .title = ...}: 1 to PICTURE_GRID_MAX_COLUMNS columns; the title, such as
 * "epoch 12", stands in the corner and may be "". */
typedef struct {
    int columns;
    char title[PICTURE_GRID_TITLE_BYTES];
    int width, height; /* of a cell; set by the first picture */
    image picture;     /* owned */
} picture_grid;

/* A column: the name of a pair, any bytes, which is cut in the middle if it is wider than a cell, and its
 * pictures. */
typedef struct {
    const char *name;
    image *input, *generated, *target;
} picture_grid_column;

/* The number of columns for `pairs` pairs of side x side pixels: as many as a picture may have. */
int picture_grid_columns(int64_t pairs, int side);

/* Fill a column and release its pictures. Pictures of any format are converted to RGB of 8 bits. The cells
 * lie in the lower right corner of the result, with a light line between and around them. P2P_INVALID if a
 * picture's size differs from that of the grid's first picture. */
p2p_status picture_grid_put(picture_grid *grid, int column, const picture_grid_column *pair);

/* Write the grid as a PNG with a label that is not shown, or NULL (image_save_labelled). Unfilled columns
 * have the colour of the lines. P2P_INVALID if none was filled. */
p2p_status picture_grid_save(const picture_grid *grid, const char *path, const char *label);
void picture_grid_free(picture_grid *grid);

#endif
