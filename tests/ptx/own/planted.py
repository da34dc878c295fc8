"""Kernels with planted bugs: what their sources say must be reported, and what the machine does report."""

from __future__ import annotations

import re
from pathlib import Path

from vm import VM, PtxError

KERNELS = Path(__file__).resolve().parents[1] / "kernels"


def planted(source: str) -> dict[str, list[tuple[int, str]]]:
    """Kernel name -> [(line, pattern of the message)], empty for a clean kernel."""
    found: dict[str, list[tuple[int, str]]] = {}
    kernel = None
    for number, line in enumerate((KERNELS / source).read_text().splitlines(), 1):
        if match := re.match(r"KERNEL (\w+)", line):
            kernel = match[1]
            found[kernel] = []
        if kernel and (match := re.search(r"BUG: (.*)", line)):
            found[kernel].append((number, match[1]))
    return found


def report_of(vm: VM, kernel: str, grid: int, block: int, *arguments: object, shared: int = 0) -> str:
    """The text of the error that a launch ends with, empty if it ran clean."""
    try:
        vm.launch(kernel, grid, block, *arguments, shared=shared)
    except PtxError as error:
        return str(error)
    return ""


def is_reported(source: str, bugs: list[tuple[int, str]], report: str) -> bool:
    """Whether the report is one of the planted bugs, at its line; for a clean kernel, whether there is none."""
    if not bugs:
        return not report
    return any(re.search(kind, report) and f"{source}:{line}) in " in report for line, kind in bugs)
