#!/usr/bin/env python3
"""Compare the quality of models that p2p and PyTorch train in equally many steps.

    python3 tests/pytorch/quality_pytorch.py --p2p build/gcc/train/p2p --data DIR --epochs 10 [--seeds 1,2,3,4,5]

Both sides train from the same random weights on the pairs of DIR/train, in the same order, with the same random crops
and mirroring: batch 1, dropout, a constant rate. Only the masks of dropout and roundings differ. The models of both
sides are measured by `p2p test` on DIR/val, so by the same code, in the paper's test mode. Prints L1, PSNR and SSIM for
each seed and, as Markdown, their means and standard deviations over the seeds, and the mean difference of two models of
one seed with its standard error. Fails if the means of a metric differ by more than the larger standard deviation.

Before that, p2p and PyTorch train two epochs at a rate of nearly 0. Then "D real" of a step depends on its pair, crop,
mirroring and the initial weights only; it must agree within 1e-4 at every step. Each side computes in one thread.
Needs PyTorch and Pillow.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import p2p_draws
from follow_pytorch import load_pair, pair_paths
from pytorch_pix2pix import Discriminator, Generator, Training, initialise, save_safetensors, state_as_f32

METRICS = [("l1", "L1", 4), ("psnr", "PSNR, dB", 2), ("ssim", "SSIM", 3)]
SIDES = ["p2p", "PyTorch"]
STILL = 1e-9  # a learning rate
SAME = 1e-4  # relative difference of D real
NETWORKS = ["generator", "discriminator"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--p2p", required=True, help="the program")
    parser.add_argument("--data", required=True, help="folder with train/ and val/, pairs side by side")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1, 2, 3, 4, 5])
    parser.add_argument("--direction", choices=["AtoB", "BtoA"], default="AtoB")
    parser.add_argument("--device", default="auto", help="auto, or an address such as opencl:0")
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--load-size", type=int, default=286)
    parser.add_argument("--depth", type=int, default=8)
    return parser.parse_args()


# ---- PyTorch -----------------------------------------------------------------------------------------------------------


def augment(side, size, choice):
    left, top, mirrored = choice
    crop = side[:, :, top : top + size, left : left + size]
    return crop.flip(3) if mirrored else crop


def make_networks(arguments, seed):
    """With the initial weights of a seed."""
    networks = (Generator(3, 3, arguments.depth, arguments.filters, dropout=0.5), Discriminator(6, arguments.filters))
    for number, network in enumerate(networks):
        initialise(network, 0.02, 1000 * seed + number)
    return networks


def train_pytorch(arguments, seed, pairs, epochs, rate):
    """(the losses of every step, the generator)."""
    torch.manual_seed(seed)
    training = Training(*make_networks(arguments, seed), learning_rate=rate)
    spare, losses = arguments.load_size - arguments.size, []
    for epoch in range(epochs):
        for sample in p2p_draws.order(len(pairs), seed, epoch):
            choice = p2p_draws.augmentation(spare, seed, epoch, sample)
            losses.append(training.step(*(augment(side, arguments.size, choice) for side in pairs[sample])))
    return losses, training.generator


# ---- p2p ---------------------------------------------------------------------------------------------------------------


def run_p2p(arguments, *words):
    """Run it in one thread."""
    environment = dict(os.environ, POCL_MAX_PTHREAD_COUNT="1", POCL_CPU_MAX_CU_COUNT="1")
    device = [] if arguments.device == "auto" else ["--device", arguments.device]
    done = subprocess.run([arguments.p2p, *words, *device], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)


def train_p2p(arguments, seed, folder, epochs, rate):
    """(the losses of every step, the path of the generator)."""
    starts = [os.path.join(folder, f"{name}-{seed}.safetensors") for name in NETWORKS]
    for network, path in zip(make_networks(arguments, seed), starts):
        save_safetensors(path, state_as_f32(network), {"format": "pt"})
    out = os.path.join(folder, f"p2p-{seed}-{epochs}")
    run_p2p(arguments, "train", "--data", arguments.data, "--out", out, "--direction", arguments.direction,
            "--epochs", str(epochs), "--lr", str(rate), "--lr-policy", "constant", "--seed", str(seed),
            "--size", str(arguments.size), "--load-size", str(arguments.load_size), "--workers", "1",
            "--generator", str(arguments.depth), "--ngf", str(arguments.filters), "--ndf", str(arguments.filters),
            "--save-every", str(epochs), "--keep-samples", "1", "--init-generator", starts[0], "--init-discriminator",
            starts[1])
    with open(os.path.join(out, "metrics.jsonl")) as lines:
        records = [record for record in map(json.loads, lines) if "event" not in record]  # steps, not epochs
    return records, os.path.join(out, "generator.safetensors")


def measure(arguments, model, out):
    """The mean L1, PSNR and SSIM on DIR/val."""
    run_p2p(arguments, "test", "--model", model, "--data", arguments.data, "--out", out, "--size", str(arguments.size),
            "--direction", arguments.direction)
    with open(os.path.join(out, "metrics.json")) as file:
        return json.load(file)["mean"]


# ---- Comparing -----------------------------------------------------------------------------------------------------------


def check_same_course(arguments, pairs, folder):
    """End the program unless both sides take the same crops of the same pairs in the same order."""
    seed = arguments.seeds[0]
    ours, _ = train_p2p(arguments, seed, os.path.join(folder, "still"), 2, STILL)
    theirs, _ = train_pytorch(arguments, seed, pairs, 2, STILL)
    worst = max(abs(a["d_real"] / b["d_real"] - 1) for a, b in zip(ours, theirs, strict=True))
    print(f"without learning, D real differs by at most {worst:.1e} in {len(ours)} steps", flush=True)
    if not worst <= SAME:
        sys.exit(f"more than {SAME:.0e}: the two sides do not see the same pairs")


def train_both(arguments, seed, pairs, folder):
    """{side: metrics} of a seed."""
    began = time.monotonic()
    losses, model = train_p2p(arguments, seed, folder, arguments.epochs, 2e-4)
    halfway = time.monotonic()
    theirs, generator = train_pytorch(arguments, seed, pairs, arguments.epochs, 2e-4)
    seconds = [halfway - began, time.monotonic() - halfway]
    other = os.path.join(folder, f"pytorch-{seed}.safetensors")
    save_safetensors(other, state_as_f32(generator), {"format": "pt"})
    if len(losses) != len(theirs):
        sys.exit(f"p2p made {len(losses)} steps, PyTorch {len(theirs)}")
    found = {}
    for side, path, took, steps in zip(SIDES, (model, other), seconds, (losses, theirs)):
        found[side] = measure(arguments, path, os.path.join(folder, f"{side}-tested-{seed}"))
        numbers = ", ".join(f"{name} {found[side][key]:.{digits}f}" for key, name, digits in METRICS)
        tail = statistics.mean(step["g_l1"] for step in steps[-len(pairs):])
        print(f"seed {seed}, {side}: {numbers}; L1 of the last epoch {tail:.4f}; {took:.0f} s", flush=True)
    return found


def compare(results):
    """Print the table; true if no mean differs by more than the spread."""
    print(f"\n| mean ± standard deviation, {len(results)} seeds | {' | '.join(SIDES)} | difference ± standard error |")
    print("|---|---|---|---|")
    holds = True
    for key, name, digits in METRICS:
        values = [[found[side][key] for found in results] for side in SIDES]
        means, spreads = [statistics.mean(side) for side in values], [statistics.stdev(side) for side in values]
        differences = [ours - theirs for ours, theirs in zip(*values)]
        error = statistics.stdev(differences) / len(differences) ** 0.5
        cells = [*zip(means, spreads), (statistics.mean(differences), error)]
        print(f"| {name} | " + " | ".join(f"{mean:.{digits}f} ± {spread:.{digits}f}" for mean, spread in cells) + " |")
        holds = holds and abs(means[0] - means[1]) <= max(spreads)
    print("\nno mean differs by more than the spread" if holds else "\nFAILED: a mean differs by more than the spread")
    return holds


def main():
    arguments = parse_arguments()
    if len(arguments.seeds) < 2:
        sys.exit("--seeds: a spread takes at least two")
    torch.set_num_threads(1)
    pairs = [[side.float() for side in load_pair(path, arguments.load_size, arguments.direction)]
             for path in pair_paths(os.path.join(arguments.data, "train"))]
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "still"))
        check_same_course(arguments, pairs, folder)
        results = [train_both(arguments, seed, pairs, folder) for seed in arguments.seeds]
    sys.exit(0 if compare(results) else 1)


if __name__ == "__main__":
    main()
