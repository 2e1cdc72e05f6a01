/* A small fixed font for labels in pictures: the printable characters of ASCII. Any other character is drawn
 * as a box. */
#ifndef P2P_FONT_H
#define P2P_FONT_H

#include "image.h"

/* The cell of a character, in pixels at scale 1, with the space beside and below it. */
enum { FONT_WIDTH = 6, FONT_HEIGHT = 10 };

/* The number of characters of a text. A byte that is not part of a UTF-8 character counts as one. */
int font_characters(const char *text);

/* Draw a line of text in dark grey on a picture of RGB8, its upper left corner at (left, top); each pixel of
 * the font becomes scale x scale pixels. A text of more than `room` characters is cut in the middle, where
 * two dots stand. What lies outside the picture is not drawn. */
void font_draw(image *picture, const char *text, int left, int top, int scale, int room);

#endif
