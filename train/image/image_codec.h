/* Decoders and encoders of the file formats, and what they share. Private to this folder. */
#ifndef P2P_IMAGE_CODEC_H
#define P2P_IMAGE_CODEC_H

#include "image.h"

#include <stdio.h>

/* P2P_INPUT, with name, size and limit in the message, if a picture is empty or exceeds the limits. */
p2p_status image_check_size(uint64_t width, uint64_t height, const char *name);

/* Returns P2P_INPUT with the message that the file can't be decoded, and the reason. */
p2p_status image_damaged(const char *name, const char *reason);

/* Decode a file. With header_only, *result has its checked size and its format, and no pixels. */
p2p_status image_jpeg_decode(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                             image *result);
p2p_status image_png_decode(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                            image *result);

p2p_status image_bmp_decode(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                            image *result);
p2p_status image_gif_decode(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                            image *result);

/* Colours as red, green, blue. A picture is decoded as grey if every colour of its palette is grey. */
typedef struct {
    int count;
    uint8_t colors[256][3];
} image_palette;

bool image_palette_is_grey(const image_palette *palette);

/* Encode to an open stream. `name` is used in messages. */
p2p_status image_jpeg_encode(const image *picture, FILE *stream, const char *name);
p2p_status image_png_encode(const image *picture, FILE *stream, const char *name);

/* The same with a label, a text chunk of the file, and the label of an encoded file: see image.h. */
p2p_status image_png_encode_labelled(const image *picture, const char *label, FILE *stream, const char *name);
p2p_status image_png_label(const uint8_t *bytes, size_t size, const char *name,
                           char label[IMAGE_LABEL_BYTES]);

#endif
