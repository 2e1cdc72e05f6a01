/* Damaged picture files: the golden pictures are mutated a fixed number of times with a fixed seed, mainly
 * for runs under the sanitizers. What is checked is in tests/fuzz/fuzz_picture.c, whose build with libFuzzer
 * is guided by coverage instead. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void mutate_file(const char *name, uint32_t number) {
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
    fuzz_require(list != NULL, "there is a list of pictures");
    char line[512], name[64];
    uint32_t count = 0;
    while (fgets(line, sizeof line, list) != NULL)
        if (sscanf(line, "%63s", name) == 1) mutate_file(name, count++);
    fclose(list);
    fuzz_require(count > 0, "the list has pictures");
    printf("%u pictures, %u mutations each\n", count, (unsigned)MUTATIONS_PER_FILE);
    return 0;
}
