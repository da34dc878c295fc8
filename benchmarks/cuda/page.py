"""The results of run.py as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

COUNTS_HEAD = """**No GPU has run this.** Written by `benchmarks/cuda/run.py` on the PTX machine of `tests/ptx`, which
interprets what nvcc made of the kernels: counts at toy sizes, the same on every host, and no times. On a machine with a
GPU the same command writes times here. Answers were asserted against the CPU's.

Sectors are 32 bytes of global memory; *least* is what the bytes fill that the threads of a load ask for. Below 1 many
of them ask for the same ones; kernels that look up a grid load from where values lead them, and are above. Numbers by
row are of all launches of a case; rows of vectors are values, 64 to a vector. `nearest` and `balls` compare every
vector with every other of at most 312, so theirs grow with the rows. CUB's kernels are its sorts and scans.
"""

TIMES_HEAD = """Written by `benchmarks/cuda/run.py`, after the agreement suite passed on this device. Medians of turns;
columns lie in device memory; answers were asserted against the CPU's. Percent are of the read bandwidth that was
measured in the same run.
"""


def page_of(results: dict[str, Any]) -> str:
    """docs/cuda-benchmarks.md: times of a device, or counts of the PTX machine."""
    machine = results["machine"]
    device = machine["device"]
    lines = ["# The CUDA backend, measured", ""]
    if "counts" in results:
        lines += _counts(results)
    else:
        lines += _times(results)
    lines += ["", f"{device['name']}; CUDA {machine['built']['cuda']}; {machine['date']}, commit {machine['commit']}."]
    return "\n".join(lines) + "\n"


def _counts(results: dict[str, Any]) -> Iterator[str]:
    yield from (*COUNTS_HEAD.splitlines(), "")
    yield "| case | kernel | instructions a row | sectors a row | load sectors / least | atomics a row |"
    yield "|---|---|---|---|---|---|"
    for case in results["counts"]:
        for kernel in case["kernels"]:
            rows = case["rows"]
            least = kernel.get("load_ideal_sectors", 0)
            ratio = f"{kernel['load_sectors'] / least:.2f}" if least else ""
            yield (
                f"| {case['name']} | {_short(kernel['kernel'])} | {kernel['thread_instructions'] / rows:.1f} "
                f"| {kernel['global_sectors'] / rows:.3f} | {ratio} | {kernel['atomic_requests'] / rows:.3f} |"
            )


def _short(kernel: str) -> str:
    """The kernel's own name of a mangled or demangled one; CUB's say that they are."""
    own = re.search(r"\d+([a-z_]+_kernel)", kernel) or re.search(r"([a-z_]+_kernel)", kernel)
    if own:
        return own[1]
    cub = re.search(r"Device[A-Z]\w*?Kernel", kernel)
    return f"CUB: {cub[0]}" if cub else kernel[:40]


def _times(results: dict[str, Any]) -> Iterator[str]:
    bandwidth = results["bandwidth"]
    yield from TIMES_HEAD.splitlines()
    yield f"Read bandwidth: {bandwidth['read'] / 1e9:,.0f} GB/s; copies to it: {bandwidth['copy'] / 1e9:,.1f} GB/s."
    yield ""
    yield "| case | rows | ms | G rows/s | % of bandwidth | beside (times as long) | CPU (times as long) |"
    yield "|---|---|---|---|---|---|---|"
    for case in results["kernels"]:
        peers = ", ".join(f"{name} {seconds / case['seconds']:.1f}" for name, seconds in case["peers"].items())
        seconds, rows = case["seconds"], case["rows"]
        yield (
            f"| {case['name']} | {rows:,} | {1e3 * seconds:.2f} | {rows / seconds / 1e9:.1f} "
            f"| {100 * case['of_bandwidth']:.0f} | {peers} | {case['cpu_seconds'] / case['seconds']:.0f} |"
        )
    yield ""
    yield "| job | rows | s |"
    yield "|---|---|---|"
    for job in results["jobs"]:
        yield f"| {job['name']} | {job['rows']:,} | {job['seconds']:.3f} |"
