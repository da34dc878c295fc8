"""The whole job on a big log, beside pyarrow decoding the same columns:
``python benchmarks/job/run.py FOLDER [--threads 1 2] [--turns 3] [--json FILE]``.

FOLDER: Parquet files with a timestamp, such as make_log.py writes; the first is the reference. In turns, each in a
process of its own and with as many threads: every batch of the columns is decoded and dropped, and `compare` in monthly
windows with its defaults. Printed are medians, ratios of the same turn, and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

JOBS: Final = ("decode", "compare")
#: Not compared: it is what the label was made from.
IGNORED: Final = ("arr_delay_min",)


def decode(files: list[str], columns: list[str]) -> int:
    """Rows decoded, all columns, file by file through the dataset reader."""
    import pyarrow.dataset as ds

    return sum(batch.num_rows for batch in ds.dataset(files).to_batches(columns=columns))


def compare(files: list[str], baseline: str, threads: int) -> int:
    """Rows compared."""
    import modelwatch_gpu as mw

    return mw.compare(mw.Baseline.load(baseline), files, window="1mo", threads=threads).rows


def one(job: str, files: list[str], baseline: str, threads: int) -> dict[str, float]:
    """One job in this process, once on the first file to warm up, then timed on all."""
    import modelwatch_gpu as mw

    pa.set_cpu_count(threads)
    fitted = mw.Baseline.load(baseline)
    columns = [c.name for c in fitted.columns] + ([fitted.timestamp] if fitted.timestamp else [])

    def work(paths: list[str]) -> int:
        return decode(paths, columns) if job == "decode" else compare(paths, baseline, threads)

    work(files[:1])
    cpu, wall = time.process_time(), time.perf_counter()
    rows = work(files)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    expected = sum(pq.read_metadata(path).num_rows for path in files)
    if rows != expected:
        raise SystemExit(f"{job}: {rows} rows of {expected}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "columns": len(columns), "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak}


def turn(script: str, job: str, folder: str, baseline: str, threads: int) -> dict[str, float]:
    """What a script says of one of its jobs, in a process of its own on as many CPUs as it has threads."""
    command = [sys.executable, script, folder, "--one", job, "--baseline", baseline, "--threads", str(threads)]
    where = ["taskset", "-c", f"0-{threads - 1}"] if os.path.exists("/usr/bin/taskset") else []
    done = subprocess.run([*where, *command], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured(folder: str, threads: int, turns: int, baseline: str) -> dict[str, Any]:
    """Medians of one number of threads."""
    found: dict[str, list[dict[str, float]]] = {job: [] for job in JOBS}
    for _ in range(turns):
        for job in JOBS:
            found[job].append(turn(__file__, job, folder, baseline, threads))
    pairs = zip(found["compare"], found["decode"], strict=True)
    out: dict[str, Any] = {
        "threads": threads,
        "ratio": statistics.median(c["seconds"] / d["seconds"] for c, d in pairs),
    }
    for job, runs in found.items():
        for name in ("seconds", "cpu_seconds", "peak_mib"):
            out[f"{job}_{name}"] = statistics.median(run[name] for run in runs)
    return out | {"rows": int(found["compare"][0]["rows"]), "columns": int(found["compare"][0]["columns"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--baseline", help=argparse.SUPPRESS)
    given = parser.parse_args()
    files = sorted(str(path) for path in Path(given.folder).glob("*.parquet"))
    if not files:
        raise SystemExit(f"{given.folder} has no Parquet files; make_log.py makes some.")
    if given.one:
        print(json.dumps(one(given.one, files, given.baseline, given.threads[0])))
        return
    import modelwatch_gpu as mw

    with tempfile.TemporaryDirectory() as place:
        baseline = os.path.join(place, "baseline.mwb")
        present = set(pq.read_schema(files[0]).names)
        mw.Baseline.fit(files[0], roles=mw.Roles(ignore=[n for n in IGNORED if n in present])).save(baseline)
        found = [measured(given.folder, threads, given.turns, baseline) for threads in given.threads]
    for row in found:
        print(
            f"{row['rows']:,} rows x {row['columns']} columns, {row['threads']} threads: "
            f"{row['compare_seconds']:.1f} s, decoding {row['decode_seconds']:.1f} s, ratio {row['ratio']:.2f}; "
            f"peak {row['compare_peak_mib']:.0f} MiB (decoding {row['decode_peak_mib']:.0f})"
        )
    if given.json:
        about = {"machine": platform.processor() or platform.machine(), "pyarrow": pa.__version__, "runs": found}
        given.json.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
