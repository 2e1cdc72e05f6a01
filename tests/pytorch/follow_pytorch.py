#!/usr/bin/env python3
"""Compare p2p's losses with those of PyTorch in double precision, step by step.

    python3 tests/pytorch/follow_pytorch.py --p2p build/gcc/train/p2p --data DIR [--direction BtoA] [--preset tensorflow]

Both start from the same weights and use the same pairs of DIR/train in the same order: batch 1, no jitter, no
mirroring, no shuffling, no dropout. Prints the losses of every step side by side and fails if they differ by more than
1e-5 (relative) at step 1, 2e-3 up to step 6, or 2e-2 up to step 12. Later steps prove nothing: a GAN amplifies
rounding, so any two arithmetics diverge.

For scale, the losses of PyTorch's own float32 are printed too. Not every seed keeps float32 within the bounds: rounding
may move an activation across its kink, which changes gradients at once. Of seeds 1 to 7 on PoCL, five stay within the
bounds; seed 1 exceeds the first two, as PyTorch's own float32 does by the same amount, and seed 2 reaches 2.1e-3 at
step 6. With --preset tensorflow five stay within the bounds too; seeds 1 and 6 reach 5.9e-3 and 7.5e-3 at step 6, where
PyTorch's own float32 reaches 5.6e-3 and 7.5e-3. The default seed stays within the bounds. p2p's reference device
(--device reference:0) computes in double precision, and no seed matters there. Needs PyTorch and Pillow.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch
from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pytorch_pix2pix import (PYTORCH, TENSORFLOW, Discriminator, Generator, Training, initialise, load_safetensors,
                             save_safetensors, state_as_f32)

# (up to step, relative difference allowed)
BOUNDS = [(1, 1e-5), (6, 2e-3), (12, 2e-2)]
# --preset: the layers, the standard deviation of normalisations' scales, and the rest of the training
PRESETS = {"pytorch": (PYTORCH, 0.02, {}), "tensorflow": (TENSORFLOW, 0.0, {"eps": 1e-7, "d_order": "simultaneous"})}
LOSSES = ["d_fake", "d_real", "g_gan", "g_l1"]
IMAGES = (".jpg", ".jpeg", ".png")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--p2p", required=True, help="the program")
    parser.add_argument("--data", required=True, help="folder with train/")
    parser.add_argument("--direction", choices=["AtoB", "BtoA"], default="AtoB")
    parser.add_argument("--preset", choices=list(PRESETS), default="pytorch")
    parser.add_argument("--device", default="auto", help="auto, or an address such as opencl:0")
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--steps", type=int, default=BOUNDS[-1][0])
    parser.add_argument("--seed", type=int, default=3)
    return parser.parse_args()


def pair_paths(folder):
    """Every picture below the folder, in byte order of the paths."""
    found = []
    for where, _, names in os.walk(folder, followlinks=True):
        found += [os.path.join(where, name) for name in names if name.lower().endswith(IMAGES)]
    return sorted(found, key=lambda path: os.fsencode(os.path.relpath(path, folder)))


def load_pair(path, size, direction):
    """(condition, target): 1 x 3 x size x size in [-1, 1], double."""
    image = Image.open(path).convert("RGB")
    half = image.width // 2
    sides = []
    for left in (0, half):
        side = image.crop((left, 0, left + half, image.height)).resize((size, size), Image.BICUBIC)
        pixels = torch.frombuffer(bytearray(side.tobytes()), dtype=torch.uint8).reshape(size, size, 3)
        sides.append(pixels.permute(2, 0, 1)[None].double() / 127.5 - 1)
    return sides if direction == "AtoB" else sides[::-1]


def make_networks(arguments):
    style, scale_stddev, _ = PRESETS[arguments.preset]
    generator = Generator(3, 3, arguments.depth, arguments.filters, style=style)
    discriminator = Discriminator(6, arguments.filters, style=style)
    initialise(generator, 0.02, arguments.seed, scale_stddev=scale_stddev)
    initialise(discriminator, 0.02, arguments.seed + 1, scale_stddev=scale_stddev)
    return generator, discriminator


def train_pytorch(arguments, pairs, dtype):
    """The losses of every step, in this precision."""
    training = Training(*(network.to(dtype) for network in make_networks(arguments)), **PRESETS[arguments.preset][2])
    losses = []
    for step in range(arguments.steps):
        condition, target = (side.to(dtype) for side in pairs[step % len(pairs)])
        losses.append(training.step(condition, target))
    return losses, training.generator


def train_p2p(arguments, folder):
    """The losses of every step, and the generator's state after the last."""
    options = [f"--init-{network}={os.path.join(folder, network)}.safetensors"
               for network in ("generator", "discriminator")]
    for network, name in zip(make_networks(arguments), ("generator", "discriminator")):
        save_safetensors(os.path.join(folder, f"{name}.safetensors"), state_as_f32(network), {"format": "pt"})
    if arguments.device != "auto":
        options.append(f"--device={arguments.device}")
    out = os.path.join(folder, "out")
    subprocess.run([arguments.p2p, "train", "--preset", arguments.preset, "--data", arguments.data, "--out", out,
                    "--direction", arguments.direction, "--steps", str(arguments.steps), "--batch", "1",
                    "--size", str(arguments.size), "--generator", str(arguments.depth),
                    "--ngf", str(arguments.filters), "--ndf", str(arguments.filters), "--dropout", "0",
                    "--resize", "bicubic", "--no-jitter", "--no-flip", "--no-shuffle", *options], check=True)
    with open(os.path.join(out, "metrics.jsonl")) as lines:
        records = [record for record in map(json.loads, lines) if "event" not in record]  # steps, not epochs
    state, _ = load_safetensors(os.path.join(out, "generator.safetensors"))
    return records[: arguments.steps], state


def difference(value, reference):
    return abs(value - reference) / abs(reference)


def compare(ours, double, single):
    """Print all losses; true if every bound holds. NaN fails."""
    print(f"{'step':>4} {'loss':>7} {'p2p':>13} {'PyTorch f64':>13} {'difference':>11} {'PyTorch f32':>11}")
    worst = []
    for step, (a, b, c) in enumerate(zip(ours, double, single), 1):
        for name in LOSSES:
            print(f"{step:4} {name:>7} {a[name]:13.8f} {b[name]:13.8f} {difference(a[name], b[name]):11.2e} "
                  f"{difference(c[name], b[name]):11.2e}")
        worst.append([max(difference(x[name], b[name]) for name in LOSSES) for x in (a, c)])
    holds = True
    for last, bound in BOUNDS:
        if last > len(worst):
            break
        own, single_precision = (max(step[i] for step in worst[:last]) for i in range(2))
        fine = own <= bound
        holds = holds and fine
        print(f"up to step {last:2}: {own:.2e}, allowed {bound:.0e}, PyTorch's own float32 {single_precision:.2e}"
              f"{'' if fine else '  TOO FAR'}")
    return holds


def compare_weights(state, generator):
    """Load p2p's file into PyTorch's network, name by name, and print the differences of the weights."""
    expected = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    generator.load_state_dict(state)
    parted = torch.cat([(tensor - expected[name]).flatten() for name, tensor in generator.state_dict().items()])
    size = torch.cat([tensor.flatten() for tensor in expected.values()])
    share = parted.norm() / size.norm()
    print(f"p2p's generator.safetensors loads into PyTorch and differs by {share:.2e} of its size")


def main():
    arguments = parse_arguments()
    pairs = [load_pair(path, arguments.size, arguments.direction)
             for path in pair_paths(os.path.join(arguments.data, "train"))]
    with tempfile.TemporaryDirectory() as folder:
        ours, state = train_p2p(arguments, folder)
    double, generator = train_pytorch(arguments, pairs, torch.float64)
    single, _ = train_pytorch(arguments, pairs, torch.float32)
    if len(ours) < arguments.steps:
        sys.exit(f"p2p wrote {len(ours)} steps of {arguments.steps}")
    holds = compare(ours, double, single)
    compare_weights(state, generator)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
