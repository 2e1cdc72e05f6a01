#!/usr/bin/env python3
"""Images per second of p2p and of other frameworks on this machine: the same networks, batches and threads.

In each round every contender has one turn, so that other load on the machine affects all of them. The figure of a
contender is the median over rounds of its median step; a ratio is the median over rounds of the ratio within a round.
p2p's figures are those of `p2p bench --json`, in each precision that the device has. PyTorch runs eager, with
channels_last and, with --compile, through torch.compile, in float32 and with convolutions in bfloat16 (autocast). A
variant that fails is left out, with a line.
TensorFlow (a function; with --compile also through XLA), ONNX Runtime and OpenVINO are measured if python3 finds them;
the last two translate one image. p2p is compared with the best variant of each framework and precision. All contenders
normalise by the statistics of the batch, at batch 1 those of the image. Translation is the generator alone in the test
mode of the paper, with dropout (ONNX Runtime and OpenVINO: without). Nothing is asserted. With --cuda PyTorch runs on the
NVIDIA GPU, in float32, in bfloat16, and in tf32 on tensor cores (with which p2p's float32 is compared if its device has
no tf32), and no other framework runs: eager, as one CUDA graph of the whole step, and with --compile in three ways, with
channels_last, fused Adam, and every plan of cuDNN tried. Steps are then given one after the other, and waited for at the
end of a turn.

The machine should be idle. The threads of most frameworks wait for each other after every operation, so a second program
slows them by several times its share; OMP_WAIT_POLICY=passive in the environment then helps PyTorch. The share of the
processors that other programs took is printed. Needs Linux's /proc.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from bench_frameworks import NEEDS, SIZE, make_step, missing, variants_of

WARM_UP = 1  # steps per turn: other contenders have used the caches since the last turn
BUSY = 0.05  # share of the processors for other programs above which the figures are marked as unreliable
WORKLOADS = ("train-1", "train-4", "translate-1")


def peak_memory():
    """The process's peak of bytes in RAM. Not by getrusage, which includes the process that started this one."""
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def time_steps(step, count):
    """Seconds of each step, or, if steps end later than their calls, their mean."""
    finish, seconds = getattr(step, "finish", None), []
    if finish:
        finish()
    begin = time.perf_counter()
    for _ in range(count):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    if not finish:
        return seconds
    finish()
    return [(time.perf_counter() - begin) / count]


def work(variant):
    """The process of one variant: reads a number of steps per line, writes the seconds of each step."""
    step = make_step(variant)
    for line in sys.stdin:
        time_steps(step, WARM_UP)
        print(json.dumps({"seconds": time_steps(step, int(line)), "peak_bytes": peak_memory()}), flush=True)


class Framework:
    """One variant of running a workload in a framework, in a process that waits between its turns."""

    def __init__(self, variant):
        self.framework, self.precision, self.batch = variant["framework"], variant["precision"], variant["batch"]
        self.name = f"{self.framework}, {variant['name']}"
        self.command = [sys.executable, __file__, "--work", json.dumps(variant)]
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
            self.process.communicate()  # closes the process's input, which ends it


class P2P:
    framework = "p2p"

    def __init__(self, what, batch, precision, arguments):
        self.name, self.precision = "p2p", precision
        self.command = [arguments.program, "bench", "--what", what, "--batch", str(batch), "--size", str(SIZE),
                        "--device", arguments.device, "--tune", arguments.tune, "--json"]
        self.command += ["--precision", precision]
        # The variables of PoCL 3 and of later versions.
        threads = str(arguments.threads)
        self.environment = dict(os.environ, POCL_MAX_PTHREAD_COUNT=threads, POCL_CPU_MAX_CU_COUNT=threads)
        self.results, self.cold_s = [], None

    def run(self, steps, **environment):
        done = subprocess.run(self.command + ["--steps", str(steps)], env=dict(self.environment, **environment),
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        return json.loads(done.stdout)

    def measure(self, steps):
        self.results.append(self.run(steps))
        return self.results[-1]["images_per_s"]

    def start_cold(self):
        """The first step with the driver's cache and p2p's own empty."""
        with tempfile.TemporaryDirectory() as driver, tempfile.TemporaryDirectory() as own:
            self.cold_s = self.run(1, POCL_CACHE_DIR=driver, P2P_CACHE_DIR=own)["first_step_s"]

    def of_itself(self, field):
        return statistics.median(result[field] for result in self.results)

    def close(self):
        pass


def p2p_precisions(arguments):
    """fp32, and bf16 and, with --cuda, tf32 if the device has them."""
    precisions = ["fp32"]
    for precision in ("bf16", "tf32") if arguments.cuda else ("bf16",):
        done = subprocess.run([arguments.program, "plan", "--size", "32", "--precision", precision, "--device",
                               arguments.device], capture_output=True, text=True)
        if done.returncode == 0:
            precisions.append(precision)
        else:
            print(f"left out: p2p in {precision}: {done.stderr.strip()}", file=sys.stderr)
    return precisions


def work_of(name):
    """("train", 4) for "train-4"."""
    what, _, batch = name.partition("-")
    if what not in ("train", "translate") or not batch.isdigit() or int(batch) < 1:
        raise argparse.ArgumentTypeError(f"{name} is not train-N or translate-N")
    return what, int(batch)


def workload(name):
    work_of(name)
    return name


def take_turns(everyone, rounds, steps):
    """A list of rates per contender. A variant that fails is reported and left out."""
    rates = {one: [] for one in everyone}
    for number in range(rounds):
        for one in list(rates):
            print(f"round {number + 1} of {rounds}: {one.precision} {one.name}", file=sys.stderr)
            try:
                rates[one].append(one.measure(steps))
            except (OSError, ValueError) as error:  # its process ended and has printed the reason
                print(f"left out: {one.precision} {one.name}: {error}", file=sys.stderr)
                del rates[one]
    for one in everyone:
        one.close()
    return rates


def measure(name, frameworks, arguments):
    """Rates per contender of a workload."""
    what, batch = work_of(name)
    ours = [P2P(what, batch, precision, arguments) for precision in arguments.precisions]
    for one in ours:
        if arguments.cold:
            one.start_cold()
    variants = [dict(variant, threads=arguments.threads)
                for framework in frameworks
                for variant in variants_of(framework, what, batch, arguments.compile, "cuda" if arguments.cuda else "cpu")
                if arguments.only in variant["name"]]
    return take_turns(ours + [Framework(variant) for variant in variants], arguments.rounds, arguments.steps)


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


def rate_rows(measured):
    """Contenders down, workloads across."""
    rows = {}
    for number, rates in enumerate(measured.values()):
        for one, values in rates.items():
            row = rows.setdefault((one.precision, one.name), [""] * len(measured))
            row[number] = f"{statistics.median(values):.2f}"
    return [[f"{name}, {precision}", *row] for (precision, name), row in sorted(
        rows.items(), key=lambda item: (item[0][0] != "fp32", item[0][1] != "p2p"))]


def ratio(ours, theirs):
    by_round = [a / b for a, b in zip(ours, theirs)]
    return f"**{statistics.median(by_round):.2f}** ({min(by_round):.2f} to {max(by_round):.2f})"


def best_of(rates, framework, precision):
    variants = [one for one in rates if one.framework == framework and one.precision == precision]
    return max(variants, key=lambda one: statistics.median(rates[one]), default=None)


def ratio_rows(measured):
    """p2p over the best variant of each framework and precision, in the same precision if p2p has it, else in fp32."""
    rows = []
    others = {(one.precision, one.framework): None for rates in measured.values() for one in rates
              if one.framework != "p2p"}
    for precision, framework in sorted(others, key=lambda other: other[0] != "fp32"):
        cells, ours = [], None
        for rates in measured.values():
            ours = best_of(rates, "p2p", precision) or best_of(rates, "p2p", "fp32")
            theirs = best_of(rates, framework, precision)
            cells.append(ratio(rates[ours], rates[theirs]) if theirs else "")
        rows.append([f"p2p {ours.precision} / {framework} {precision}", *cells])
    return rows


def start_rows(measured):
    """p2p's own figures of work, start and memory, and PyTorch's memory."""
    rows = []
    for (what, batch), rates in zip((work_of(name) for name in measured), measured.values()):
        for one in rates:
            if one.framework != "p2p":
                continue
            pytorch = best_of(rates, "PyTorch", one.precision)
            rows.append([f"{what}, batch {batch}, {one.precision}", f"{one.of_itself('gflops'):.0f}",
                         f"{one.of_itself('peak_gflops'):.0f}", f"{one.of_itself('share_of_peak'):.2f}",
                         f"{one.of_itself('first_step_s'):.1f}", "" if one.cold_s is None else f"{one.cold_s:.1f}",
                         f"{one.of_itself('host_peak_bytes') / 1e6:.0f}",
                         f"{pytorch.peak_bytes / 1e6:.0f}" if pytorch else ""])
    return rows


def print_table(header, rows):
    for cells in [header, ["---"] * len(header), *rows]:
        print("| " + " | ".join(cells) + " |")
    print()


def version(framework):
    package = {"PyTorch": "torch", "TensorFlow": "tensorflow", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}
    for name in (package[framework], package[framework] + "-cpu"):
        try:
            return f"{framework} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            pass
    return framework


def report(measured, frameworks, arguments, share):
    ours = next(one for one in next(iter(measured.values())) if one.framework == "p2p").results[0]
    print(f"{cpu_name()}, {arguments.threads} threads each; p2p {ours['version']} on {ours['device']} "
          f"({ours['device_name']}), {', '.join(version(framework) for framework in frameworks)}; {SIZE}x{SIZE}, "
          f"{arguments.rounds} rounds of {arguments.steps} steps in turns. Other programs took {share:.0%} of the "
          f"processors{': too much for reliable figures.' if share > BUSY else '.'}\n")
    titles = [f"{what}, batch {batch}" for what, batch in (work_of(name) for name in measured)]
    print("Images per second:\n")
    print_table(["", *titles], rate_rows(measured))
    print("p2p over the best variant of a framework:\n")
    print_table(["", *titles], ratio_rows(measured))
    print("Work, start and memory:\n")
    print_table(["p2p", "GFLOP/s", "peak", "share", "first step, s", "with cold caches, s", "peak memory, MB",
                 "of PyTorch, MB"], start_rows(measured))


def available_frameworks():
    present = [framework for framework in NEEDS if not missing(framework)]
    absent = [f"{framework} (no {', '.join(missing(framework))})" for framework in NEEDS if missing(framework)]
    if absent:
        print(f"left out, because python3 ({sys.executable}) lacks them: {'; '.join(absent)}", file=sys.stderr)
    return present


def main():
    parser = argparse.ArgumentParser(prog="ci/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", help=argparse.SUPPRESS)  # p2p; ci/bench passes it
    parser.add_argument("--work", help=argparse.SUPPRESS)  # a variant, as JSON: run its process
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender (%(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="steps per turn (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each contender (%(default)s)")
    parser.add_argument("--device", default="opencl:0", help="p2p's device (%(default)s)")
    parser.add_argument("--tune", choices=("auto", "on", "off"), default="auto", help="p2p's (%(default)s)")
    parser.add_argument("--cuda", action="store_true", help="PyTorch on the NVIDIA GPU instead of the CPU, alone")
    parser.add_argument("--compile", action="store_true",
                        help="also torch.compile and TensorFlow's XLA, which take minutes to begin")
    parser.add_argument("--only", default="", metavar="TEXT",
                        help="of the other frameworks only variants with TEXT in their names, such as compile")
    parser.add_argument("--cold", action="store_true", help="also p2p's first step with PoCL's and its own cache empty")
    parser.add_argument("--workload", action="append", type=workload, metavar="NAME",
                        help="only this one, such as train-16 or translate-1; may be repeated")
    arguments = parser.parse_args()
    if arguments.work:
        return work(json.loads(arguments.work))
    arguments.precisions = p2p_precisions(arguments)
    frameworks, others = available_frameworks(), Others()
    measured = {name: measure(name, frameworks, arguments) for name in arguments.workload or WORKLOADS}
    report(measured, frameworks, arguments, others.share())


if __name__ == "__main__":
    main()
