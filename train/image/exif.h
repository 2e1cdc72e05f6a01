/* How a camera was held, from the EXIF data of a JPEG file. Private to this folder. */
#ifndef P2P_EXIF_H
#define P2P_EXIF_H

#include "image.h"

/* EXIF's orientation of a JPEG file, IMAGE_UPRIGHT to 8; IMAGE_UPRIGHT if there is none before the frame's
 * header, or if it is damaged. `bytes` may be the file's beginning. */
int exif_orientation(const uint8_t *bytes, size_t size);

/* Whether upright the picture's width and height are exchanged. */
bool exif_exchanges_sides(int orientation);

/* Replace a picture by an upright one. Both are in memory at once. Unchanged after a failure. */
p2p_status exif_turn(image *picture, int orientation);

#endif
