#!/usr/bin/env python3
"""Images per second of p2p and of PyTorch on this machine's CPU: the same networks, batches and threads.

In each round every contender has its turn, so what else the machine does falls on all of them. A contender's figure
is the median over rounds of its median step; a ratio is the median over rounds of the ratio within a round. p2p's
figures are those of `p2p bench --json`. PyTorch is measured eager, with channels_last and, with --compile, through
torch.compile, in float32 and with its convolutions in bfloat16 (autocast); the best of a precision is what p2p is
compared with. Translation is the generator alone in the paper's test mode, dropout on. Nothing is asserted.

The machine should be idle. PyTorch's threads wait for each other after every operation, so a second program costs it
several times its share; OMP_WAIT_POLICY=passive in the environment helps it then. How much of the processors other
programs took is printed. Needs Linux's /proc.
"""

import argparse
import itertools
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from pytorch_pix2pix import Discriminator, Generator, Training, initialise

SIZE, DEPTH, FILTERS = 256, 8, 64
WARM_UP = 1  # per turn: caches were used by others since
BUSY = 0.05  # share of the processors that others may take before the figures are called in question
WORKLOADS = {"train-1": ("train", 1), "train-4": ("train", 4), "translate-1": ("translate", 1)}


def under_autocast(network):
    """Convolutions in bfloat16; what comes out is float32 again, so that losses are."""
    forward = network.forward

    def run(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = forward(x)
        return y.float()

    network.forward = run


def peak_memory():
    """Bytes in RAM at most. Not getrusage: it includes the process that this one was started by."""
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def make_step(what, batch, channels_last, compiled, bf16):
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def prepare(network, seed):
        initialise(network, 0.02, seed)
        network.to(memory_format=layout)
        if bf16:
            under_autocast(network)
        if compiled:
            network.compile()
        return network

    generator = prepare(Generator(3, 3, DEPTH, FILTERS, dropout=0.5), 1)
    pair = [torch.rand(batch, 3, SIZE, SIZE).mul(2).sub(1).to(memory_format=layout) for _ in range(2)]
    if what == "translate":
        return torch.no_grad()(lambda: generator(pair[0]))
    training = Training(generator, prepare(Discriminator(6, FILTERS), 2))
    return lambda: training.step(*pair)


def work(way, threads):
    """A process of its own for a way of PyTorch's: a number of steps per line in, the seconds of each out."""
    torch.set_num_threads(threads)
    step = make_step(**way)
    for line in sys.stdin:
        seconds = []
        for _ in range(WARM_UP + int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds[WARM_UP:], "peak_bytes": peak_memory()}), flush=True)


class PyTorch:
    """One way of running a workload in PyTorch, in a process that waits between its turns."""

    def __init__(self, threads, **way):
        self.batch, self.precision = way["batch"], "bf16" if way["bf16"] else "fp32"
        self.name = ("compile" if way["compiled"] else "eager") + (", channels_last" if way["channels_last"] else "")
        self.command = [sys.executable, __file__, "--work", json.dumps(way), "--threads", str(threads)]
        self.process, self.peak_bytes = None, 0

    def measure(self, steps):
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.peak_bytes = answer["peak_bytes"]
        return self.batch / statistics.median(answer["seconds"])

    def close(self):
        if self.process is not None:
            self.process.communicate()  # closes its input, which ends it


class P2P:
    name, precision = "p2p", "fp32"

    def __init__(self, what, batch, program, device, threads):
        self.command = [program, "bench", "--what", what, "--batch", str(batch), "--size", str(SIZE),
                        "--device", device, "--json"]
        # The names of PoCL 3 and of later ones.
        self.environment = dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(threads), POCL_CPU_MAX_CU_COUNT=str(threads))
        self.results = []

    def run(self, steps, **environment):
        done = subprocess.run(self.command + ["--steps", str(steps)], env=dict(self.environment, **environment),
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        return json.loads(done.stdout)

    def measure(self, steps):
        self.results.append(self.run(steps))
        return self.results[-1]["images_per_s"]

    def cold_start(self):
        with tempfile.TemporaryDirectory() as folder:
            return self.run(1, POCL_CACHE_DIR=folder)["first_step_s"]


    def close(self):
        pass


def contenders(what, batch, compiled, threads):
    ways = itertools.product([False, True], [False, True] if compiled else [False], [False, True])
    return [PyTorch(threads, what=what, batch=batch, bf16=bf16, compiled=c, channels_last=last)
            for bf16, c, last in ways]


def take_turns(everyone, rounds, steps):
    """Rates per contender, a list each; a way of PyTorch's that fails is left out and said."""
    rates = {one: [] for one in everyone}
    for number in range(rounds):
        for one in list(rates):
            print(f"round {number + 1} of {rounds}: {one.precision} {one.name}", file=sys.stderr)
            try:
                rates[one].append(one.measure(steps))
            except (OSError, ValueError) as error:  # its process ended; it has said why
                print(f"left out: {one.precision} {one.name}: {error}", file=sys.stderr)
                del rates[one]
    for one in everyone:
        one.close()
    return rates


def ratio(ours, theirs):
    by_round = [a / b for a, b in zip(ours, theirs)]
    return f"**{statistics.median(by_round):.2f}** ({min(by_round):.2f} to {max(by_round):.2f})"


def best_of(rates, precision):
    return max((one for one in rates if isinstance(one, PyTorch) and one.precision == precision),
               key=lambda one: statistics.median(rates[one]))


def compare(name, arguments):
    """Three table rows, and what p2p said of itself."""
    what, batch = WORKLOADS[name]
    ours = P2P(what, batch, arguments.program, arguments.device, arguments.threads)
    cold = ours.cold_start() if arguments.cold else None
    rates = take_turns([ours, *contenders(what, batch, arguments.compile, arguments.threads)], arguments.rounds,
                       arguments.steps)
    title, best = f"{what}, batch {batch}", {precision: best_of(rates, precision) for precision in ("fp32", "bf16")}
    ways = [f"{statistics.median(values):.2f}" for values in rates.values()]
    ratios = [ratio(rates[ours], rates[one]) for one in best.values()]
    field = {name: statistics.median(result[name] for result in ours.results)
             for name in ("first_step_s", "host_peak_bytes", "gflops", "best_convolution_gflops")}
    start = [f"{field['gflops']:.0f}", f"{field['best_convolution_gflops']:.0f}", f"{field['first_step_s']:.1f}",
             "not measured" if cold is None else f"{cold:.1f}", f"{field['host_peak_bytes'] / 1e6:.0f}",
             f"{best['fp32'].peak_bytes / 1e6:.0f}"]
    heads = [f"{one.name} {one.precision}" for one in rates]
    return {"heads": heads, "rates": [title, *ways], "ratios": [title, *ratios], "start": [title, *start],
            "ours": ours.results[-1]}


class Others:
    """The share of the processors that other programs, or the host of a virtual machine, took since the start."""

    def __init__(self):
        self.begin = self.now()

    @staticmethod
    def now():
        """(processor seconds of all programs, of this one and its finished children)"""
        fields = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
        user, nice, system, _, _, irq, softirq, steal = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields)
        return user + nice + system + irq + softirq + steal, sum(os.times()[:4]), time.monotonic()

    def share(self):
        everyone, own, seconds = (after - before for before, after in zip(self.begin, self.now()))
        return max(everyone - own, 0) / (seconds * os.cpu_count())


def cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_table(header, rows):
    for cells in [header, ["---"] * len(header), *rows]:
        print("| " + " | ".join(cells) + " |")
    print()


def main():
    parser = argparse.ArgumentParser(prog="ci/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", help=argparse.SUPPRESS)  # p2p: ci/bench gives it
    parser.add_argument("--work", help=argparse.SUPPRESS)  # a way of PyTorch's: this is its process
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender (%(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="steps per turn (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each contender (%(default)s)")
    parser.add_argument("--device", default="opencl:0", help="p2p's device (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="also torch.compile, which takes minutes to begin")
    parser.add_argument("--cold", action="store_true", help="also p2p's first step with PoCL's kernel cache empty")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    arguments = parser.parse_args()
    if arguments.work:
        return work(json.loads(arguments.work), arguments.threads)
    others = Others()
    compared = {name: compare(name, arguments) for name in arguments.workload or WORKLOADS}
    share = others.share()
    ours = next(iter(compared.values()))["ours"]
    print(f"{cpu_name()}, {arguments.threads} threads each; p2p {ours['version']} on {ours['device']} "
          f"({ours['device_name']}), PyTorch {torch.__version__} on the CPU; {SIZE}x{SIZE}, "
          f"{arguments.rounds} rounds of {arguments.steps} steps in turns. Other programs took {share:.0%} of the "
          f"processors{': too much, these figures say little.' if share > BUSY else '.'}\n")
    print("Images per second:\n")
    for heads, group in itertools.groupby(compared.values(), key=lambda one: one["heads"]):
        print_table(["", *heads], [one["rates"] for one in group])
    print("p2p (fp32) over the best PyTorch of a precision:\n")
    print_table(["", "fp32", "bf16 autocast"], [one["ratios"] for one in compared.values()])
    print("Work, start and memory:\n")
    print_table(["", "p2p GFLOP/s", "its best convolution", "first step, s", "with a cold cache, s", "peak memory, MB",
                 "of PyTorch fp32, MB"], [one["start"] for one in compared.values()])


if __name__ == "__main__":
    main()
