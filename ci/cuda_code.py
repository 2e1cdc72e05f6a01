"""Registers and shared memory of each CUDA kernel, by the assembler's own account, beside the committed table.

  python3 ci/cuda_code.py [--update] FOLDER

FOLDER, of a build, has NAME.fatbin.txt of each kernels/NAME.cu, what the assembler printed, and compiler.txt: its version,
the architectures, the names. The tables are tests/golden/cuda_code_X.Y.txt. Another version of the assembler gives other
figures, so only its spills are checked, and the comparison is printed as skipped."""

import os
import pathlib
import re
import sys

GOLDEN = pathlib.Path(os.environ.get("P2P_TEST_GOLDEN", pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"))
ENTRY = re.compile(r"entry function '(\w+)' for 'sm_(\d+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores.*?"
                   r"Used (\d+) registers([^\n]*)", re.S)


def read(folder, files, architectures):
    """{"copy adam": {70: (registers, shared bytes)}}, and the kernels in local memory."""
    kernels, spilled = {}, []
    for file in files:
        text = (folder / f"{file}.fatbin.txt").read_text()
        for name, architecture, stack, stores, registers, rest in ENTRY.findall(text):
            shared = re.search(r"(\d+) bytes smem", rest)
            key = f"{file} {name}"
            if int(architecture) in architectures:
                kernels.setdefault(key, {})[int(architecture)] = int(registers), int(shared.group(1)) if shared else 0
            if int(stack) + int(stores) > 0:
                spilled.append(f"{key} for sm_{architecture}: {stack} bytes of local memory, {stores} of spills")
    return kernels, spilled


def line(name, figures):
    shared = sorted({bytes_ for _, bytes_ in figures.values()})
    if len(shared) == 1:
        memory = f"{shared[0]} shared"
    else:
        memory = "shared " + " ".join(f"{key}:{value[1]}" for key, value in sorted(figures.items()))
    return f"{name}: {memory}, registers " + " ".join(f"{key}:{value[0]}" for key, value in sorted(figures.items()))


def limited(text, architectures):
    """A line of the table with these architectures only."""
    return re.sub(r" (\d+):\d+", lambda match: match.group(0) if int(match.group(1)) in architectures else "", text)


def main(arguments):
    update = "--update" in arguments
    folder = pathlib.Path([word for word in arguments if word != "--update"][0])
    version, listed, files = (folder / "compiler.txt").read_text().splitlines()
    architectures = {int(word) for word in listed.split()}
    kernels, spilled = read(folder, files.split(), architectures)
    for text in spilled:
        print(f"in memory: {text}")
    incomplete = [name for name, figures in kernels.items() if figures.keys() != architectures]
    for name in incomplete:
        print(f"{name}: the assembler said nothing for some architectures")
    found = [line(name, figures) for name, figures in sorted(kernels.items())]
    path = GOLDEN / f"cuda_code_{'.'.join(version.split('.')[:2])}.txt"
    heading = f"# Shared memory in bytes and registers of a thread, by architecture. Written by ci/cuda-code --update with {version}"
    if update:
        path.write_text("\n".join([heading, *found]) + "\n")
        print(f"{path.name}: {len(found)} kernels")
    elif not path.exists() or path.read_text().splitlines()[0] != heading:
        known = ", ".join(sorted(file.name for file in GOLDEN.glob("cuda_code_*.txt")))
        print(f"SKIPPED: registers of CUDA kernels: the toolkit here is {version}; {known} are of others")
    else:
        committed = [limited(text, architectures) for text in path.read_text().splitlines()[1:]]
        differences = [f"- {text}" for text in committed if text not in found] + [
            f"+ {text}" for text in found if text not in committed]
        print("\n".join([*differences, f"{len(found)} kernels, {len(differences)} lines differ from {path.name}"]))
        if differences:
            print("ci/cuda-code --update writes what is now")
            return 1
    return 1 if spilled or incomplete else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
