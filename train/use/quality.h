/* The difference of two pictures: L1, PSNR and SSIM, the metrics of validation and of `p2p test`.
 *
 * PSNR and SSIM are those of scikit-image's peak_signal_noise_ratio and structural_similarity with
 * channel_axis and otherwise default options: a uniform window of 7 x 7 pixels that lies inside the picture,
 * sample covariance, K1 = 0.01, K2 = 0.03. The data_range is 255 for 8 bits and 65535 for 16, so that a
 * metric does not depend on the bits of the file. All channels, alpha included, have equal weight. Pictures
 * are neither resized nor converted here.
 */
#ifndef P2P_QUALITY_H
#define P2P_QUALITY_H

#include "image/image.h"

#include <jansson.h>
#include <stdint.h>

enum { QUALITY_WINDOW = 7 };

/* Samples that another object owns: rows from the top, pixels from the left, channels interleaved, no
 * padding. */
typedef struct {
    int width, height, channels;
    int bits;            /* per sample: 8 (uint8_t) or 16 (uint16_t in host byte order) */
    const void *samples; /* width * height * channels */
} quality_picture;

typedef struct {
    double l1;   /* mean |a - b| of samples scaled to [-1, 1], the unit of the L1 loss; 0..2 */
    double psnr; /* 10 log10(data_range^2 / mean (a - b)^2) in dB; INFINITY if the pictures are equal */
    double ssim; /* mean over all channels and window positions, -1..1; NAN if a side is below 7 pixels */
} quality;

/* Compare two pictures. Sums are in integers and therefore exact. P2P_INVALID unless width, height, channels
 * and bits are equal. */
p2p_status quality_measure(const quality_picture *a, const quality_picture *b, quality *result);

/* quality_measure of two images. */
p2p_status quality_of_images(const image *a, const image *b, quality *result);

/* A mean over pictures. Initialise with {0}. The mean of no pictures is NAN. A single pair of equal pictures
 * makes the mean PSNR infinite. */
typedef struct {
    quality sums;
    int64_t pictures;
} quality_total;

void quality_add(quality_total *total, const quality *one);
quality quality_mean(const quality_total *total);

/* A metric as JSON: a real, or null if it is infinite (the PSNR of equal pictures) or NAN (the SSIM of small
 * pictures). NULL if memory runs out. */
json_t *quality_to_json(double number);

#endif
