/* Decoders and encoders of the file formats, and what they share. Private to this folder. */
#ifndef P2P_IMAGE_CODEC_H
#define P2P_IMAGE_CODEC_H

#include "image.h"

#include <stdio.h>

/* P2P_INPUT, with name, size and limit in the message, if a picture is empty or exceeds the limits. */
p2p_status image_check_size(uint64_t width, uint64_t height, const char *name);

/* Returns P2P_INPUT with the message that the file can't be decoded, and the reason. */
p2p_status image_damaged(const char *name, const char *reason);

/* P2P_INPUT, with the name in the message, if a file of `size` bytes can't hold the picture. */
p2p_status image_check_complete(const image_facts *facts, uint64_t size, const char *name);

/* Check that, and create the picture of facts->header. */
p2p_status image_allocate(const image_facts *facts, size_t size, const char *name, image *result);

/* Decode a file. *facts is complete except for file_bytes, whose caller knows the file's size. With `result`
 * NULL only the header is read, and `bytes` may be the file's beginning: facts->goes_on is set if only more
 * bytes can show whether it is a usable picture. A size beyond the limits is refused as soon as it is read.
 */
typedef p2p_status image_decoder(const uint8_t *bytes, size_t size, const char *name, image_facts *facts,
                                 image *result);
image_decoder image_jpeg_decode, image_png_decode, image_bmp_decode, image_gif_decode;

/* What each decoder takes beside a few rows and pixels: tables, buffers, the state of libraries. */
enum { IMAGE_DECODER_BYTES = 512 << 10 };

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
