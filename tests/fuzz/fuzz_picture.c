/* Files of pictures: decoding any bytes ends in a picture or in P2P_INPUT.
 *
 * Built once for each format, whose files begin with P2P_FUZZ_SIGNATURE; bytes that begin otherwise are left
 * to the other builds. Without it every format is decoded (test_image_mutations). */
#include "fuzz.h"

#include "image/image.h"
#include "image/image_codec.h"
#include "support/test_files.h"

#include <string.h>

#ifndef P2P_FUZZ_SIGNATURE
#define P2P_FUZZ_SIGNATURE ""
#endif

enum { LARGE = 1 << 18 }; /* a header may claim up to 256 megapixels, which is allowed and slow */

static bool is_of_format(const uint8_t *bytes, size_t size) {
    const size_t length = sizeof P2P_FUZZ_SIGNATURE - 1;
    return size >= length && memcmp(bytes, P2P_FUZZ_SIGNATURE, length) == 0;
}

/* Reads every pixel, so that the sanitizers detect unset or foreign memory. */
static void read_pixels(const image *picture) {
    static volatile unsigned sum;
    const uint8_t *bytes = picture->pixels;
    for (size_t i = 0; i < image_bytes(picture); i++) sum = sum + bytes[i];
}

static void check_label(const uint8_t *bytes, size_t size) {
    char label[IMAGE_LABEL_BYTES];
    const p2p_status status = image_png_label(bytes, size, "fuzz", label);
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "a label is read, or the file is refused");
    fuzz_require(memchr(label, '\0', sizeof label) != NULL, "a label ends");
}

static void decode(const uint8_t *bytes, size_t size, const image_header *header) {
    image picture;
    const p2p_status status = image_decode(bytes, size, "fuzz", &picture);
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "a picture is decoded or refused");
    if (status == P2P_OK) {
        fuzz_require(picture.width == header->width && picture.height == header->height &&
                         picture.channels == header->channels && picture.bits == header->bits,
                     "the picture has the size and the format of its header");
        read_pixels(&picture);
    } else {
        fuzz_require(picture.pixels == NULL, "a failure has no pixels");
        fuzz_require(strstr(p2p_message(), "fuzz") != NULL, "the message has the file's name");
    }
    image_free(&picture);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    image_header header = {0};
    if (!is_of_format(bytes, size)) return 0;
    const p2p_status status = image_probe_bytes(bytes, size, "fuzz", &header);
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "a header is read or refused");
    if (size > 0 && bytes[0] == 0x89) check_label(bytes, size);
    if (status == P2P_OK && (int64_t)header.width * header.height <= LARGE) decode(bytes, size, &header);
    return 0;
}

#ifdef P2P_LIBFUZZER

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t largest);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t largest, unsigned seed);

/* libFuzzer's own mutation. The checksums of most PNG files are then made right, because little code would
 * run after a wrong one. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t largest, unsigned seed) {
    const size_t mutated = LLVMFuzzerMutate(bytes, size, largest);
    if (seed % 8 != 0) test_png_seal(bytes, mutated);
    return mutated;
}

#endif
