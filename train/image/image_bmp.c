/* A decoder of uncompressed BMP: 1, 2, 4, 8, 16, 24 and 32 bits, palettes, bit masks, and both row orders.
 * Files with run-length encoding or embedded JPEG or PNG data are refused, with the reason. train/NOTES.md
 * explains why no library is used.
 *
 * Every offset is checked against the file's size before it is read, and the picture's size before memory is
 * allocated. */
#include "image_codec.h"

#include <string.h>

/* The largest header that is known has 124 bytes, so that header and palette are in the first bytes of a
 * file. */
enum {
    FILE_HEADER = 14,
    CORE_HEADER = 12,
    INFO_HEADER = 40,
    MOST_HEADER = 1024,
    MASKS_IN_HEADER = 52,
    ALPHA_IN_HEADER = 56
};
enum { BI_RGB = 0, BI_RLE8 = 1, BI_RLE4 = 2, BI_BITFIELDS = 3, BI_ALPHABITFIELDS = 6 };
enum { RED, GREEN, BLUE, ALPHA, MASKS };

typedef struct {
    const uint8_t *bytes;
    size_t size;
    const char *name;
    size_t header_size; /* of the picture header, which follows the file header */
    int64_t width, height;
    bool top_down;
    unsigned bits, compression;
    uint32_t masks[MASKS];
    size_t row_bytes, pixels; /* `pixels` is the offset of the first row */
    image_palette palette;    /* if bits <= 8 */
    image_format format;
} bmp_file;

static uint32_t little(const uint8_t *at, int bytes) {
    uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | at[i];
    return value;
}

static bool within(const bmp_file *file, size_t first, size_t bytes) {
    return first <= file->size && bytes <= file->size - first;
}

static p2p_status read_sizes(bmp_file *file) {
    const uint8_t *header = file->bytes + FILE_HEADER;
    if (!within(file, 0, FILE_HEADER + CORE_HEADER))
        return image_damaged(file->name, "the header is truncated");
    file->header_size = little(header, 4);
    bool core = file->header_size == CORE_HEADER;
    if (!core && (file->header_size < INFO_HEADER || file->header_size > MOST_HEADER))
        return image_damaged(file->name, "an unknown kind of header");
    if (!within(file, FILE_HEADER, file->header_size))
        return image_damaged(file->name, "the header is truncated");
    file->width = core ? (int32_t)little(header + 4, 2) : (int32_t)little(header + 4, 4);
    file->height = core ? (int32_t)little(header + 6, 2) : (int32_t)little(header + 8, 4);
    file->bits = little(header + (core ? 10 : 14), 2);
    file->compression = core ? BI_RGB : little(header + 16, 4);
    file->top_down = file->height < 0;
    if (file->top_down) file->height = -file->height;
    if (file->width < 0) return image_damaged(file->name, "a negative width");
    return image_check_size((uint64_t)file->width, (uint64_t)file->height, file->name);
}

static p2p_status check_kind(const bmp_file *file) {
    const unsigned bits = file->bits, compression = file->compression;
    bool masked = compression == BI_BITFIELDS || compression == BI_ALPHABITFIELDS;
    if (compression != BI_RGB && !masked) {
        bool lengths = compression == BI_RLE8 || compression == BI_RLE4;
        p2p_fail(P2P_INPUT, "%s is a BMP with %s; only uncompressed ones are accepted", file->name,
                 lengths ? "run-length encoding" : "compressed data");
        return p2p_hint(P2P_INPUT, "convert it to PNG first");
    }
    bool deep = bits == 16 || bits == 24 || bits == 32;
    if ((!deep && bits != 1 && bits != 2 && bits != 4 && bits != 8) || (masked && bits != 16 && bits != 32))
        return p2p_fail(P2P_INPUT, "%s can't be decoded: a BMP of %u bits per pixel", file->name, bits);
    return P2P_OK;
}

/* Bit masks are a part of the newer headers and follow the older one. *end is the offset of their end. */
static p2p_status read_masks(bmp_file *file, size_t *end) {
    static const uint32_t usual[2][MASKS] = {{0x7c00, 0x3e0, 0x1f, 0}, {0xff0000, 0xff00, 0xff, 0}};
    memcpy(file->masks, usual[file->bits == 32], sizeof file->masks);
    *end = FILE_HEADER + file->header_size;
    if (file->compression == BI_RGB) return P2P_OK;
    const size_t at = FILE_HEADER + INFO_HEADER;
    bool alpha = file->compression == BI_ALPHABITFIELDS || file->header_size >= ALPHA_IN_HEADER;
    const size_t count = alpha ? 4 : 3;
    if (!within(file, at, 4 * count)) return image_damaged(file->name, "the header is truncated");
    for (size_t i = 0; i < count; i++) file->masks[i] = little(file->bytes + at + 4 * i, 4);
    if (file->header_size < MASKS_IN_HEADER) *end += 4 * count;
    return P2P_OK;
}

static p2p_status read_palette(bmp_file *file, size_t at) {
    bool core = file->header_size == CORE_HEADER;
    const size_t entry = core ? 3 : 4, most = (size_t)1 << file->bits;
    const uint32_t given = core ? 0 : little(file->bytes + FILE_HEADER + 32, 4);
    const size_t count = given == 0 || given > most ? most : given;
    if (!within(file, at, count * entry)) return image_damaged(file->name, "the palette is truncated");
    file->palette = (image_palette){.count = (int)count};
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++) file->palette.colors[i][c] = file->bytes[at + i * entry + 2 - c];
    return P2P_OK;
}

static p2p_status read_header(bmp_file *file) {
    size_t end;
    P2P_TRY(read_sizes(file));
    P2P_TRY(check_kind(file));
    P2P_TRY(read_masks(file, &end));
    file->pixels = little(file->bytes + 10, 4);
    file->row_bytes = ((size_t)file->width * file->bits + 31) / 32 * 4;
    file->format = IMAGE_RGB8;
    if (file->bits <= 8) {
        P2P_TRY(read_palette(file, end));
        file->format.channels = image_palette_is_grey(&file->palette) ? 1 : 3;
    } else if (file->bits != 24 && file->masks[ALPHA] != 0) {
        file->format.channels = 4;
    }
    return P2P_OK;
}

static p2p_status unpack_indexed(const bmp_file *file, const uint8_t *row, uint8_t *to) {
    for (size_t x = 0; x < (size_t)file->width; x++) {
        size_t bit = x * file->bits;
        unsigned index = row[bit / 8] >> (8 - file->bits - bit % 8) & ((1u << file->bits) - 1);
        if (index >= (unsigned)file->palette.count)
            return image_damaged(file->name, "a pixel's colour isn't in the palette");
        memcpy(to, file->palette.colors[index], (size_t)file->format.channels);
        to += file->format.channels;
    }
    return P2P_OK;
}

/* Scale a sample of any number of bits to 0..255, rounding down as Pillow does. */
static uint8_t masked_sample(uint32_t pixel, uint32_t mask) {
    if (mask == 0) return 0;
    while ((mask & 1) == 0) {
        mask >>= 1;
        pixel >>= 1;
    }
    return (uint8_t)((uint64_t)(pixel & mask) * 255 / mask);
}

static void unpack_masked(const bmp_file *file, const uint8_t *row, uint8_t *to) {
    const int bytes = (int)file->bits / 8;
    for (int64_t x = 0; x < file->width; x++, row += bytes)
        for (int c = 0; c < file->format.channels; c++)
            *to++ = masked_sample(little(row, bytes), file->masks[c]);
}

static void unpack_24(const bmp_file *file, const uint8_t *row, uint8_t *to) {
    for (int64_t x = 0; x < file->width; x++, row += 3)
        for (int c = 0; c < 3; c++) *to++ = row[2 - c];
}

static p2p_status unpack_row(const bmp_file *file, const uint8_t *row, uint8_t *to) {
    if (file->bits <= 8) return unpack_indexed(file, row, to);
    if (file->bits == 24)
        unpack_24(file, row, to);
    else
        unpack_masked(file, row, to);
    return P2P_OK;
}

static p2p_status unpack(const bmp_file *file, const image_facts *facts, image *result) {
    const size_t height = (size_t)file->height;
    P2P_TRY(image_allocate(facts, file->size, file->name, result));
    const size_t stride = image_view_of(result).stride;
    for (size_t y = 0; y < height; y++) {
        const size_t from = file->top_down ? y : height - 1 - y;
        P2P_TRY(unpack_row(file, file->bytes + file->pixels + from * file->row_bytes,
                           (uint8_t *)result->pixels + y * stride));
    }
    return P2P_OK;
}

p2p_status image_bmp_decode(const uint8_t *bytes, size_t size, const char *name, image_facts *facts,
                            image *result) {
    bmp_file file = {.bytes = bytes, .size = size, .name = name};
    P2P_TRY(read_header(&file));
    facts->header = (image_header){(int)file.width, (int)file.height, file.format.channels, file.format.bits};
    facts->least_bytes = file.pixels + (uint64_t)file.row_bytes * (uint64_t)file.height;
    facts->decode_bytes = image_pixels_bytes(&facts->header, file.format) + IMAGE_DECODER_BYTES;
    return result == NULL ? P2P_OK : unpack(&file, facts, result);
}
