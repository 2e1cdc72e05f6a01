#!/usr/bin/env python3
"""Write nearest.txt: results of TensorFlow's tf.image.resize with NEAREST_NEIGHBOR on pictures of formulas.py.

The format is that of resize.txt (make_resize.py). Sizes such as 1200 to 256, 7 to 14 and all of 1 to 40 have many
positions exactly between pixels. Needs TensorFlow 2; the result is committed."""

import pathlib

import numpy
import tensorflow

from formulas import FORMULAS
from make_resize import describe

CASES = [
    ("noise", 5, 7, 11, 13),
    ("noise", 8, 6, 4, 3),
    ("noise", 7, 3, 14, 9),
    ("noise", 1, 9, 3, 4),
    ("noise", 300, 2, 3, 200),
    ("noise", 600, 31, 286, 7),
    ("noise", 1200, 3, 256, 2),
    ("noise", 3000, 3, 7, 286),
    ("photo", 256, 256, 286, 286),
    ("photo", 511, 257, 256, 256),
] + [("noise", source, 1, target, 1) for source in (3, 10, 37, 100) for target in (7, 30, 77, 640)]


def main():
    lines = []
    for case in CASES:
        formula, w, h, target_w, target_h = case
        values = [FORMULAS[formula](x, y, c, w, h) for y in range(h) for x in range(w) for c in range(3)]
        picture = tensorflow.constant(numpy.array(values, numpy.uint8).reshape(h, w, 3))
        resized = tensorflow.image.resize(picture, (target_h, target_w), method="nearest").numpy().tobytes()
        lines.append(describe("nearest", 3, 8, case, resized))
    pathlib.Path(__file__).with_name("nearest.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
