/* The file formats behind image.h, and what decoders share. Private to this folder. */
#ifndef P2P_IMAGE_CODEC_H
#define P2P_IMAGE_CODEC_H

#include "image.h"

#include <stdio.h>

/* P2P_INPUT with the file's name, its size and the limit, where a picture is too large to be accepted. */
p2p_status image_check_size(uint64_t width, uint64_t height, const char *name);

/* P2P_INPUT: the file can't be decoded, for this reason. */
p2p_status image_damaged(const char *name, const char *reason);

/* Decode. With header_only *result gets its width, height (checked) and format, and no pixels. */
p2p_status image_jpeg_decode(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                             image *result);
p2p_status image_png_decode(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                            image *result);

p2p_status image_bmp_decode(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                            image *result);
p2p_status image_gif_decode(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                            image *result);

/* Red, green, blue. A palette whose every colour is grey makes a grey picture. */
typedef struct {
    int count;
    uint8_t colors[256][3];
} image_palette;

bool image_palette_is_grey(const image_palette *palette);

/* Encode to an open stream; `name` is the file's, for messages. */
p2p_status image_jpeg_encode(const image *picture, FILE *stream, const char *name);
p2p_status image_png_encode(const image *picture, FILE *stream, const char *name);

#endif
