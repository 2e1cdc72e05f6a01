#!/usr/bin/env python3
"""Measure the checkerboard in generated pictures: patterns that repeat every 2 or 4 pixels, from upsampling.

    python3 tests/pytorch/checkerboard.py MEASURED...      MEASURED: --out of p2p test

Transposed convolutions of stride 2 may leave such a pattern: a line in the spectrum of rows or columns at exactly a
half or a quarter of the pixel frequency, above its neighbourhood. For the pictures in MEASURED/generated and, for
scale, in MEASURED/target it prints the power of this frequency as a multiple of that of its neighbours, over all
pictures, channels, rows and columns; and the root mean square of what exceeds them, in levels of 255. Pictures have 8
bits and equal sizes. Needs PyTorch and Pillow.
"""

import argparse
import os
import sys

import torch
from PIL import Image

PERIODS = [2, 4]
NEAR, FAR = 2, 6  # neighbours are the frequencies from NEAR to FAR steps away


def load(folder):
    """Pictures x channels x height x width, in levels of 255."""
    pictures = []
    for name in sorted(os.listdir(folder)):
        picture = Image.open(os.path.join(folder, name)).convert("RGB")
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        pictures.append(pixels.reshape(picture.height, picture.width, 3).permute(2, 0, 1).double())
    return torch.stack(pictures)


def spectrum(pictures):
    """The mean square of rows, by frequency: 0 to half the pixel frequency."""
    width = pictures.shape[3]
    return (torch.fft.rfft(pictures, dim=3).abs() / width).square().mean((0, 1, 2))


def pattern(pictures, period):
    """(power of the period, power of its neighbours), means over rows and columns."""
    powers = []
    for turned in (pictures, pictures.transpose(2, 3)):
        power, size = spectrum(turned), turned.shape[3]
        at = size // period
        around = [at + sign * step for sign in (-1, 1) for step in range(NEAR, FAR + 1)]
        powers.append((power[at], power[[k for k in around if k < len(power)]].mean()))
    return [sum(both).item() / 2 for both in zip(*powers)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", nargs="+")
    for measured in parser.parse_args().measured:
        for kind in ("generated", "target"):
            pictures = load(os.path.join(measured, kind))
            if min(pictures.shape[2:]) < 4 * FAR:
                sys.exit(f"{measured}: the pictures are too small for a spectrum")
            found = []
            for period in PERIODS:
                power, around = pattern(pictures, period)
                sides = 1 if period == 2 else 2  # frequencies of -1/2 and 1/2 are one
                excess = max(0, sides * (power - around)) ** 0.5
                found.append(f"every {period} pixels {power / around:.2f} times its neighbours, {excess:.2f} levels above")
            print(f"{measured}, {len(pictures)} {kind}: " + "; ".join(found))


if __name__ == "__main__":
    main()
