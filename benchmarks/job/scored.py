"""What performance costs beside drift: ``python benchmarks/job/scored.py FOLDER [--threads 2] [--turns 3]``.

FOLDER: Parquet files with a score and a label, such as make_log.py writes; the first is the reference. In turns, each
in a process of its own: `compare` in monthly windows with day blocks, once with everything that is held against labels
and once without (the same baseline, told that there is nothing to hold). Printed are medians and ratios of one turn.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from run import IGNORED, turn

JOBS: Final = ("drift", "both")


def one(job: str, files: list[str], baseline: str, threads: int) -> dict[str, float]:
    """One job in this process, once on the first file to warm up, then timed on all."""
    import modelwatch_gpu as mw

    pa.set_cpu_count(threads)
    fitted = mw.Baseline.load(baseline)
    if fitted.scoring is None:
        raise SystemExit("the log has no score and label, so there is no performance to measure")
    used = fitted if job == "both" else dataclasses.replace(fitted, scoring=None)
    mw.compare(used, files[:1], window="1mo", threads=threads)
    cpu, wall = time.process_time(), time.perf_counter()
    report = mw.compare(used, files, window="1mo", threads=threads)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    told = sum(1 for block in report.results.blocks if "roc_auc" in block.values)
    if report.rows != sum(pq.read_metadata(path).num_rows for path in files) or told != (job == "both"):
        raise SystemExit(f"{job}: {report.rows} rows, performance of {told} columns")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": report.rows, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak}


def measured(folder: str, threads: int, turns: int, baseline: str) -> dict[str, Any]:
    """Medians, and medians of the ratios of each turn."""
    found: dict[str, list[dict[str, float]]] = {job: [] for job in JOBS}
    for _ in range(turns):
        for job in JOBS:
            found[job].append(turn(__file__, job, folder, baseline, threads))
    out: dict[str, Any] = {"threads": threads, "turns": turns, "rows": int(found["both"][0]["rows"])}
    for name in ("seconds", "cpu_seconds"):
        pairs = zip(found["both"], found["drift"], strict=True)
        out[f"ratio_{name}"] = statistics.median(both[name] / drift[name] for both, drift in pairs)
    for job, runs in found.items():
        for name in ("seconds", "cpu_seconds", "peak_mib"):
            out[f"{job}_{name}"] = statistics.median(run[name] for run in runs)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--baseline", help=argparse.SUPPRESS)
    given = parser.parse_args()
    files = sorted(str(path) for path in Path(given.folder).glob("*.parquet"))
    if not files:
        raise SystemExit(f"{given.folder} has no Parquet files; make_log.py makes some.")
    if given.one:
        print(json.dumps(one(given.one, files, given.baseline, given.threads)))
        return
    import modelwatch_gpu as mw

    with tempfile.TemporaryDirectory() as place:
        baseline = os.path.join(place, "baseline.mwb")
        present = set(pq.read_schema(files[0]).names)
        mw.Baseline.fit(files[0], roles=mw.Roles(ignore=[n for n in IGNORED if n in present])).save(baseline)
        row = measured(given.folder, given.threads, given.turns, baseline)
    print(
        f"{row['rows']:,} rows, {row['threads']} threads: {row['both_seconds']:.1f} s, drift alone "
        f"{row['drift_seconds']:.1f} s, ratio {row['ratio_seconds']:.2f} (CPU time {row['ratio_cpu_seconds']:.2f}); "
        f"peak {row['both_peak_mib']:.0f} MiB (drift {row['drift_peak_mib']:.0f})"
    )
    if given.json:
        about = {"machine": platform.processor() or platform.machine(), "pyarrow": pa.__version__, "runs": [row]}
        given.json.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
