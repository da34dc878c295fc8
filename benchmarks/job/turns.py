"""Jobs on a log, each in a process of its own, in turns: what the scripts of this folder have in common."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: Not compared: it is what the label was made from.
IGNORED = ("arr_delay_min",)
Runs = Mapping[str, Sequence[Mapping[str, float]]]


def parser_of(doc: str | None, jobs: Sequence[str]) -> argparse.ArgumentParser:
    """Options of every script; ``--one`` and ``--baseline`` are for the processes it starts."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("folder")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=jobs, help=argparse.SUPPRESS)
    parser.add_argument("--baseline", help=argparse.SUPPRESS)
    return parser


def files_in(folder: str) -> list[str]:
    """The log's Parquet files, in order of their names."""
    files = sorted(str(path) for path in Path(folder).glob("*.parquet"))
    if not files:
        raise SystemExit(f"{folder} has no Parquet files; make_log.py makes some.")
    return files


def fitted(files: Sequence[str], **roles: Any) -> Any:
    """A baseline of the first file."""
    import modelwatch_gpu as mw

    present = set(pq.read_schema(files[0]).names)
    return mw.Baseline.fit(files[0], roles=mw.Roles(ignore=[n for n in IGNORED if n in present], **roles))


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What comes of work; its seconds by the clock and of all processors, and the process's peak of memory."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found, {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak}


def turns_of(
    script: str, jobs: Sequence[str], folder: str, baseline: str, threads: int, turns: int
) -> dict[str, list[dict[str, float]]]:
    """What a script says of each of its jobs, in processes of their own on as many CPUs as they have threads."""
    where = ["taskset", "-c", f"0-{threads - 1}"] if os.path.exists("/usr/bin/taskset") else []
    found: dict[str, list[dict[str, float]]] = {job: [] for job in jobs}
    for _ in range(turns):
        for job in jobs:
            command = [sys.executable, script, folder, "--one", job, "--baseline", baseline, "--threads", str(threads)]
            done = subprocess.run([*where, *command], check=True, capture_output=True, text=True)
            found[job].append(json.loads(done.stdout))
    return found


def medians(found: Runs, *more: str) -> dict[str, float]:
    """``<job>_<name>`` of seconds, CPU seconds and the peak of memory, and of ``more``."""
    names = (*more, "seconds", "cpu_seconds", "peak_mib")
    return {
        f"{job}_{name}": statistics.median(run[name] for run in own) for job, own in found.items() for name in names
    }


def ratio(found: Runs, of: str, to: str, name: str = "seconds") -> float:
    """Median of the ratios of each turn."""
    return statistics.median(a[name] / b[name] for a, b in zip(found[of], found[to], strict=True))


def write(path: Path | None, runs: Sequence[Mapping[str, Any]]) -> None:
    """Results with the machine's name, if a file is asked for."""
    if path is not None:
        about = {"machine": platform.processor() or platform.machine(), "pyarrow": pa.__version__, "runs": list(runs)}
        path.write_text(json.dumps(about, indent=1) + "\n")
