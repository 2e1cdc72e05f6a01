#!/usr/bin/env python3
"""Compile the kernels for GPUs, without a GPU, and compare what the compilers make of them with committed text.

For each vendor a file lists programs, that is kernel files and -D options, and the kernel of each that is launched
(tests/backend-opencl/gpu_programs.c). Each program is compiled for each device of the vendor. It fails if a program
does not compile, if a kernel keeps in memory what should be in registers, and if registers, occupancy or SIMD width
differ from tests/golden/gpu_code_VENDOR.txt. Results are kept below the folder by source, options and compiler."""

import argparse
import concurrent.futures
import fnmatch
import hashlib
import json
import os
import pathlib
import re
import sys
import tempfile
import time

import gpu_compilers
from gpu_compilers import Failed, Kernel

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"

# One for each instruction set. Names that a compiler does not support are skipped, and printed.
DEVICES = {
    "intel": ["bdw", "skl", "icllp", "tgllp", "dg2", "pvc", "mtl-h", "arl-h", "lnl-m", "bmg-g21"],
    "amd": ["gfx906", "gfx90a", "gfx1030", "gfx1100"],
    "nvidia": ["sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90"],
}
QUICK_DEVICES = {"intel": ["dg2"], "amd": ["gfx1030"], "nvidia": ["sm_80"]}

# Kernels that may be in memory: devices, "PROGRAM : KERNEL" (a pattern of the shell), why.
EXCLUDED = [
    ("pvc", "*", "the compiler of 2022 takes SIMD32 for every kernel, which leaves 64 registers to a work-item"),
    ("bdw skl icllp tgllp dg2", "* : norm_whole", "a summary of 36 bytes, moved once for 8 positions that are read"),
    ("tgllp", "* : norm_bwd_whole", "128 bytes, sums of one position"),
    ("bdw", "*conv_gpu_subgroup.cl*-DBLOCKS=2*-DSTORED_BF16*", "64 bytes, on processors of 2014"),
    ("bdw", "*conv_gpu_subgroup.cl*-DBLOCKS=2*-DTRANSPOSED*", "1024 bytes, on processors of 2014; the tuner measures others"),
    ("bdw", "*conv_gpu_data.cl -DGROUP_M=8 -DGROUP_N=16 -DITEM_M=8 -DITEM_N=4*-DPARTS*", "4 registers, likewise"),
    ("bdw", "*conv_gpu_winograd_products.cl -DGROUP_M=8 -DGROUP_N=16 -DITEM_M=8 -DITEM_N=4*-DA_SUMMED*", "208 bytes, likewise"),
    ("bdw skl", "*conv_gpu_filter.cl -DGROUP_M=* -DGROUP_N=16 -DITEM_M=8 -DITEM_N=4*",
     "up to 256 bytes of filter gradients by 128x64 and 64x64 on processors' GPUs of 2014 and 2015, whose planner has "
     "no such candidates"),
    ("sm_70 sm_75 sm_80 sm_86 sm_89 sm_90", "*conv_gemm.cl* : im2col",
     "clang stores fewer than 16 channels from an array in memory; only the family of the matrix library has it"),
]


# ---- Programs ------------------------------------------------------------------------------------------------

def read_programs(path):
    """{program: [kernels that are launched]}, in the file's order"""
    programs = {}
    for line in path.read_text().splitlines():
        program, kernel = line.split(" : ")
        programs.setdefault(program, []).append(kernel)
    return programs


def sums_of(program):
    """Results of a work-item of a tile; 0 without a tile."""
    size = [int(number) for number in re.findall(r"-DITEM_[MN]=(\d+)", program)]
    return size[0] * size[1] if size else 0


def quick_part(programs):
    """For each kernel the program that needs most registers, as far as its options show."""
    chosen = {}
    for program, kernels in programs.items():
        for kernel in kernels:
            rank = (sums_of(program), len(program), program)
            if kernel not in chosen or rank > chosen[kernel][0]:
                chosen[kernel] = (rank, program)
    wanted = {program for _, program in chosen.values()}
    return {program: kernels for program, kernels in programs.items() if program in wanted}


# ---- Compilation ---------------------------------------------------------------------------------------------

compiler = None  # of a worker process


def open_compiler(vendor, folder):
    global compiler
    compiler = gpu_compilers.VENDORS[vendor](pathlib.Path(folder))


def kept_file(program, device, cache, mix):
    """Where the result for a device is kept."""
    key = "\0".join([compiler.version, device, str(mix), pathlib.Path(gpu_compilers.__file__).read_text(), program,
                     gpu_compilers.source_of(program)[0]])
    return pathlib.Path(cache) / hashlib.sha256(key.encode()).hexdigest()


def compile_program(program, devices, cache, mix):
    """{device: {kernel: Kernel}}, or the reason why it does not compile"""
    kept = {device: kept_file(program, device, cache, mix) for device in devices}
    found = {device: json.loads(path.read_text()) for device, path in kept.items() if path.exists()}
    missing = [device for device in devices if device not in found]
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = compiler.compile(program, missing, pathlib.Path(folder), mix) if missing else {}
    except Failed as error:
        return str(error)
    for device, kernels in made.items():
        partial = kept[device].with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(kernels))
        partial.replace(kept[device])
    return {device: {name: Kernel(*values) for name, values in (made.get(device) or found[device]).items()}
            for device in devices}


def compile_all(vendor, programs, devices, arguments):
    """{(program, kernel, device): Kernel}, problems"""
    results, problems = {}, []
    cache = arguments.folder / "kept"
    cache.mkdir(exist_ok=True)
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs, initializer=open_compiler,
                                                initargs=(vendor, arguments.folder)) as pool:
        jobs = [(program, pool.submit(compile_program, program, devices, str(cache), arguments.mix))
                for program in programs]
        for number, (program, job) in enumerate(jobs, 1):
            result = job.result()
            if isinstance(result, str):
                problems.append(f"does not compile: {program}: {result}")
                continue
            for kernel in programs[program]:
                for device in devices:
                    results[program, kernel, device] = result[device][kernel]
            if number % 50 == 0:
                print(f"{vendor}: {number} of {len(jobs)} programs", flush=True)
    return results, problems


# ---- Verdicts ------------------------------------------------------------------------------------------------

def text_of(kernel):
    return kernel.text + (f", {kernel.spilled} bytes in memory" if kernel.spilled else "")


def excluded(program, kernel, device):
    return any(device in devices.split() and fnmatch.fnmatch(f"{program} : {kernel}", what)
               for devices, what, _ in EXCLUDED)


def find_spills(results):
    """(problems, number of excluded ones)"""
    spills = [key for key, kernel in results.items() if kernel.spilled]
    bad = [f"in memory: {device}: {program} : {kernel}: {text_of(results[program, kernel, device])}"
           for program, kernel, device in spills if not excluded(program, kernel, device)]
    return bad, len(spills) - len(bad)


HEAD = "# What compilers make of the kernels for GPUs. Written by ci/gpu-code --update, with\n# {}\n"


def print_golden(vendor, version, texts):
    lines, last = [HEAD.format(version)], None
    for program, kernel, device in sorted(texts, key=lambda key: (*key[:2], DEVICES[vendor].index(key[2]))):
        if (program, kernel) != last:
            lines.append(f"{program} : {kernel}\n")
        last = program, kernel
        lines.append(f"    {device} {texts[program, kernel, device]}\n")
    return "".join(lines)


def parse_golden(path):
    """(compilers' version, {(program, kernel, device): text})"""
    lines, expected = path.read_text().splitlines(), {}
    for line in lines[2:]:
        if line.startswith("    "):
            device, text = line.strip().split(" ", 1)
            expected[program, kernel, device] = text
        else:
            program, kernel = line.split(" : ")
    return lines[1][2:], expected


def update(vendor, version, results, whole):
    """Writes the committed text. What was not compiled now stays if it is of the same compilers."""
    path = GOLDEN / f"gpu_code_{vendor}.txt"
    made_by, texts = parse_golden(path) if path.exists() and not whole else (version, {})
    texts = texts if made_by == version else {}
    path.write_text(print_golden(vendor, version, {**texts, **{key: text_of(result) for key, result in results.items()}}))


def compare(vendor, version, results, whole):
    """Differences from the committed text."""
    path = GOLDEN / f"gpu_code_{vendor}.txt"
    if not path.exists():
        return [f"{vendor}: there is no {path.name}"]
    made_by, expected = parse_golden(path)
    if made_by != version:
        print(f"SKIPPED: comparison with {path.name}: it is of {made_by}, here is {version}")
        return []
    names = {key: f"{key[2]}: {key[0]} : {key[1]}" for key in [*results, *expected]}
    found = [f"{path.name}: {names[key]}: {text_of(result)}, expected {expected.get(key, 'nothing')}"
             for key, result in results.items() if text_of(result) != expected.get(key)]
    if whole:
        found += [f"{path.name}: {names[key]} is no longer listed" for key in expected if key not in results]
    return found


def check_vendor(vendor, arguments):
    """Problems of a vendor."""
    started = time.monotonic()
    try:
        open_compiler(vendor, arguments.folder)
    except Failed as error:
        if arguments.quick:
            print(f"SKIPPED: {vendor}: {error}; ci/gpu-code installs the compilers")
            return []
        return [f"{vendor}: {error}"]
    programs = read_programs(arguments.folder / f"programs_{vendor}.txt")
    if arguments.quick:
        programs = quick_part(programs)
    wanted = arguments.device or (QUICK_DEVICES if arguments.quick else DEVICES)[vendor]
    unknown = {device: reason for device in wanted if device in DEVICES[vendor] and (reason := compiler.unknown(device))}
    for device, reason in unknown.items():
        print(f"SKIPPED: {device}: {reason}")
    devices = [device for device in DEVICES[vendor] if device in wanted and device not in unknown]
    if not devices:
        return []
    results, problems = compile_all(vendor, programs, devices, arguments)
    spills, allowed = find_spills(results)
    problems += spills
    whole = not arguments.quick and not arguments.device
    if arguments.update:
        update(vendor, compiler.version, results, whole)
    else:
        problems += compare(vendor, compiler.version, results, whole)
    if arguments.mix:
        for (program, kernel, device), result in results.items():
            print(f"{device} {program} : {kernel}: {text_of(result)}; {result.mix}")
    print(f"{vendor} ({compiler.version}): {len(programs)} programs for {', '.join(devices)}: {len(results)} kernels, "
          f"{len(spills)} in memory, and {allowed} that EXCLUDED lists; {time.monotonic() - started:.0f} s", flush=True)
    return problems


def main():
    parser = argparse.ArgumentParser(prog="ci/gpu-code", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="with the lists of programs and the compilers")
    parser.add_argument("--vendor", action="append", choices=DEVICES, help="only this one (may be repeated)")
    parser.add_argument("--device", action="append", help="only this one, such as dg2 (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="one program for each kernel and one device of each "
                        "vendor; a vendor without compilers is skipped")
    parser.add_argument("--update", action="store_true", help="write the committed text of what is compiled, instead of comparing")
    parser.add_argument("--mix", action="store_true", help="print the kernels, with their share of multiply-adds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilations at a time (%(default)s)")
    arguments = parser.parse_args()
    known = [device for devices in DEVICES.values() for device in devices]
    for device in arguments.device or []:
        if device not in known:
            parser.error(f"there is no device {device}, only {' '.join(known)}")
    problems = []
    for vendor in arguments.vendor or DEVICES:
        if not arguments.device or set(arguments.device) & set(DEVICES[vendor]):
            problems += check_vendor(vendor, arguments)
    if problems:
        print("\nci/gpu-code: these fail:\n" + "\n".join(problems), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
