#!/usr/bin/env python3
"""Compile programs of kernels for GPUs, without a GPU, and print registers, memory and instructions of each kernel.

A program is a line as p2p's verbose log prints it: kernel files, then -D options. For NVIDIA clang makes PTX and ptxas
machine code, which cuobjdump disassembles; for AMD clang makes assembly with comments on its resources. libclc provides
the functions of OpenCL C. Nothing is run. Fails if a program does not compile, and if a kernel has bytes of stack or
scratch, that is, keeps in memory what should be in registers."""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

KERNELS = pathlib.Path(__file__).resolve().parent.parent / "backend-opencl" / "kernels"
OPTIONS = ["-x", "cl", "-cl-std=CL1.2", "-cl-mad-enable", "-cl-denorms-are-zero", "-cl-no-signed-zeros", "-O3",
           "-ffp-contract=on", "-w", "-Xclang", "-finclude-default-header"]
LIBRARIES = pathlib.Path("/usr/lib/clc")


class Failed(Exception):
    pass


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip()[-1500:]}")
    return done.stdout + done.stderr


def compiler():
    """The newest clang-N in /usr/bin; libclc is of the same version."""
    found = sorted(pathlib.Path("/usr/bin").glob("clang-[0-9]*"), key=lambda path: int(path.name.split("-")[1]))
    if not found:
        raise SystemExit("ci/gpu-code: no clang-N in /usr/bin")
    return found[-1]


def write_source(program, folder):
    """(path of the program's concatenated files, -D options)"""
    words = program.split()
    files = [word for word in words if word.endswith((".cl", ".clh"))]
    path = folder / "program.cl"
    path.write_text("".join(f'#line 1 "{name}"\n{next(KERNELS.rglob(name)).read_text()}' for name in files))
    return path, [word for word in words if word.startswith("-D")]


def link(library):
    return ["-Xclang", "-mlink-bitcode-file", "-Xclang", LIBRARIES / library]


def nvidia(clang, source, defines, folder, arch):
    """{kernel: text}, {kernel: bytes in memory}"""
    ptx, code = folder / "program.ptx", folder / "program.cubin"
    no_offset = "-Dget_global_offset(d)=0UL"  # libclc lacks it for NVIDIA
    run(clang, *OPTIONS, *defines, no_offset, "-target", "nvptx64-nvidia-nvcl", "-Xclang", "-target-cpu", "-Xclang", arch, "-Xclang",
        "-target-feature", "-Xclang", "+ptx75", *link("nvptx64--nvidiacl.bc"), "-S", "-o", ptx, source)
    output = run("ptxas", "-v", "-O3", f"-arch={arch}", ptx, "-o", code)
    assembly = run("cuobjdump", "-sass", code)
    texts, memory = {}, {}
    entry = re.compile(r"entry function '(\w+)'(.*?)(\d+) bytes stack frame, (\d+) bytes spill stores.*?"
                       r"Used (\d+) registers([^\n]*)", re.S)
    for name, _, stack, spilled, registers, rest in entry.findall(output):
        local = re.search(r"(\d+) bytes smem", rest)
        body = re.search(rf"Function : {name}\n(.*?)(?=Function : |\Z)", assembly, re.S).group(1)
        counts = collections.Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z0-9]+)", body))
        memory[name] = int(stack) + int(spilled)
        texts[name] = (f"{registers} registers, {memory[name]} bytes of stack, {local.group(1) if local else 0} local; "
                       f"{counts['FFMA']} FFMA, {counts['LDS']} LDS, {counts['STS']} STS, {counts['LDG']} LDG of "
                       f"{sum(counts.values())}")
    return texts, memory


def amd(clang, source, defines, folder, arch):
    assembly = folder / "program.s"
    run(clang, *OPTIONS, *defines, "-nogpulib", "-target", "amdgcn-amd-amdhsa", f"-mcpu={arch}",
        *link("amdgcn--amdhsa.bc"), "-S", "-o", assembly, source)
    text, texts, memory = assembly.read_text(), {}, {}
    for match in re.finditer(r"\.amdhsa_kernel (\w+)", text):
        name, account = match.group(1), text[match.start():]
        number = {what: int(re.search(rf"; {what}: (\d+)", account).group(1))
                  for what in ("NumVgprs", "LDSByteSize", "ScratchSize", "Occupancy")}
        body = re.search(rf"^{name}:.*?^\.Lfunc_end", text, re.S | re.M).group(0)
        adds = len(re.findall(r"\sv_(?:pk_)?(?:fma|fmac|mac|mad)_f32", body))
        memory[name] = number["ScratchSize"]
        texts[name] = (f"{number['NumVgprs']} registers, {memory[name]} bytes of scratch, {number['LDSByteSize']} local, "
                       f"{number['Occupancy']} waves; {adds} v_fma of {body.count(chr(10))}")
    return texts, memory


def main():
    parser = argparse.ArgumentParser(prog="ci/gpu-code", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", help="a file with a program on each line")
    parser.add_argument("--arch", default="sm_80", help="of NVIDIA (%(default)s)")
    parser.add_argument("--amd", default="gfx1030", help="of AMD (%(default)s)")
    arguments = parser.parse_args()
    clang, bad = compiler(), []
    targets = [("NVIDIA", nvidia, arguments.arch), ("AMD", amd, arguments.amd)]
    for program in pathlib.Path(arguments.programs).read_text().splitlines():
        print(program)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            source, defines = write_source(program, folder)
            for vendor, account, arch in targets:
                try:
                    texts, memory = account(clang, source, defines, folder, arch)
                except Failed as error:
                    print(f"    {vendor}: doesn't compile: {error}")
                    bad.append(f"{vendor}: {program}")
                    continue
                for kernel, text in texts.items():
                    print(f"    {vendor} {kernel}: {text}")
                    if memory[kernel]:
                        bad.append(f"{vendor}: {kernel}: {memory[kernel]} bytes in memory: {program}")
    if bad:
        print("\nci/gpu-code: these fail:\n" + "\n".join(bad), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
