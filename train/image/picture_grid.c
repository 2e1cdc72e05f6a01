/* See picture_grid.h. */
#include "picture_grid.h"

#include <string.h>

enum { LINE = 2, LINE_GREY = 208 };

/* The offset of a cell: the cells before it and the lines between them. */
static int cell_start(int index, int extent) {
    return index * (extent + LINE) + LINE;
}

static p2p_status begin(picture_grid *grid, const image *first) {
    const int width = cell_start(grid->columns, first->width);
    const int height = cell_start(PICTURE_GRID_ROWS, first->height);
    P2P_TRY(image_create(&grid->picture, width, height, IMAGE_RGB8));
    grid->width = first->width;
    grid->height = first->height;
    memset(grid->picture.pixels, LINE_GREY, image_bytes(&grid->picture));
    return P2P_OK;
}

static p2p_status put(picture_grid *grid, int column, int row, image *cell) {
    P2P_TRY(image_reformat(cell, IMAGE_RGB8));
    if (!grid->picture.pixels) P2P_TRY(begin(grid, cell));
    if (cell->width != grid->width || cell->height != grid->height)
        return p2p_fail(P2P_INVALID, "picture %d of column %d of a grid is %d x %d pixels, the first %d x %d",
                        row, column, cell->width, cell->height, grid->width, grid->height);
    const image_view from = image_view_of(cell), to = image_view_of(&grid->picture);
    const size_t left = (size_t)cell_start(column, grid->width), top = (size_t)cell_start(row, grid->height);
    uint8_t *corner =
        (uint8_t *)grid->picture.pixels + top * to.stride + left * image_pixel_bytes(IMAGE_RGB8);
    for (size_t y = 0; y < (size_t)cell->height; y++)
        memcpy(corner + y * to.stride, (const uint8_t *)from.pixels + y * from.stride, from.stride);
    return P2P_OK;
}

p2p_status picture_grid_put(picture_grid *grid, int column, image *const rows[PICTURE_GRID_ROWS]) {
    for (int row = 0; row < PICTURE_GRID_ROWS; row++) {
        P2P_TRY(put(grid, column, row, rows[row]));
        image_free(rows[row]);
    }
    return P2P_OK;
}

p2p_status picture_grid_save(const picture_grid *grid, const char *path, const char *label) {
    if (!grid->picture.pixels) return p2p_fail(P2P_INVALID, "%s: a grid without pictures", path);
    return image_save_labelled(path, &grid->picture, label);
}

void picture_grid_free(picture_grid *grid) {
    image_free(&grid->picture);
}
