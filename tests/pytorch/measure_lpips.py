#!/usr/bin/env python3
"""Measure LPIPS, a distance of pictures by the features of a trained network, of what `p2p test` wrote.

    python3 tests/pytorch/measure_lpips.py MEASURED [NETWORK]      MEASURED: --out of p2p test; NETWORK: alex, vgg, squeeze

Prints the distance of each generated picture from its target, and the mean. Needs PyTorch, Pillow and lpips, which
downloads the weights of NETWORK (default alex) when it is first used.
"""

import os
import sys

import lpips
import torch
from PIL import Image


def load(path):
    """1 x 3 x height x width in [-1, 1], as LPIPS takes it."""
    picture = Image.open(path).convert("RGB")
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.reshape(picture.height, picture.width, 3).permute(2, 0, 1)[None].float() / 127.5 - 1


def files_below(folder):
    """The paths of all files relative to the folder, in order."""
    return sorted(os.path.relpath(os.path.join(where, name), folder)
                  for where, _, names in os.walk(folder) for name in names)


@torch.no_grad()
def distances(network, measured):
    """The distance of each picture by its name."""
    kinds = ("generated", "target")
    return {name: network(*(load(os.path.join(measured, kind, name)) for kind in kinds)).item()
            for name in files_below(os.path.join(measured, kinds[0]))}


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    found = distances(lpips.LPIPS(net=sys.argv[2] if len(sys.argv) == 3 else "alex"), sys.argv[1])
    for name, distance in found.items():
        print(f"{distance:.4f} {name}")
    print(f"mean LPIPS of {len(found)} pictures: {sum(found.values()) / len(found):.4f}")


if __name__ == "__main__":
    main()
