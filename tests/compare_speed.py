#!/usr/bin/env python3
"""Training speed of p2p beside PyTorch's, in turns on the same machine: full networks, 256x256, float32.

    tests/compare_speed.py build/gcc/train/p2p [--batch 1] [--rounds 3] [--steps 8] [--device opencl:0]

Prints images per second of each (the median over rounds of the median step) and the ratio to the better of PyTorch
plain and channels_last. Data loading is in p2p's figure and not in PyTorch's. Needs PyTorch; nothing is asserted.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch

from pytorch_pix2pix import Discriminator, Generator, Training, initialise

WARM_UP = 2


def pytorch_rate(batch, steps, channels_last):
    generator, discriminator = Generator(3, 3, 8, 64, dropout=0.5), Discriminator(6, 64)
    initialise(generator, 0.02, 1)
    initialise(discriminator, 0.02, 2)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    training = Training(generator.to(memory_format=layout), discriminator.to(memory_format=layout))
    pair = [torch.rand(batch, 3, 256, 256).mul(2).sub(1).to(memory_format=layout) for _ in range(2)]
    seconds = []
    for step in range(WARM_UP + steps):
        start = time.perf_counter()
        training.step(*pair)
        if step >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return batch / statistics.median(seconds)


def p2p_rate(program, device, batch, steps, folder):
    """From the times at which the lines of metrics.jsonl appear: the program flushes each step's."""
    command = [program, "train", "--data", str(folder / "data"), "--out", tempfile.mkdtemp(dir=folder), "--batch", str(batch),
               "--steps", str(WARM_UP + steps + 1), "--device", device]
    metrics = pathlib.Path(command[5]) / "metrics.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        times, seen = [], 0
        while process.poll() is None:
            count = metrics.read_bytes().count(b'"images_per_s"') if metrics.exists() else 0
            if count > seen:
                times.append(time.perf_counter())
                seen = count
            time.sleep(0.002)
        if process.returncode != 0:
            raise SystemExit(process.stderr.read().decode())
    seconds = [after - before for before, after in zip(times, times[1:])][WARM_UP - 1:steps + WARM_UP - 1]
    return batch / statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="opencl:0")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rates = {"p2p": [], "PyTorch": [], "PyTorch channels_last": []}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pairs = str((WARM_UP + arguments.steps + 2) * arguments.batch)
        subprocess.run([arguments.program, "sample-data", str(folder / "data"), "--count", pairs], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(arguments.rounds):
            rates["p2p"].append(p2p_rate(arguments.program, arguments.device, arguments.batch, arguments.steps, folder))
            rates["PyTorch"].append(pytorch_rate(arguments.batch, arguments.steps, False))
            rates["PyTorch channels_last"].append(pytorch_rate(arguments.batch, arguments.steps, True))
    best = max(statistics.median(rates[name]) for name in rates if name != "p2p")
    for name, values in rates.items():
        print(f"{name:24} {statistics.median(values):7.3f} images/s   ({min(values):.3f} to {max(values):.3f})")
    ratios = [p / max(a, b) for p, a, b in zip(*rates.values())]
    print(f"batch {arguments.batch}: p2p is {statistics.median(rates['p2p']) / best:.2f} times the better PyTorch "
          f"{torch.__version__} with {arguments.threads} threads (by round: {', '.join(f'{r:.2f}' for r in ratios)})")
    print(json.dumps({"batch": arguments.batch, "rates": rates}))


if __name__ == "__main__":
    main()
