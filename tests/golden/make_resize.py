#!/usr/bin/env python3
"""Write resize.txt: results of Pillow's bicubic resize on pictures of formulas.py.

Each line holds: filter, channels, bits, formula, source width, source height, target width, target height, and the
FNV-1a hash (64 bits) of the target's bytes. The bytes of small targets follow in hexadecimal, to make failures
readable. test_formulas.c computes the same formulas. Needs Pillow 13 or later, which chooses by the sizes whether the
first pass is horizontal or vertical; the result is committed."""

import pathlib
import struct

from PIL import Image

from formulas import FORMULAS, noise

CASES = [
    ("noise", 8, 6, 8, 6),
    ("noise", 8, 6, 8, 3),
    ("noise", 8, 6, 4, 6),
    ("noise", 5, 7, 11, 13),
    ("noise", 1, 1, 5, 4),
    ("noise", 7, 5, 1, 1),
    ("noise", 1, 9, 3, 4),
    ("noise", 9, 1, 4, 3),
    ("noise", 2, 3, 7, 1),
    ("steps", 12, 10, 7, 9),
    ("steps", 5, 5, 8, 8),
    ("steps", 33, 31, 65, 63),
    ("noise", 101, 67, 13, 17),
    ("noise", 300, 2, 3, 200),
    ("noise", 64, 64, 63, 65),
    ("noise", 20, 40, 20, 39),
    ("noise", 40, 80, 30, 60),
    ("noise", 40, 80, 30, 59),
    ("noise", 40, 80, 43, 79),
    ("photo", 256, 256, 286, 286),
    ("photo", 600, 450, 286, 286),
    ("photo", 300, 800, 286, 286),
    ("photo", 97, 143, 256, 256),
    ("photo", 511, 257, 256, 256),
    ("photo", 1024, 768, 31, 29),
]


# Grey, of 8 bits and of 16: Pillow's "L" and "I;16".
GREY_CASES = [
    ("noise", 8, 6, 8, 3),
    ("noise", 5, 7, 11, 13),
    ("steps", 33, 31, 65, 63),
    ("noise", 300, 2, 3, 200),
    ("noise", 40, 80, 30, 59),
    ("photo", 256, 256, 286, 286),
    ("photo", 511, 257, 256, 256),
]


def samples(formula, w, h, channels):
    return [FORMULAS[formula](x, y, c, w, h) for y in range(h) for x in range(w) for c in range(channels)]


def deep_samples(formula, w, h):
    """16 bits with as much information in the low byte as in the high one. No value is so high that overshoot would
    exceed 16 bits, which Pillow does not clamp."""
    return [8192 + 160 * FORMULAS[formula](x, y, 0, w, h) + noise(x, y, 1, w, h) for y in range(h) for x in range(w)]


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def describe(method, channels, bits, case, resized):
    shown = resized.hex() if len(resized) <= 450 else "-"
    words = " ".join(str(word) for word in case)
    return f"{method} {channels} {bits} {words} {fnv(resized):016x} {shown}\n"


def line(case, channels, bits, picture):
    return describe("bicubic", channels, bits, case, picture.resize(case[3:], Image.BICUBIC).tobytes())


def main():
    lines = []
    for case in CASES:
        lines.append(line(case, 3, 8, Image.frombytes("RGB", case[1:3], bytes(samples(*case[:3], 3)))))
    for case in GREY_CASES:
        lines.append(line(case, 1, 8, Image.frombytes("L", case[1:3], bytes(samples(*case[:3], 1)))))
        deep = deep_samples(*case[:3])
        lines.append(line(case, 1, 16, Image.frombytes("I;16", case[1:3], struct.pack(f"<{len(deep)}H", *deep))))
    pathlib.Path(__file__).with_name("resize.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
