/* See exif.h. A JPEG file is a sequence of segments: 0xff, a marker, the length of what follows in two bytes,
 * which count. EXIF is the segment APP1 that begins with "Exif", and holds a TIFF file: a header, and at the
 * offset in it a directory of entries of 12 bytes. The bytes are not trusted: everything is read through
 * `part`, in which an access outside gives 0. */
#include "exif.h"

#include <string.h>

enum {
    MARKER_FRAME = 0xc0, /* 0xc0 to 0xcf, except 0xc4, 0xc8 and 0xcc: the frame's header */
    MARKER_TABLES = 0xc4,
    MARKER_EXTENSION = 0xc8,
    MARKER_CODING = 0xcc,
    MARKER_FRAME_LAST = 0xcf,
    MARKER_SCAN = 0xda,
    MARKER_APP1 = 0xe1,
    MARKER_FILL = 0xff,
    SEGMENT_HEADER = 4, /* bytes */
    TIFF_HEADER = 8,
    ORDER_LOW_FIRST = 0x4949, /* "II" and "MM" */
    ORDER_HIGH_FIRST = 0x4d4d,
    ENTRY_BYTES = 12,
    TAG_ORIENTATION = 0x0112,
    TYPE_SHORT = 3
};

typedef struct {
    const uint8_t *bytes;
    size_t size;
    bool low_first; /* the order of a number's bytes */
} part;

static unsigned byte_at(part of, size_t at) {
    return at < of.size ? of.bytes[at] : 0;
}

static unsigned short_at(part of, size_t at) {
    const unsigned first = byte_at(of, at), second = byte_at(of, at + 1);
    return of.low_first ? second << 8 | first : first << 8 | second;
}

static size_t long_at(part of, size_t at) {
    const size_t first = short_at(of, at), second = short_at(of, at + 2);
    return of.low_first ? second << 16 | first : first << 16 | second;
}

/* The rest from `at` on, which may be empty. */
static part part_from(part of, size_t at) {
    if (at > of.size) at = of.size;
    return (part){of.bytes + at, of.size - at, of.low_first};
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

static int orientation_of_tiff(part tiff) {
    const unsigned order = short_at(tiff, 0);
    if (order != ORDER_LOW_FIRST && order != ORDER_HIGH_FIRST) return IMAGE_UPRIGHT;
    tiff.low_first = order == ORDER_LOW_FIRST;
    const part directory = part_from(tiff, long_at(tiff, 4));
    const unsigned entries = short_at(directory, 0);
    for (unsigned i = 0; i < entries; i++) {
        const part entry = part_from(directory, 2 + (size_t)i * ENTRY_BYTES);
        if (entry.size < ENTRY_BYTES) break;
        if (short_at(entry, 0) != TAG_ORIENTATION) continue;
        const unsigned value = short_at(entry, 8);
        const bool valid = short_at(entry, 2) == TYPE_SHORT && long_at(entry, 4) == 1;
        return valid && value >= 1 && value <= 8 ? (int)value : IMAGE_UPRIGHT;
    }
    return IMAGE_UPRIGHT;
}

static bool is_exif(part segment) {
    static const char name[6] = "Exif\0";
    return segment.size >= sizeof name + TIFF_HEADER && memcmp(segment.bytes, name, sizeof name) == 0;
}

/* Whether no EXIF data is looked for from this marker on. */
static bool is_last(unsigned marker) {
    const bool frame = marker >= MARKER_FRAME && marker <= MARKER_FRAME_LAST && marker != MARKER_TABLES &&
                       marker != MARKER_EXTENSION && marker != MARKER_CODING;
    return frame || marker == MARKER_SCAN;
}

int exif_orientation(const uint8_t *bytes, size_t size) {
    part rest = part_from((part){bytes, size, false}, 2); /* after the start of the picture */
    while (rest.size > SEGMENT_HEADER && byte_at(rest, 0) == 0xff) {
        const unsigned marker = byte_at(rest, 1);
        if (marker == MARKER_FILL) { /* any number of such bytes may precede a marker */
            rest = part_from(rest, 1);
            continue;
        }
        const size_t length = 2 + (size_t)short_at(rest, 2);
        if (is_last(marker) || length < SEGMENT_HEADER) break;
        part segment = part_from(rest, SEGMENT_HEADER);
        if (segment.size > length - SEGMENT_HEADER) segment.size = length - SEGMENT_HEADER;
        if (marker == MARKER_APP1 && is_exif(segment)) return orientation_of_tiff(part_from(segment, 6));
        rest = part_from(rest, length);
    }
    return IMAGE_UPRIGHT;
}

/* ---- Turning ------------------------------------------------------------------------------------------ */

bool exif_exchanges_sides(int orientation) {
    return orientation >= 5;
}

/* The pixel of the picture in the file that is at (x, y) upright. Linear in x. */
static ptrdiff_t source_of(const image *picture, int orientation, int x, int y) {
    const bool exchanged = exif_exchanges_sides(orientation);
    const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int column = exchanged ? y : x, row = exchanged ? x : y;
    if (from_right) column = picture->width - 1 - column;
    if (from_bottom) row = picture->height - 1 - row;
    return (ptrdiff_t)row * picture->width + column;
}

p2p_status exif_turn(image *picture, int orientation) {
    const bool exchanged = exif_exchanges_sides(orientation);
    const image_format format = image_format_of(picture);
    const size_t bytes = image_pixel_bytes(format);
    image turned;
    P2P_TRY(image_create(&turned, exchanged ? picture->height : picture->width,
                         exchanged ? picture->width : picture->height, format));
    const uint8_t *from = picture->pixels;
    uint8_t *to = turned.pixels;
    for (int y = 0; y < turned.height; y++) {
        const ptrdiff_t first = source_of(picture, orientation, 0, y);
        const ptrdiff_t step = source_of(picture, orientation, 1, y) - first;
        for (int x = 0; x < turned.width; x++, to += bytes)
            memcpy(to, from + (first + x * step) * (ptrdiff_t)bytes, bytes);
    }
    image_free(picture);
    *picture = turned;
    return P2P_OK;
}
