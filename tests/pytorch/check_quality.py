#!/usr/bin/env python3
"""Compare the numbers of `p2p test` with scikit-image's.

    python3 tests/pytorch/check_quality.py --p2p build/gcc/train/p2p --model PATH --data DIR [--split val] [OPTION...]

Runs `p2p test` (further options are passed on) and computes everything again: the target by Pillow from the data set's
file (half of it, resized), L1 by NumPy, PSNR and SSIM by scikit-image with its default options, all from the pictures
that were written. Prints both, and fails if a number differs by more than 1e-4 or a target in a single sample. For
side by side pairs of 8 bits only. Needs NumPy, Pillow and scikit-image.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

MOST = 1e-4


def load(path):
    return numpy.asarray(Image.open(path))


def target_of(path, direction, size):
    pair = Image.open(path).convert("RGB")
    half = pair.width // 2
    left = half if direction == "AtoB" else 0
    side = pair.crop((left, 0, left + half, pair.height))
    return numpy.asarray(side if side.size == (size, size) else side.resize((size, size), Image.BICUBIC))


def measure(generated, target):
    difference = numpy.abs(generated.astype(float) - target.astype(float))
    return {"l1": difference.mean() / 127.5,
            "psnr": peak_signal_noise_ratio(target, generated),
            "ssim": structural_similarity(target, generated, channel_axis=2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--p2p", required=True, help="the program")
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="val")
    arguments, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        subprocess.run([arguments.p2p, "test", "--model", arguments.model, "--data", arguments.data, "--split",
                        arguments.split, "--out", out, *more], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(out, "metrics.json")) as file:
            result = json.load(file)
        worst, sums, targets_equal = 0, {}, True
        for image in result["images"]:
            stem = os.path.splitext(image["name"])[0] + ".png"
            generated, target = (load(os.path.join(out, kind, stem)) for kind in ("generated", "target"))
            source = os.path.join(arguments.data, arguments.split, image["name"])
            targets_equal &= numpy.array_equal(target, target_of(source, result["direction"], result["size"]))
            ours = measure(generated, target)
            print(image["name"], *(f"{key} {image[key]:.6f} / {ours[key]:.6f}" for key in ours))
            for key in ours:
                sums[key] = sums.get(key, 0) + ours[key]
                worst = max(worst, abs(ours[key] - image[key]))
        for key, total in sums.items():
            mean = total / len(result["images"])
            worst = max(worst, abs(mean - result["mean"][key]))
            print(f"mean {key}: {result['mean'][key]:.6f} / {mean:.6f}")
    print(f"greatest difference {worst:.2e}; targets {'equal' if targets_equal else 'DIFFER'}")
    return worst > MOST or not targets_equal


if __name__ == "__main__":
    sys.exit(main())
