"""Compilers for GPUs that run without a GPU: Intel's own, clang for AMD, clang and NVIDIA's assembler for NVIDIA.

Each compiles a program for some devices and returns, for each device, a dictionary from the names of kernels to
Kernel. Nothing is run. Devices that a compiler does not know are found by `unknown`."""

import collections
import ctypes
import pathlib
import re
import subprocess

PROJECT = pathlib.Path(__file__).resolve().parent.parent
KERNELS = PROJECT / "backend-opencl" / "kernels"
# As ocl_program.c has them.
OPENCL = ["-cl-std=CL1.2", "-cl-mad-enable", "-cl-denorms-are-zero", "-cl-no-signed-zeros"]
CLANG = ["-x", "cl", *OPENCL, "-O3", "-ffp-contract=on", "-w", "-Xclang", "-finclude-default-header"]
LIBCLC = pathlib.Path("/usr/lib/clc")

# text: what is committed. spilled: bytes of a work-item, or with Intel of a hardware thread, that are in memory instead
# of registers. mix: share of multiply-adds among the instructions, as text, or "".
Kernel = collections.namedtuple("Kernel", "text spilled mix", defaults=("",))


class Failed(Exception):
    """A program does not compile."""


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip()[-1500:]}")
    return done.stdout + done.stderr


def text_of(name):
    """A kernel file with the files that it includes, as backend/embed.cmake inserts them."""
    lines = next(KERNELS.rglob(name)).read_text().split("\n")
    for number, line in enumerate(lines):
        if included := re.fullmatch(r'#include "(.*)"', line):
            path = included.group(1)
            lines[number] = f'#line 1 "{path}"\n{(PROJECT / path).read_text()}#line {number + 2} "{name}"'
    return f'#line 1 "{name}"\n' + "\n".join(lines)


def source_of(program):
    """(the program's concatenated files, -D options)"""
    words = program.split()
    text = "".join(text_of(word) for word in words if not word.startswith("-"))
    return text, [word for word in words if word.startswith("-")]


class Clang:
    """The newest clang-N in /usr/bin for which libclc-N, its OpenCL library, is installed. All libclc have one place."""

    def __init__(self):
        found = [path for path in pathlib.Path("/usr/bin").glob("clang-[0-9]*")
                 if pathlib.Path("/usr/share/doc", path.name.replace("clang", "libclc")).exists()]
        if not found:
            raise Failed("no clang-N with libclc-N")
        self.path = max(found, key=lambda path: int(path.name.split("-")[1]))
        self.version = re.search(r"version (\S+)", run(self.path, "--version")).group(1)

    def knows(self, target, cpu):
        return re.search(rf"\b{cpu}\b", run(self.path, "--print-supported-cpus", f"--target={target}")) is not None

    def compile(self, program, folder, target, cpu, library, output, *options):
        text, defines = source_of(program)
        source = folder / "program.cl"
        source.write_text(text)
        run(self.path, *CLANG, *defines, "-target", target, *cpu, "-Xclang", "-mlink-bitcode-file", "-Xclang",
            LIBCLC / library, *options, "-S", "-o", output, source)


class Nvidia:
    """clang makes PTX once; NVIDIA's assembler makes machine code of it for each device, as the driver does."""
    name = "nvidia"
    PTX = "sm_70"  # the oldest of the devices

    def __init__(self, folder):
        self.clang = Clang()
        tools = {name: next(folder.rglob(name), None) for name in ("ptxas", "cuobjdump")}
        if not tools["ptxas"]:
            raise Failed("no ptxas")
        self.ptxas, self.cuobjdump = tools["ptxas"], tools["cuobjdump"]
        version = re.search(r"\bV(\d\S*)", run(self.ptxas, "--version")).group(1)
        self.version = f"clang {self.clang.version}, ptxas {version}"

    def unknown(self, device):
        return None if re.search(rf"'{device}'", run(self.ptxas, "--help")) else "this ptxas does not know it"

    def compile(self, program, devices, folder, mix):
        ptx = folder / "program.ptx"
        no_offset = "-Dget_global_offset(d)=0UL"  # libclc lacks it for NVIDIA
        cpu = ["-Xclang", "-target-cpu", "-Xclang", self.PTX, "-Xclang", "-target-feature", "-Xclang", "+ptx75"]
        self.clang.compile(program, folder, "nvptx64-nvidia-nvcl", cpu, "nvptx64--nvidiacl.bc", ptx, no_offset)
        return {device: self.assemble(ptx, folder / "program.cubin", device, mix) for device in devices}

    ENTRY = re.compile(r"entry function '(\w+)'(.*?)(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes "
                       r"spill loads.*?Used (\d+) registers([^\n]*)", re.S)

    def assemble(self, ptx, code, device, mix):
        output, kernels = run(self.ptxas, "-v", "-O3", f"-arch={device}", ptx, "-o", code), {}
        assembly = run(self.cuobjdump, "-sass", code) if mix else ""
        for name, _, stack, stores, _, registers, rest in self.ENTRY.findall(output):
            local = re.search(r"(\d+) bytes smem", rest)
            spilled = int(stack) + int(stores)
            text = f"{registers} registers" + (f", {local.group(1)} local" if local else "")
            kernels[name] = Kernel(text, spilled, self.mix_of(name, assembly) if mix else "")
        return kernels

    @staticmethod
    def mix_of(name, assembly):
        body = re.search(rf"Function : {name}\n(.*?)(?=Function : |\Z)", assembly, re.S).group(1)
        counts = collections.Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z0-9]+)", body))
        return (f"{counts['FFMA']} FFMA, {counts['LDS']} LDS, {counts['STS']} STS, {counts['LDG']} LDG of "
                f"{sum(counts.values())}")


class Amd:
    """clang's own back end, of which AMD's drivers have a later version."""
    name = "amd"

    def __init__(self, folder):
        self.clang = Clang()
        self.version = f"clang {self.clang.version}"

    def unknown(self, device):
        return None if self.clang.knows("amdgcn", device) else f"clang {self.clang.version} does not know it"

    def compile(self, program, devices, folder, mix):
        return {device: self.compile_for(program, device, folder, mix) for device in devices}

    def compile_for(self, program, device, folder, mix):
        assembly = folder / "program.s"
        self.clang.compile(program, folder, "amdgcn-amd-amdhsa", [f"-mcpu={device}"], "amdgcn--amdhsa.bc", assembly,
                           "-nogpulib")
        text, kernels = assembly.read_text(), {}
        for match in re.finditer(r"\.amdhsa_kernel (\w+)", text):
            name, account = match.group(1), text[match.start():]
            wanted = ("NumVgprs", "NumAgprs", "NumSgprs", "LDSByteSize", "ScratchSize", "Occupancy")
            found = {what: re.search(rf"; {what}: (\d+)", account) for what in wanted}
            number = {what: int(match.group(1)) if match else 0 for what, match in found.items()}
            wave = 32 if re.search(r"\.amdhsa_wavefront_size32 1", account.split(".end_amdhsa_kernel")[0]) else 64
            words = [f"{number['NumVgprs']} + {number['NumSgprs']} registers"]
            if number["NumAgprs"]:
                words.append(f"{number['NumAgprs']} for matrices")
            if number["LDSByteSize"]:
                words.append(f"{number['LDSByteSize']} local")
            words.append(f"{number['Occupancy']} waves of {wave}")
            kernels[name] = Kernel(", ".join(words), number["ScratchSize"], self.mix_of(name, text) if mix else "")
        return kernels

    @staticmethod
    def mix_of(name, text):
        body = re.search(rf"^{name}:.*?^\.Lfunc_end", text, re.S | re.M).group(0)
        adds = len(re.findall(r"\sv_(?:pk_)?(?:fma|fmac|mac|mad)_f32", body))
        return f"{adds} v_fma of {body.count(chr(10))}"


class Intel:
    """Intel's own compiler as the library libocloc, which the driver's package contains. The front end's output, in
    SPIR-V, is the same for all devices."""
    name = "intel"

    def __init__(self, folder):
        # In this order, by path, so that each finds the ones before it without LD_LIBRARY_PATH.
        names = ("libLLVMSPIRVLib", "libopencl-clang", "libigdfcl", "libiga64", "libigc", "libocloc")
        paths = [path for name in names for path in sorted(folder.rglob(f"{name}.so*"))]
        if not paths or "libocloc" not in paths[-1].name:
            raise Failed("no libocloc")
        try:
            for path in paths:
                self.library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise Failed(str(error)) from error
        self.version = "ocloc " + self.invoke("none", b"", "query", "OCL_DRIVER_VERSION")[1]["OCL_DRIVER_VERSION"].decode(
        ).strip("\0")

    def invoke(self, name, contents, *arguments):
        """Runs a command on a file in memory. Returns its code and the files that it writes."""
        words = [b"ocloc", *(word.encode() for word in arguments)]
        argv = (ctypes.c_char_p * len(words))(*words)
        data = ctypes.create_string_buffer(contents, max(len(contents), 1))
        sources = (ctypes.c_void_p * 1)(ctypes.addressof(data))
        sizes = (ctypes.c_uint64 * 1)(len(data))
        names = (ctypes.c_char_p * 1)(name.encode())
        count, outputs = ctypes.c_uint32(0), ctypes.POINTER(ctypes.c_void_p)()
        output_sizes, output_names = ctypes.POINTER(ctypes.c_uint64)(), ctypes.POINTER(ctypes.c_char_p)()
        results = [ctypes.byref(value) for value in (count, outputs, output_sizes, output_names)]
        code = self.library.oclocInvoke(ctypes.c_uint(len(words)), argv, ctypes.c_uint32(1), sources, sizes, names,
                                        ctypes.c_uint32(0), None, None, None, *results)
        files = {output_names[i].decode(): ctypes.string_at(outputs[i], output_sizes[i]) for i in range(count.value)}
        self.library.oclocFreeOutput(*results)
        return code, files

    def compile_file(self, name, contents, device, options):
        form = ["-spirv_input"] if name.endswith(".spv") else []
        # This form of the binary has a description of each kernel as text.
        code, files = self.invoke(name, contents, "compile", "-file", name, *form, "-device", device, "-options",
                                  " ".join([*OPENCL, *options]), "-internal_options", "-cl-intel-allow-zebin",
                                  "-output_no_suffix")
        if code != 0:
            raise Failed(f"ocloc for {device}: {files.get('stdout.log', b'').decode(errors='replace')[-1500:]}")
        return files

    def unknown(self, device):
        kernel = b"__kernel void k(__global int *x) { x[get_global_id(0)] = 1; }\0"
        code, _ = self.invoke("k.cl", kernel, "compile", "-q", "-file", "k.cl", "-device", device)
        return f"{self.version} does not know it" if code else None

    def compile(self, program, devices, folder, mix):
        text, options = source_of(program)
        name, contents, kernels = "k.cl", text.encode() + b"\0", {}
        for device in devices:
            files = self.compile_file(name, contents, device, options)
            name, contents = ("k.spv", files["k.spv"]) if "k.spv" in files else (name, contents)
            kernels[device] = self.kernels_of(files["k"], files["stdout.log"].decode(errors="replace"))
        return kernels

    @staticmethod
    def kernels_of(binary, log):
        start = binary.find(b"kernels:")
        text, kernels = binary[start:binary.find(b"\0", start)].decode(errors="replace"), {}
        # Only the log has the number of registers.
        spills = dict(re.findall(r"kernel (\w+)\s+compiled SIMD\d+ allocated \d+ regs and spilled around (\d+)", log))
        for entry in re.split(r"^  - name: +", text.split("kernels_misc_info:")[0], flags=re.M)[1:]:
            name = entry.split()[0]
            number = {what: int(match.group(1)) if (match := re.search(rf"\b{what}: +(\d+)", entry)) else 0
                      for what in ("simd_size", "grf_count", "slm_size")}
            memory = re.search(r"per_thread_memory_buffers:\n((?:      .*\n|    +- .*\n)*)", entry)
            spilled = sum(map(int, re.findall(r"\bsize: +(\d+)", memory.group(1)))) if memory else 0
            words = [f"SIMD{number['simd_size']}", f"{number['grf_count']} registers"]
            if number["slm_size"]:
                words.append(f"{number['slm_size']} local")
            if name in spills:
                words.append(f"{spills[name]} spilled")
            kernels[name] = Kernel(", ".join(words), spilled)
        return kernels


VENDORS = {vendor.name: vendor for vendor in (Intel, Amd, Nvidia)}
