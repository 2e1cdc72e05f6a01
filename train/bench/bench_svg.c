/* See bench_svg.h. */
#include "bench_svg.h"

#include "host/sys.h"

#include <stdlib.h>

/* In units of the picture, of which text takes 14. The last four lie between the sides of a cell and of its
 * panel. */
enum { WIDTH = 1200, HEIGHT = 750, FOOT_LINE = 22, LEFT = 66, RIGHT = 20, TOP = 36, BOTTOM = 48 };

static p2p_status no_memory(const svg_picture *svg) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "%s: no memory to draw", svg->path);
}

p2p_status svg_begin(svg_picture *svg, const char *path) {
    *svg = (svg_picture){.path = path};
    svg->out = open_memstream(&svg->text, &svg->size);
    if (!svg->out) return no_memory(svg);
    fprintf(
        svg->out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%%\" height=\"100%%\" viewBox=\"0 0 %d %d\" "
        "font-family=\"sans-serif\" font-size=\"14\">\n<rect width=\"100%%\" height=\"100%%\" "
        "fill=\"white\"/>\n",
        WIDTH, HEIGHT);
    return P2P_OK;
}

p2p_status svg_finish(svg_picture *svg, p2p_status status) {
    fprintf(svg->out, "</svg>\n");
    bool complete = !ferror(svg->out);
    complete = fclose(svg->out) == 0 && complete;
    if (status == P2P_OK)
        status = complete ? sys_file_write(svg->path, svg->text, svg->size) : no_memory(svg);
    free(svg->text);
    *svg = (svg_picture){0};
    return status;
}

svg_box svg_panel(const svg_grid *grid, int column, int row) {
    const double width = (double)WIDTH / grid->columns,
                 height = (double)(HEIGHT - grid->foot * FOOT_LINE) / grid->rows;
    return (svg_box){column * width + LEFT, row * height + TOP, width - LEFT - RIGHT, height - TOP - BOTTOM};
}

svg_box svg_foot(const svg_grid *grid, int line) {
    const int below = grid->foot - line; /* lines, this one included */
    return (svg_box){LEFT, HEIGHT - below * FOOT_LINE + FOOT_LINE / 2.0, WIDTH - LEFT - RIGHT, FOOT_LINE};
}

void svg_line(FILE *out, double x1, double y1, double x2, double y2) {
    fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ccc\"/>\n", x1, y1, x2, y2);
}

static void escape(FILE *out, char c) {
    if (c == '<')
        fputs("&lt;", out);
    else if (c == '>')
        fputs("&gt;", out);
    else if (c == '&')
        fputs("&amp;", out);
    else
        fputc(c, out);
}

void svg_text(FILE *out, double x, double y, const char *anchor, const char *text) {
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *text; text++) escape(out, *text);
    fputs("</text>\n", out);
}
