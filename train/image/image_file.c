/* Pictures in files. See image.h. The content selects the decoder, the suffix the encoder. The formats are in
 * image_jpeg.c, image_png.c, image_bmp.c and image_gif.c. */
#include "image.h"

#include "host/sys.h"
#include "image_codec.h"
#include "p2p_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MAX_FILE_BYTES = 1 << 30,
    PROBE_BYTES = 16384 /* includes the header, unless a large profile or preview precedes it */
};

static p2p_status decode_any(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                             image *result) {
    static const uint8_t png_start[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t jpeg_start[3] = {0xff, 0xd8, 0xff};
    *result = (image){0};
    if (size == 0) return p2p_fail(P2P_INPUT, "%s is empty", name);
    if (size >= sizeof png_start && memcmp(bytes, png_start, sizeof png_start) == 0)
        return image_png_decode(bytes, size, name, header_only, result);
    if (size >= sizeof jpeg_start && memcmp(bytes, jpeg_start, sizeof jpeg_start) == 0)
        return image_jpeg_decode(bytes, size, name, header_only, result);
    if (size >= 2 && memcmp(bytes, "BM", 2) == 0)
        return image_bmp_decode(bytes, size, name, header_only, result);
    if (size >= 4 && memcmp(bytes, "GIF8", 4) == 0)
        return image_gif_decode(bytes, size, name, header_only, result);
    p2p_fail(P2P_INPUT, "%s is neither a JPEG, PNG, BMP nor GIF picture", name);
    return p2p_hint(P2P_INPUT,
                    "the content determines the format, not the suffix: convert it to PNG, or remove it");
}

p2p_status image_decode(const uint8_t *bytes, size_t size, const char *name, image *result) {
    return decode_any(bytes, size, name, false, result);
}

p2p_status image_probe_bytes(const uint8_t *bytes, size_t size, const char *name, image_header *header) {
    image empty;
    P2P_TRY(decode_any(bytes, size, name, true, &empty));
    *header = (image_header){empty.width, empty.height, empty.channels, empty.bits};
    return P2P_OK;
}

static p2p_status read_whole(const char *path, uint8_t **bytes, size_t *size) {
    uint64_t total;
    P2P_TRY(sys_file_read(path, MAX_FILE_BYTES, bytes, size, &total));
    if (total <= MAX_FILE_BYTES) return P2P_OK;
    free(*bytes);
    return p2p_fail(P2P_INPUT, "%s has %llu bytes; at most %d are accepted", path, (unsigned long long)total,
                    MAX_FILE_BYTES);
}

p2p_status image_load(const char *path, image *result) {
    *result = (image){0};
    uint8_t *bytes;
    size_t size;
    P2P_TRY(read_whole(path, &bytes, &size));
    p2p_status status = image_decode(bytes, size, path, result);
    free(bytes);
    return status;
}

p2p_status image_probe(const char *path, image_header *header) {
    uint8_t *bytes;
    size_t size;
    uint64_t total;
    P2P_TRY(sys_file_read(path, PROBE_BYTES, &bytes, &size, &total));
    p2p_status status = image_probe_bytes(bytes, size, path, header);
    free(bytes);
    if (status == P2P_OK || total <= PROBE_BYTES) return status;
    P2P_TRY(read_whole(path, &bytes, &size)); /* the header may continue after PROBE_BYTES */
    status = image_probe_bytes(bytes, size, path, header);
    free(bytes);
    return status;
}

typedef p2p_status (*image_encoder)(const image *picture, FILE *stream, const char *name);

/* The suffix with its dot; "" if there is none. Dots in folders do not count. */
static const char *suffix_of(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    return dot == NULL ? "" : dot;
}

static image_encoder encoder_for(const char *path) {
    const char *dot = suffix_of(path);
    if (strcasecmp(dot, ".png") == 0) return image_png_encode;
    return strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ? image_jpeg_encode : NULL;
}

bool image_suffix_readable(const char *path) {
    const char *dot = suffix_of(path);
    return encoder_for(path) != NULL || strcasecmp(dot, ".bmp") == 0 || strcasecmp(dot, ".gif") == 0;
}

bool image_suffix_known(const char *path) {
    return encoder_for(path) != NULL;
}

p2p_status image_save_check(const char *path, image_format format) {
    image_encoder encode = encoder_for(path);
    if (encode == NULL)
        return p2p_fail(P2P_USAGE, "a picture's name must end in .png, .jpg or .jpeg: %s does not", path);
    bool plain = format.channels == 1 || format.channels == 3;
    if (encode == image_png_encode || (plain && format.bits == 8)) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s: a JPEG can't hold %s", path, plain ? "16 bits per channel" : "an alpha channel");
    return p2p_hint(P2P_USAGE, "end the name in .png");
}

p2p_status image_save(const char *path, const image *picture) {
    P2P_TRY(image_save_check(path, image_format_of(picture)));
    p2p_atomic_file file;
    P2P_TRY(p2p_atomic_open(&file, path));
    p2p_status status = encoder_for(path)(picture, file.stream, path);
    if (status == P2P_OK) return p2p_atomic_commit(&file);
    p2p_atomic_abandon(&file);
    return status;
}

/* ---- Labels ------------------------------------------------------------------------------------------- */

p2p_status image_save_labelled(const char *path, const image *picture, const char *label) {
    if (encoder_for(path) != image_png_encode)
        return p2p_fail(P2P_USAGE, "a labelled picture's name must end in .png: %s does not", path);
    p2p_atomic_file file;
    P2P_TRY(p2p_atomic_open(&file, path));
    p2p_status status = image_png_encode_labelled(picture, label, file.stream, path);
    if (status == P2P_OK) return p2p_atomic_commit(&file);
    p2p_atomic_abandon(&file);
    return status;
}

p2p_status image_label(const char *path, char label[IMAGE_LABEL_BYTES]) {
    uint8_t *bytes;
    size_t size;
    label[0] = '\0';
    P2P_TRY(sys_file_read(path, PROBE_BYTES, &bytes, &size, NULL));
    p2p_status status = image_png_label(bytes, size, path, label);
    free(bytes);
    return status;
}
