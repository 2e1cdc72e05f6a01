/* SVG pictures, as text in memory until they are complete. */
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

/* Begin a white picture of this size in pixels. Call svg_finish() unless it fails. */
p2p_status svg_begin(svg_picture *svg, const char *path, int width, int height);
/* End the picture. If `status` is P2P_OK, write the file; else return `status`. Releases the picture. */
p2p_status svg_finish(svg_picture *svg, p2p_status status);

/* A grey line of a grid. */
void svg_line(FILE *out, double x1, double y1, double x2, double y2);
/* A line of text, in which <, > and & are escaped. `anchor`: "start", "middle" or "end" of it is at x. */
void svg_text(FILE *out, double x, double y, const char *anchor, const char *text);

#endif
