/* SVG pictures, as text in memory until they are complete: panels above lines of text. They have the
 * proportions of a screen, and no size of their own: a browser scales them to its window or page. */
#ifndef P2P_BENCH_SVG_H
#define P2P_BENCH_SVG_H

#include "p2p_status.h"

#include <stddef.h>
#include <stdio.h>

typedef struct {
    const char *path; /* for messages; borrowed */
    FILE *out;
    char *text;
    size_t size;
} svg_picture;

/* Begin a white picture. Call svg_finish() unless it fails. */
p2p_status svg_begin(svg_picture *svg, const char *path);
/* End the picture. If `status` is P2P_OK, write the file; else return `status`. Releases the picture. */
p2p_status svg_finish(svg_picture *svg, p2p_status status);

/* Equal cells that fill the picture above its foot, which has `foot` lines of text. */
typedef struct {
    int columns, rows, foot;
} svg_grid;

typedef struct {
    double x, y, width, height; /* x and y: the upper left corner */
} svg_box;

/* The panel of a cell; there is room around it for its title, and for numbers on its left and below. */
svg_box svg_panel(const svg_grid *grid, int column, int row);
/* Where text begins in a line of the foot, 0 the first: x and y. The line is `width` wide. */
svg_box svg_foot(const svg_grid *grid, int line);

/* A grey line of a grid. */
void svg_line(FILE *out, double x1, double y1, double x2, double y2);
/* A line of text, in which <, > and & are escaped. `anchor` is the part of it that lies at x: "start",
 * "middle" or "end". */
void svg_text(FILE *out, double x, double y, const char *anchor, const char *text);

#endif
