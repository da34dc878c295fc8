"""What counting rows of the host takes on the CPU and on a GPU, estimated: device="auto" goes by it.

For r rows on t threads, with one GPU:

    cpu  = r (decode + scan) / t
    cuda = start + r max((decode + stage) / t, copy, count)

where decode, scan, stage, copy and count are seconds a row: reading it from a file, counting it on a CPU, putting it
into pinned memory, bringing it to the device, and counting it there. The GPU answers where cuda * margin <= cpu. Host
work and copies overlap; finding windows and segments is the host's on both sides, and left out. Decision 0016 says
where the constants come from. None of those of the GPU was measured: hence the margin.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Final, Self

import pyarrow as pa

from modelwatch_gpu import _core
from modelwatch_gpu.device import cuda_reason, is_forked, resolve
from modelwatch_gpu.errors import InputError

#: The device that "auto" takes where a GPU pays.
_ONE: Final = "cuda:0"
VARIABLE: Final = "MODELWATCH_DEVICE_COST"
#: Bytes of a text value that is no dictionary's, its offsets included, where nobody knows before reading.
_TEXT_BYTES: Final = 24


@dataclass(frozen=True)
class Costs:
    """The constants: nanoseconds a value, bytes a second, seconds. MODELWATCH_DEVICE_COST, such as copy=12e9,start=2,
    changes some.

    ``decode``: ns a value of a file (benchmarks/results/job-2026-11.json: 2.9 s for 10 million rows of 27 columns).
    ``number``: ns a number that is counted on one CPU (the same run: 2.6 s).
    ``text``: ns a text that is no dictionary's (15 were measured of pyarrow, 200 different ones); ``code``: one that
    is.
    ``stage``: bytes a second that one CPU copies (half of the 17 GB/s that it reads).
    ``copy``: bytes a second to the device (26.4 GiB/s are published for PCIe 4 x16).
    ``count``: values a second there (below the 29 G/s at which an A100 sorts; no GPU was measured).
    ``array``: ns a value of an array of mw.stats, of which most are read once and some sorted.
    ``start``: seconds until the first row (an estimate); also in a process that has used the GPU before, so that the
    answer does not depend on what it did.
    ``margin``: how much faster a GPU must be by these numbers.
    """

    decode: float = 10.7
    number: float = 9.6
    text: float = 15.0
    code: float = 1.0
    stage: float = 8.5e9
    copy: float = 28.3e9
    count: float = 2e10
    array: float = 2.0
    start: float = 0.5
    margin: float = 1.5

    @classmethod
    def known(cls) -> Self:
        """With what MODELWATCH_DEVICE_COST changes. Raises InputError where that is not understood."""
        text, names = os.environ.get(VARIABLE) or "", [f.name for f in fields(cls)]
        changed: dict[str, float] = {}
        for entry in filter(None, text.split(",")):
            name, _, value = (part.strip() for part in entry.partition("="))
            try:
                changed[name] = float(value)
            except ValueError:
                changed[name] = 0.0
            if name not in names or not 0.0 < changed[name] < float("inf"):
                raise InputError(
                    f"{VARIABLE}={text} is not understood at '{entry}'; write numbers above zero as copy=12e9,start=2, "
                    f"of {', '.join(names)}."
                )
        return replace(cls(), **changed)


@dataclass(frozen=True)
class Work:
    """Rows that are to be counted. ``rows``: None where nobody knows before reading. ``decode``, ``scan``: CPU seconds
    a row. ``bytes``, ``values``: of a row, that would go to the device."""

    rows: int | None
    decode: float
    scan: float
    bytes: float
    values: int

    @classmethod
    def of_columns(cls, types: Iterable[pa.DataType], rows: int | None, costs: Costs, *, decoded: bool) -> Self:
        """A log's. ``decoded``: whether its columns lie in memory as Arrow arrays."""
        scan, size, values = 0.0, 0.0, 0
        for kind in types:
            values += 1
            if pa.types.is_dictionary(kind):
                scan, size = scan + costs.code, size + kind.index_type.bit_width / 8
            elif _is_fixed(kind):
                scan, size = scan + costs.number, size + kind.bit_width / 8
            else:
                scan, size = scan + costs.text, size + _TEXT_BYTES
        return cls(rows, 0.0 if decoded else 1e-9 * costs.decode * values, 1e-9 * scan, size, values)

    @classmethod
    def of_values(cls, values: int, size: int, costs: Costs) -> Self:
        """Of arrays in memory with so many numbers and bytes together."""
        return cls(values, 0.0, 1e-9 * costs.array, size / max(1, values), 1)


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) or pa.types.is_decimal(kind))


@dataclass(frozen=True)
class Estimate:
    """Seconds on the CPU and on a GPU; ``pays``: whether the GPU is to answer."""

    cpu: float
    cuda: float
    pays: bool


def _rates(work: Work, costs: Costs, threads: int) -> tuple[float, float]:
    """Seconds a row on the CPU and on a GPU."""
    staged = (work.decode + work.bytes / costs.stage) / threads
    return (work.decode + work.scan) / threads, max(staged, work.bytes / costs.copy, work.values / costs.count)


def estimate(work: Work, costs: Costs, *, threads: int) -> Estimate:
    """The model."""
    cpu, cuda = _rates(work, costs, threads)
    rows = work.rows or 0
    there = rows * cuda + costs.start
    return Estimate(rows * cpu, there, work.rows is not None and there * costs.margin <= rows * cpu)


def pays_from(work: Work, costs: Costs, *, threads: int) -> int | None:
    """The fewest rows like these for which a GPU pays; None: never."""
    cpu, cuda = _rates(work, costs, threads)
    gain = cpu - costs.margin * cuda
    return int(-(-costs.margin * costs.start // gain)) if gain > 0 else None


def choose(device: str, work: Work | None, costs: Costs, *, threads: int = 0) -> str:
    """The device that will answer for rows of the host, as ``device.resolve`` names it.

    Args:
        device: "auto" goes by the model, unless MODELWATCH_DEVICE names a device; all else as ``device.resolve``.
        work: None where it is not known well enough for the model: the CPU's.
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
    """
    named = os.environ.get("MODELWATCH_DEVICE") or "auto"
    if device != "auto" or named != "auto" or work is None:
        return resolve(device)
    found = estimate(work, costs, threads=threads or _core.default_threads())
    # The driver is asked last: most work is too little, whatever it would say.
    return _ONE if found.pays and not is_forked() and not cuda_reason() else "cpu"


def lines() -> list[str]:
    """The model in words, for ``modelwatch doctor``: its constants, and from how many rows on a GPU pays."""
    costs, threads = Costs.known(), _core.default_threads()
    told = {f.name: f"{f.name}={getattr(costs, f.name):.4g}" for f in fields(costs)}
    source = (
        f"from {VARIABLE}" if os.environ.get(VARIABLE) else f"estimates, not measured here; {VARIABLE} changes them"
    )
    out = [
        f"it goes by what is taken for granted ({source}):",
        "of a CPU {decode} ns to decode a value, {number} ns to count a number, {text} a text, {code} a code of a "
        "dictionary, {array} a value of mw.stats".format_map(told),
        "of a GPU {start} s to begin, {stage} bytes/s to stage, {copy} to copy, {count} values/s to count; used where "
        "{margin} times as fast".format_map(told),
    ]
    for what, decoded in (("in memory", True), ("in files", False)):
        least = pays_from(Work.of_columns([pa.float64()] * 20, None, costs, decoded=decoded), costs, threads=threads)
        rows = "never pays" if least is None else f"pays from {least:,} rows"
        out.append(f"20 columns of float64 {what}, {threads} threads: a GPU {rows}")
    return out
