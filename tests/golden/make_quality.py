#!/usr/bin/env python3
"""Write quality.txt: scikit-image's measures of pairs of pictures of formulas.py.

Each line holds: two formulas, width, height, channels, bits, then L1 where the data_range is 2 wide, PSNR and SSIM
(inf for equal pictures). A 16-bit sample is the formula's value in its upper byte and noise in its lower one.
test_quality.c computes the same pictures. Needs scikit-image; the result is committed."""

import pathlib
import warnings

import numpy
from formulas import FORMULAS, noise
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

CASES = [
    ("photo", "grain", 256, 256, 3, 8),
    ("photo", "moved", 64, 64, 3, 8),
    ("photo", "dark", 61, 47, 3, 8),
    ("photo", "flat", 40, 30, 3, 8),
    ("photo", "photo", 33, 31, 3, 8),
    ("photo", "noise", 32, 32, 3, 8),
    ("steps", "noise", 7, 7, 3, 8),
    ("photo", "grain", 7, 40, 1, 8),
    ("photo", "moved", 41, 7, 1, 8),
    ("steps", "photo", 8, 9, 2, 8),
    ("photo", "grain", 65, 63, 4, 8),
    ("flat", "flat", 7, 7, 1, 8),
    ("photo", "grain", 64, 48, 1, 16),
    ("photo", "moved", 31, 57, 3, 16),
    ("noise", "photo", 13, 29, 4, 16),
    ("photo", "photo", 9, 9, 1, 16),
]


def picture(formula, w, h, channels, bits):
    values = numpy.array([[[FORMULAS[formula](x, y, c, w, h) for c in range(channels)] for x in range(w)] for y in range(h)])
    if bits == 8:
        return values.astype(numpy.uint8)
    low = numpy.array([[[noise(x + 11, y + 7, c, w, h) for c in range(channels)] for x in range(w)] for y in range(h)])
    return (values * 256 + low).astype(numpy.uint16)


def main():
    warnings.simplefilter("ignore")  # about the division by zero of an infinite PSNR
    lines = []
    for a, b, w, h, channels, bits in CASES:
        first, second = picture(a, w, h, channels, bits), picture(b, w, h, channels, bits)
        data_range = 2**bits - 1
        l1 = 2 * numpy.abs(first.astype(float) - second.astype(float)).mean() / data_range
        psnr = peak_signal_noise_ratio(first, second, data_range=data_range)
        ssim = structural_similarity(first, second, data_range=data_range, channel_axis=2)
        lines.append(f"{a} {b} {w} {h} {channels} {bits} {l1:.9f} {psnr:.9f} {ssim:.9f}\n")
    pathlib.Path(__file__).with_name("quality.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
