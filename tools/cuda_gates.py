"""Compile the CUDA kernels for every target, and look at what the compiler made of them.

    python tools/cuda_gates.py [--targets 75,90] [--out build/gates] [--json FILE] [KERNELS.cu ...]

Needs nvcc; nothing runs. For every kernel and target:

1. it compiles without a warning, spills no register, and keeps nothing in local memory;
2. it says how large its blocks are (__launch_bounds__, so that its registers fit), and its static shared memory fits
   48 KiB;

and where nvdisasm is there too (PyPI's nvidia-cuda-nvdisasm will do), in the machine code:

3. no compare-and-swap anywhere: a counter is added to by one instruction;
4. no fused multiply-add, but those of `FUSES`, in kernels that divide or are said to be approximate;
5. 16-byte loads in the kernels of `STREAMS`, which read columns;
6. counting by the lanes that hit one counter (ATOMS.POPC.INC) in the kernels of `COUNTS`.

Exit status 1 when a gate is broken, 77 when nvcc is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGETS = (75, 80, 86, 89, 90, 100, 120)
SKIPPED = 77

# Fused multiply-adds that change no count: the opcodes, and why they are there. The compiler makes division of doubles,
# `exp` and `sqrt` of them.
_DIVIDES = ("[DF]FMA.*", "moments are divided by counts")
FUSES = {
    "profile_kernel": _DIVIDES,
    "fold_moments_kernel": _DIVIDES,
    "column_moments_kernel": _DIVIDES,
    "pair_sums_kernel": ("[DF]FMA.*", "sums of distances, exp and sqrt with a stated tolerance"),
    "project_kernel": ("[DF]FMA.*", "products with directions with a stated tolerance"),
    "products_kernel": ("[DF]FMA.*", "sums of products with a stated tolerance"),
    "features_kernel": ("[DF]FMA.*", "sums of cosines and sines with a stated tolerance"),
    "error_terms_kernel": ("[DF]FMA.*", "relative errors divide, and deviances take logarithms"),
}
# Kernels that read columns, whose loads are 16 bytes wide.
STREAMS = {
    "column_moments_kernel",
    "count_bins_kernel",
    "count_cells_kernel",
    "errors_kernel",
    "hash_codes_kernel",
    "hash_numbers_kernel",
    "interval_of_kernel",
    "keep_flags_kernel",
    "keys_kernel",
    "knot_numbers_kernel",
    "least_key_kernel",
    "log_linear_kernel",
    "profile_kernel",
    "rank_cells_kernel",
    "read_kernel",
    "registers_kernel",
    "split_kernel",
}
# Kernels that count in shared memory, in at least one of their instances; Turing adds one by one there (ATOMS.ADD).
COUNTS = {
    "count_bins_kernel",
    "count_cells_kernel",
    "count_codes_kernel",
    "interval_of_kernel",
    "keys_kernel",
    "log_linear_kernel",
    "places_kernel",
    "profile_kernel",
    "split_kernel",
}
COUNTS_FROM = 80

STATIC_SHARED = 48 << 10
FLAGS = ["-std=c++20", "--fmad=false", "-O3", "-lineinfo", "-I.", "-Icpp"]
# CUB's own kernels are as they are: only warnings of the front end count.
LIBRARY = {"cuda/kernels/sort.cu"}
STRICT = ["-Werror=all-warnings", "-Xcompiler=-Wall,-Wextra", "-Xptxas=-v,-warn-spills,-warn-lmem-usage"]


@dataclass
class Kernel:
    """What one kernel became on one target. ``opcodes``: of its machine code, empty without nvdisasm."""

    name: str
    instance: str
    source: str
    target: int
    registers: int = 0
    shared: int = 0
    stack: int = 0
    spilled: int = 0
    opcodes: dict[str, int] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.source}, sm_{self.target}, {self.instance}"

    def count(self, pattern: str) -> int:
        return sum(n for opcode, n in self.opcodes.items() if re.fullmatch(pattern, opcode))


def find_nvdisasm() -> str | None:
    """The disassembler on PATH, or of PyPI's package in this environment."""
    found = shutil.which("nvdisasm")
    if found:
        return found
    candidates = [Path(p) / "nvidia" / "cu13" / "bin" / "nvdisasm" for p in sys.path if p]
    return next((str(c) for c in candidates if os.access(c, os.X_OK)), None)


def readable(mangled: str) -> tuple[str, str]:
    """(kernel, kernel with its template's arguments) of a mangled name."""
    text = subprocess.run(["c++filt", mangled], capture_output=True, text=True, check=True).stdout.strip()
    text = re.sub(r"modelwatch::|cuda::|\(anonymous namespace\)::|_GLOBAL__N__\w+::", "", text)
    found = re.search(r"(\w+)(<.*?>)?\(", text)
    return (found[1], found[1] + (found[2] or "")) if found else (text, text)


def compile_source(source: str, target: int, out: Path) -> tuple[Path, list[Kernel], list[str]]:
    """One object, what ptxas said of its kernels, and what is wrong already."""
    cubin = out / f"{Path(source).stem}.sm_{target}.cubin"
    strict = STRICT[:-1] if source in LIBRARY else STRICT
    command = ["nvcc", *FLAGS, *strict, f"-arch=sm_{target}", "-cubin", "-o", str(cubin), source]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = ran.stderr + ran.stdout
    wrong = [
        f"{source}, sm_{target}: {line.strip()}"
        for line in said.splitlines()
        if re.search(r"\b(warning|error)\b", line)
    ]
    if ran.returncode != 0:
        return cubin, [], wrong or [f"{source}, sm_{target}: nvcc failed: {said[-500:]}"]
    if source in LIBRARY:
        return cubin, [], wrong
    kernels = []
    for block in said.split("Compiling entry function '")[1:]:
        name, instance = readable(block.split("'", 1)[0])
        kernel = Kernel(name, instance, source, target)
        for pattern, into in (
            (r"Used (\d+) registers", "registers"),
            (r"(\d+) bytes smem", "shared"),
            (r"(\d+) bytes stack", "stack"),
        ):
            if found := re.search(pattern, block):
                setattr(kernel, into, int(found[1]))
        kernel.spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill", block))
        kernels.append(kernel)
    return cubin, kernels, wrong


def disassemble(nvdisasm: str, cubin: Path, kernels: list[Kernel]) -> list[str]:
    """Fills in the opcodes and the block sizes of an object's kernels."""
    ran = subprocess.run([nvdisasm, "-c", str(cubin)], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        return [f"{cubin.name}: nvdisasm failed: {ran.stderr.strip()[:300]}"]
    by_instance = {kernel.instance: kernel for kernel in kernels}
    current: Kernel | None = None
    opcodes: Counter[str] = Counter()
    for line in ran.stdout.splitlines():
        if found := re.match(r"\s*\.section\s+\.text\.(\w+)", line):
            if current is not None:
                current.opcodes = dict(opcodes)
            current, opcodes = by_instance.get(readable(found[1])[1]), Counter()
        elif found := re.match(r"\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", line):
            # A product with zero is how newer targets load a constant.
            opcodes["MOV" if "-RZ, RZ," in line else found[1]] += 1
    if current is not None:
        current.opcodes = dict(opcodes)
    return [f"{kernel.where}: nvdisasm shows no machine code" for kernel in kernels if not kernel.opcodes]


def unbounded(source: str) -> list[str]:
    """The kernels of a source that do not say how large their blocks are."""
    text = (ROOT / source).read_text()
    kernels = re.findall(r"__global__\s+void\s+(?!__launch_bounds__)(\w+)", text)
    return [f"{source}: {name} has no __launch_bounds__" for name in kernels]


def broken_gates(kernels: list[Kernel], disassembled: bool) -> Iterator[str]:
    """One sentence for each gate that a kernel breaks."""
    for kernel in kernels:
        if kernel.spilled or kernel.stack:
            yield f"{kernel.where}: {kernel.spilled} bytes spilled, {kernel.stack} bytes of stack"
        if kernel.shared > STATIC_SHARED:
            yield f"{kernel.where}: {kernel.shared} bytes of static shared memory, more than {STATIC_SHARED}"
        if not disassembled:
            continue
        if n := kernel.count(r"(LDL|STL).*"):
            yield f"{kernel.where}: {n} accesses of local memory"
        if n := kernel.count(r"ATOMS?G?\..*CAS.*|ATOMS\.CAST.*|ATOMG?\.E\.CAS.*"):
            yield f"{kernel.where}: {n} compare-and-swaps"
        allowed = FUSES[kernel.name][0] if kernel.name in FUSES else "none"
        fused = {op: n for op, n in kernel.opcodes.items() if re.fullmatch(r"[FDH]FMA2?(\..*)?", op)}
        if wrong := [op for op in fused if not re.fullmatch(allowed, op)]:
            yield f"{kernel.where}: fused multiply-adds: {', '.join(sorted(wrong))}"
        if kernel.name in STREAMS and not kernel.count(r"LDG?\..*128.*"):
            yield f"{kernel.where}: no load of 16 bytes"
    if not disassembled:
        return
    for target in sorted({kernel.target for kernel in kernels if kernel.target >= COUNTS_FROM}):
        for name in sorted(COUNTS & {kernel.name for kernel in kernels}):
            instances = [k for k in kernels if k.target == target and k.name == name]
            if not any(k.count(r"ATOMS\.POPC\.INC.*") for k in instances):
                yield f"{name}, sm_{target}: no instance counts by ATOMS.POPC.INC"
    listed = STREAMS | COUNTS | FUSES.keys()
    if missing := listed - {kernel.name for kernel in kernels}:
        yield f"tools/cuda_gates.py lists kernels that are not there: {', '.join(sorted(missing))}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Gates on the machine code of the CUDA kernels.")
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--targets", default=",".join(map(str, TARGETS)))
    parser.add_argument("--out", default="build/gates")
    parser.add_argument("--json", help="write what was found for every kernel and target here")
    options = parser.parse_args(arguments)
    if shutil.which("nvcc") is None:
        print("gates: skipped, there is no nvcc on PATH")
        return SKIPPED
    out = ROOT / options.out
    out.mkdir(parents=True, exist_ok=True)
    sources = options.sources or sorted(str(p.relative_to(ROOT)) for p in (ROOT / "cuda" / "kernels").glob("*.cu"))
    targets = [int(t) for t in options.targets.split(",")]
    nvdisasm = find_nvdisasm()
    kernels: list[Kernel] = []
    wrong = [line for source in sources for line in unbounded(source)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compile_source, source, target, out) for source in sources for target in targets]
        for job in jobs:
            cubin, found, said = job.result()
            wrong += said
            if nvdisasm and found:
                wrong += disassemble(nvdisasm, cubin, found)
            kernels += found
    wrong += (
        broken_gates(kernels, nvdisasm is not None)
        if not options.sources
        else broken_listed(kernels, nvdisasm is not None)
    )
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(k) for k in kernels], indent=1) + "\n")
    for line in wrong:
        print(line)
    names = {kernel.instance for kernel in kernels}
    code = "machine code looked at" if nvdisasm else "machine code NOT looked at: nvdisasm is missing"
    print(f"gates: {len(names)} kernels x {len(targets)} targets, {len(wrong)} broken; {code}")
    return 1 if wrong else 0


def broken_listed(kernels: list[Kernel], disassembled: bool) -> list[str]:
    """The same for some sources only, where listed kernels may be missing."""
    return [line for line in broken_gates(kernels, disassembled) if not line.startswith("tools/")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
