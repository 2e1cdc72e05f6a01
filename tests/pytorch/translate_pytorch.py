#!/usr/bin/env python3
"""Compare pictures drawn by p2p and by PyTorch with a model that p2p has trained.

    python3 tests/pytorch/translate_pytorch.py --p2p build/gcc/train/p2p --model run/generator.safetensors PICTURE...

Translates each picture with `p2p translate --test-dropout off`, and with PyTorch from the same file: a generator with
PyTorch's names, load_state_dict, one forward pass in training mode (so that normalisation takes the picture's own
statistics, as the published test mode does). Prints the greatest difference per picture and fails above 2 of 255. Sides
must be multiples of 2^depth. Dropout is off, because its masks differ between programs. Needs PyTorch,
Pillow and safetensors.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pytorch_pix2pix import Generator

MOST = 2


def load_generator(path):
    with safe_open(path, "pt") as file:
        about = file.metadata()
    sizes = [int(about[key]) for key in ("input_channels", "output_channels", "depth", "ngf")]
    generator = Generator(*sizes)
    generator.load_state_dict(load_file(path))
    return generator.train()


def to_tensor(picture):
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.reshape(picture.height, picture.width, 3).permute(2, 0, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--p2p", required=True, help="the program")
    parser.add_argument("--model", required=True, help="generator.safetensors of batch norm")
    parser.add_argument("--device", default="auto")
    parser.add_argument("pictures", nargs="+")
    arguments = parser.parse_args()
    generator = load_generator(arguments.model)
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(arguments.pictures):
            picture, out = Image.open(path).convert("RGB"), os.path.join(folder, f"{number}.png")
            device = [] if arguments.device == "auto" else ["--device", arguments.device]
            subprocess.run([arguments.p2p, "translate", "--model", arguments.model, "--test-dropout", "off", "-o", out,
                            path, *device], check=True, stdout=subprocess.DEVNULL)
            with torch.no_grad():
                drawn = generator(to_tensor(picture)[None].float() / 127.5 - 1)[0]
            here = ((drawn + 1) * 127.5).round().clamp(0, 255).int()
            difference = (here - to_tensor(Image.open(out)).int()).abs()
            worst = max(worst, difference.max().item())
            print(f"{path}: greatest difference {difference.max().item()} of 255, mean {difference.float().mean():.5f}")
    print("equal" if worst <= MOST else f"FAILED: more than {MOST}")
    return worst > MOST


if __name__ == "__main__":
    sys.exit(main())
