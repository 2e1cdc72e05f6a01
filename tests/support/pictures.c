/* A tool for scripts that inspect pictures.
 *
 *     pictures size FILE                           WIDTHxHEIGHT, channels and bits, as 37x29x3x8
 *     pictures difference FILE FILE                the largest difference of a sample, in units of 1/255
 *     pictures l1 FILE FILE                        the mean difference, of samples scaled to [-1, 1]
 *     pictures crop FILE LEFT TOP WIDTH HEIGHT OUT
 */
#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(void) {
    fprintf(stderr, "pictures: %s\n", p2p_message());
    return 1;
}

static int size(const char *path) {
    image picture;
    if (image_load(path, &picture) != P2P_OK) return fail();
    printf("%dx%dx%dx%d\n", picture.width, picture.height, picture.channels, picture.bits);
    image_free(&picture);
    return 0;
}

/* The largest difference in units of 1/255, or the mean as the L1 loss defines it. */
static int difference(const char *first, const char *second, bool mean) {
    image a, b;
    if (image_load(first, &a) != P2P_OK || image_load(second, &b) != P2P_OK) return fail();
    if (a.width != b.width || a.height != b.height ||
        !image_format_equal(image_format_of(&a), image_format_of(&b))) {
        fprintf(stderr, "pictures: %s and %s differ in size or format\n", first, second);
        return 1;
    }
    int most = 0;
    double sum = 0;
    const size_t samples = (size_t)a.width * (size_t)a.height * (size_t)a.channels;
    for (size_t i = 0; i < samples; i++) {
        const int d = abs(image_sample(&a, i) - image_sample(&b, i));
        if (d > most) most = d;
        sum += d;
    }
    const double unit = a.bits == 8 ? 1 : 257;
    printf("%g\n", mean ? sum / (double)samples / unit / 127.5 : most / unit);
    image_free(&a);
    image_free(&b);
    return 0;
}

static int crop(const char *path, char **numbers, const char *out) {
    image picture, cut;
    if (image_load(path, &picture) != P2P_OK) return fail();
    const image_view view = image_view_crop(image_view_of(&picture), atoi(numbers[0]), atoi(numbers[1]),
                                            atoi(numbers[2]), atoi(numbers[3]));
    if (image_convert(view, image_format_of(&picture), &cut) != P2P_OK || image_save(out, &cut) != P2P_OK)
        return fail();
    image_free(&picture);
    image_free(&cut);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "size") == 0) return size(argv[2]);
    if (argc == 4 && strcmp(argv[1], "difference") == 0) return difference(argv[2], argv[3], false);
    if (argc == 4 && strcmp(argv[1], "l1") == 0) return difference(argv[2], argv[3], true);
    if (argc == 8 && strcmp(argv[1], "crop") == 0) return crop(argv[2], argv + 3, argv[7]);
    fprintf(stderr, "usage: pictures size FILE | difference FILE FILE | l1 FILE FILE | crop FILE LEFT TOP "
                    "WIDTH HEIGHT OUT\n");
    return 2;
}
