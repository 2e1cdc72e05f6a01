#!/usr/bin/env python3
"""Writes resize.txt: what Pillow's bicubic resize makes of pictures that a formula defines.

Each line holds: formula, source width, source height, target width, target height, and the FNV-1a hash (64
bits) of the target's bytes; small targets follow in hexadecimal, so that a failure can be read. test_formulas.c
computes the same formulas. Run it with Pillow 13 or later, which decides by the sizes whether to begin
horizontally or vertically; the result is committed."""

import pathlib

from PIL import Image

from formulas import FORMULAS

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


def source(formula, w, h):
    values = bytes(FORMULAS[formula](x, y, c, w, h) for y in range(h) for x in range(w) for c in range(3))
    return Image.frombytes("RGB", (w, h), values)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    lines = []
    for formula, w, h, target_w, target_h in CASES:
        resized = source(formula, w, h).resize((target_w, target_h), Image.BICUBIC).tobytes()
        shown = resized.hex() if len(resized) <= 450 else "-"
        lines.append(f"{formula} {w} {h} {target_w} {target_h} {fnv(resized):016x} {shown}\n")
    pathlib.Path(__file__).with_name("resize.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
