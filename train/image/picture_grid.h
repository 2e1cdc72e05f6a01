/* A grid of pictures: a few columns of three cells, for users to look at. Each column is copied into the one
 * result at once, so that the cells are not held twice.
 */
#ifndef P2P_PICTURE_GRID_H
#define P2P_PICTURE_GRID_H

#include "image.h"

enum { PICTURE_GRID_ROWS = 3, PICTURE_GRID_MAX_COLUMNS = 10 };

/* Initialise with {.columns = ...}, 1 to PICTURE_GRID_MAX_COLUMNS. */
typedef struct {
    int columns;
    int width, height; /* of a cell; set by the first picture */
    image picture;     /* owned */
} picture_grid;

/* Fill a column from the top with the three pictures, and release them. Pictures of any format are converted
 * to RGB of 8 bits. A thin light line separates and surrounds the cells. P2P_INVALID if a picture's size
 * differs from that of the grid's first picture. */
p2p_status picture_grid_put(picture_grid *grid, int column, image *const rows[PICTURE_GRID_ROWS]);

/* Write the grid as a PNG with a label, which may be NULL (image_save_labelled). Unfilled columns have the
 * colour of the lines. P2P_INVALID if none was filled. */
p2p_status picture_grid_save(const picture_grid *grid, const char *path, const char *label);
void picture_grid_free(picture_grid *grid);

#endif
