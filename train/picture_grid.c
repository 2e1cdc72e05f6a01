/* See picture_grid.h. */
#include "picture_grid.h"

p2p_status picture_grid_put(picture_grid *grid, int column, image *const rows[PICTURE_GRID_ROWS]) {
    for (int row = 0; row < PICTURE_GRID_ROWS; row++) {
        image *cell = &grid->cells[row * grid->columns + column];
        *cell = *rows[row];
        *rows[row] = (image){0};
        P2P_TRY(image_reformat(cell, IMAGE_RGB8));
    }
    return P2P_OK;
}

p2p_status picture_grid_save(const picture_grid *grid, const char *path) {
    image picture = {0};
    P2P_TRY(image_grid(grid->cells, PICTURE_GRID_ROWS, grid->columns, &picture));
    p2p_status status = image_save(path, &picture);
    image_free(&picture);
    return status;
}

void picture_grid_free(picture_grid *grid) {
    for (int i = 0; i < PICTURE_GRID_ROWS * grid->columns; i++) image_free(&grid->cells[i]);
}
