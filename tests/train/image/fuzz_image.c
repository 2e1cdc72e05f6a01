/* Damaged picture files: decoding any bytes must end in a picture or in P2P_INPUT, nothing else.
 *
 * Built by the option P2P_FUZZ this is a libFuzzer target (start it with golden/images as corpus). Otherwise
 * it is a test that mutates the golden pictures a fixed number of times with a fixed seed, mainly for runs
 * under the sanitizers. */
#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, p2p_message());
    abort();
}

/* Reads every pixel, so that the sanitizers detect unset or foreign memory. */
static void read_pixels(const image *picture) {
    static volatile unsigned sum;
    const uint8_t *bytes = picture->pixels;
    for (size_t i = 0; i < image_bytes(picture); i++) sum = sum + bytes[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    enum { LARGE = 1 << 18 }; /* a header may claim up to 256 megapixels, which is allowed and slow */
    image_header header = {0};
    p2p_status status = image_probe_bytes(bytes, size, "fuzz", &header);
    require(status == P2P_OK || status == P2P_INPUT, "probing");
    if (status != P2P_OK || (int64_t)header.width * header.height > LARGE) return 0;
    image picture;
    status = image_decode(bytes, size, "fuzz", &picture);
    require(status == P2P_OK || status == P2P_INPUT, "decoding");
    if (status == P2P_OK) {
        require(picture.width == header.width && picture.height == header.height &&
                    picture.channels == header.channels && picture.bits == header.bits,
                "the header differs");
        read_pixels(&picture);
    } else {
        require(picture.pixels == NULL, "pixels of a failure");
        require(strstr(p2p_message(), "fuzz") != NULL, "the message lacks the name");
    }
    image_free(&picture);
    return 0;
}

#ifndef P2P_LIBFUZZER

#include "p2p_philox.h"
#include "support/test_files.h"

enum { MUTATIONS_PER_FILE = 3000 };

/* One of: some bytes replaced, a bit flipped, a piece doubled or cut out, the end cut off. *size shrinks or
 * grows by at most half, for which `bytes` has room. */
static void mutate(uint8_t *bytes, size_t *size, const p2p_draw *draw) {
    uint32_t length = (uint32_t)*size;
    uint32_t at = p2p_draw_below(draw, 1, length), piece = 1 + p2p_draw_below(draw, 2, length / 4);
    if (piece > length - at) piece = length - at;
    switch (p2p_draw_below(draw, 0, 5)) {
    case 0:
        for (uint32_t i = 0; i < 1 + piece % 8 && at + i < length; i++)
            bytes[at + i] = (uint8_t)p2p_draw_below(draw, 3 + i, 256);
        break;
    case 1:
        bytes[at] ^= (uint8_t)(1 << p2p_draw_below(draw, 3, 8));
        break;
    case 2:
        memmove(bytes + at + piece, bytes + at, length - at);
        *size += piece;
        break;
    case 3:
        memmove(bytes + at, bytes + at + piece, length - at - piece);
        *size -= piece;
        break;
    default:
        *size = at;
    }
}

static void fuzz_file(const char *name, uint32_t number) {
    char path[96];
    snprintf(path, sizeof path, "images/%s", name);
    size_t original_size;
    uint8_t *original = test_file_read(test_golden(path), &original_size);
    for (uint32_t round = 0; round < MUTATIONS_PER_FILE; round++) {
        uint8_t *bytes = malloc(4 * original_size);
        if (bytes == NULL) abort();
        memcpy(bytes, original, original_size);
        size_t size = original_size;
        for (uint32_t step = 0; step < 1 + round % 3 && size > 8 && size < 2 * original_size; step++) {
            p2p_draw draw = {.seed = 1, .stream = step, .item = number, .epoch = round};
            mutate(bytes, &size, &draw);
        }
        if (round % 4 != 0) test_png_seal(bytes, size); /* otherwise little code after a checksum would run */
        uint8_t *exact = realloc(bytes, size > 0 ? size : 1); /* a read past the end is detected */
        if (exact == NULL) abort();
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    free(original);
}

int main(void) {
    FILE *list = fopen(test_golden("images.txt"), "r");
    require(list != NULL, "no list of pictures");
    char line[512], name[64];
    uint32_t count = 0;
    while (fgets(line, sizeof line, list) != NULL)
        if (sscanf(line, "%63s", name) == 1) fuzz_file(name, count++);
    fclose(list);
    require(count > 0, "an empty list of pictures");
    printf("%u pictures, %u mutations each\n", count, (unsigned)MUTATIONS_PER_FILE);
    return 0;
}

#endif
