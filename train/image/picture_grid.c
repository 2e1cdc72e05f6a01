/* See picture_grid.h. */
#include "picture_grid.h"

#include "font.h"

#include <string.h>

enum { LINE = 2, LINE_GREY = 224, SPACE = 3 /* pixels of the font, beside and above a text */ };

static const char *const row_names[PICTURE_GRID_ROWS] = {"input", "generated", "target"};

/* ---- Places ------------------------------------------------------------------------------------------- */

/* Pixels of the picture per pixel of the font: some twenty characters fit above a cell of 128 pixels or more.
 */
static int scale_of(const picture_grid *grid) {
    const int scale = grid->width / 128;
    return scale < 1 ? 1 : scale;
}

/* The strips with the names, left of the cells and above them. */
static int left_strip(const picture_grid *grid) {
    int characters = font_characters(grid->title);
    for (int row = 0; row < PICTURE_GRID_ROWS; row++)
        if (font_characters(row_names[row]) > characters) characters = font_characters(row_names[row]);
    return (characters * FONT_WIDTH + 2 * SPACE) * scale_of(grid);
}

static int top_strip(const picture_grid *grid) {
    return (FONT_HEIGHT + 2 * SPACE) * scale_of(grid);
}

static int cell_left(const picture_grid *grid, int column) {
    return left_strip(grid) + column * (grid->width + LINE) + LINE;
}

static int cell_top(const picture_grid *grid, int row) {
    return top_strip(grid) + row * (grid->height + LINE) + LINE;
}

/* Strips are narrower than cells of 64 pixels or more. */
static bool fits(int columns, int side) {
    const int64_t cell = side + LINE + 64, width = (columns + 1) * cell,
                  height = (PICTURE_GRID_ROWS + 1) * cell;
    return image_sides_fit(width, height);
}

int picture_grid_columns(int64_t pairs, int side) {
    int columns = pairs < PICTURE_GRID_MAX_COLUMNS ? (int)pairs : PICTURE_GRID_MAX_COLUMNS;
    while (columns > 1 && !fits(columns, side)) columns--;
    return columns;
}

/* ---- Drawing ------------------------------------------------------------------------------------------ */

/* Draw a text with its corner at (left, top), cut to `width` pixels. */
static void draw_name(picture_grid *grid, const char *name, int left, int top, int width) {
    const int scale = scale_of(grid), room = width / (FONT_WIDTH * scale);
    font_draw(&grid->picture, name, left, top, scale, room);
}

static void draw_row_names(picture_grid *grid) {
    const int scale = scale_of(grid), space = SPACE * scale, width = left_strip(grid) - 2 * space;
    draw_name(grid, grid->title, space, space, width);
    for (int row = 0; row < PICTURE_GRID_ROWS; row++) {
        const int middle = cell_top(grid, row) + grid->height / 2;
        draw_name(grid, row_names[row], space, middle - FONT_HEIGHT * scale / 2, width);
    }
}

static p2p_status begin(picture_grid *grid, const image *first) {
    grid->width = first->width;
    grid->height = first->height;
    const int width = cell_left(grid, grid->columns), height = cell_top(grid, PICTURE_GRID_ROWS);
    P2P_TRY(image_create(&grid->picture, width, height, IMAGE_RGB8));
    memset(grid->picture.pixels, LINE_GREY, image_bytes(&grid->picture));
    draw_row_names(grid);
    return P2P_OK;
}

static p2p_status put(picture_grid *grid, int column, int row, image *cell) {
    P2P_TRY(image_reformat(cell, IMAGE_RGB8));
    if (!grid->picture.pixels) P2P_TRY(begin(grid, cell));
    if (cell->width != grid->width || cell->height != grid->height)
        return p2p_fail(P2P_INVALID, "picture %d of column %d of a grid is %d x %d pixels, the first %d x %d",
                        row, column, cell->width, cell->height, grid->width, grid->height);
    const image_view from = image_view_of(cell), to = image_view_of(&grid->picture);
    const size_t left = (size_t)cell_left(grid, column), top = (size_t)cell_top(grid, row);
    uint8_t *corner =
        (uint8_t *)grid->picture.pixels + top * to.stride + left * image_pixel_bytes(IMAGE_RGB8);
    for (size_t y = 0; y < (size_t)cell->height; y++)
        memcpy(corner + y * to.stride, (const uint8_t *)from.pixels + y * from.stride, from.stride);
    return P2P_OK;
}

p2p_status picture_grid_put(picture_grid *grid, int column, const picture_grid_column *pair) {
    image *const rows[PICTURE_GRID_ROWS] = {pair->input, pair->generated, pair->target};
    for (int row = 0; row < PICTURE_GRID_ROWS; row++) {
        P2P_TRY(put(grid, column, row, rows[row]));
        image_free(rows[row]);
    }
    draw_name(grid, pair->name, cell_left(grid, column), SPACE * scale_of(grid), grid->width);
    return P2P_OK;
}

p2p_status picture_grid_save(const picture_grid *grid, const char *path, const char *label) {
    if (!grid->picture.pixels) return p2p_fail(P2P_INVALID, "%s: a grid without pictures", path);
    return image_save_labelled(path, &grid->picture, label);
}

void picture_grid_free(picture_grid *grid) {
    image_free(&grid->picture);
}
