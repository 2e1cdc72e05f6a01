/* How far a picture is from another: L1, PSNR and SSIM, the numbers of validation and of `p2p test`.
 *
 * PSNR and SSIM are those of scikit-image's peak_signal_noise_ratio and structural_similarity with
 * channel_axis and otherwise default options: a uniform window of 7 x 7 pixels that lies wholly inside the
 * picture, sample covariance, K1 = 0.01, K2 = 0.03. The data_range is 255 for 8 bits and 65535 for 16, so
 * that a number doesn't depend on the bits that a picture is stored with. Every channel counts alike, alpha
 * too: it is drawn and compared like any other. Nothing here resizes, converts colours or decides which
 * pictures belong together.
 */
#ifndef P2P_QUALITY_H
#define P2P_QUALITY_H

#include "image/image.h"

#include <jansson.h>
#include <stdint.h>

enum { QUALITY_WINDOW = 7 };

/* Somebody's samples: rows from the top, pixels from the left, channels interleaved, nothing between them. */
typedef struct {
    int width, height, channels;
    int bits;            /* of a sample: 8 (uint8_t) or 16 (uint16_t of this machine) */
    const void *samples; /* width * height * channels */
} quality_picture;

typedef struct {
    double l1;   /* mean |a - b| over all samples, where the data_range is [-1, 1]: the unit of the L1 loss,
                    0..2 */
    double psnr; /* 10 log10(data_range^2 / mean (a - b)^2) in dB; INFINITY where the pictures are equal */
    double ssim; /* mean over all channels and window positions, -1..1; NAN where a side is below 7 pixels */
} quality;

/* Compare two pictures of equal width, height, channels and bits; anything else is P2P_INVALID. Sums are
 * taken in integers, so they are exact. */
p2p_status quality_measure(const quality_picture *a, const quality_picture *b, quality *result);

/* The same of two images. */
p2p_status quality_of_images(const image *a, const image *b, quality *result);

/* The mean over pictures. Begin with {0}; of none it is NAN. One pair of equal pictures makes the mean PSNR
 * infinite. */
typedef struct {
    quality sums;
    int64_t pictures;
} quality_total;

void quality_add(quality_total *total, const quality *one);
quality quality_mean(const quality_total *total);

/* A number as JSON can hold it: null for what is infinite (the PSNR of equal pictures) or not a number (the
 * SSIM of pictures that are too small). NULL when memory fails. */
json_t *quality_to_json(double number);

#endif
