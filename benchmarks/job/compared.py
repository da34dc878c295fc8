"""What comparing 10,000 segments costs beside counting them: ``python benchmarks/job/compared.py FOLDER [--turns 3]``.

FOLDER: as for ``segments.py``, whose copy with customers is counted. In turns, each in a process of its own: the log is
counted by customer; its profile is loaded and compared with its baseline; the same, and the report is written as JSON.
Printed are medians of seconds and CPU seconds, their ratios to counting in the same turn, and the peak of resident
memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from segments import CUSTOMERS, IGNORED, one, with_customers
from turns import timed

JOBS = ("count", "compare", "write")


def counted(files: list[str], at: Path) -> None:
    """Saves a baseline of the first file and the profile of all."""
    import modelwatch_gpu as mw

    baseline = mw.Baseline.fit(files[0], roles=mw.Roles(ignore=list(IGNORED)))
    baseline.save(at / "baseline.mwb")
    mw.Profile.count(baseline, files, segments=["customer"], keep_parts=False).save(at / "log.mwp")


def compared(at: Path, *, write: bool) -> dict[str, float]:
    """Loads and compares; refuses a report that lost a row or a segment on the way."""
    import modelwatch_gpu as mw

    def work() -> Any:
        baseline, profile = mw.Baseline.load(at / "baseline.mwb"), mw.Profile.load(at / "log.mwp")
        report = mw.compare(baseline, profile)
        if write:
            report.write_json(at / "report.json")
        return report

    report, found = timed(work)
    columns = len(report.baseline.columns)
    rows = {int(block.place.rows.sum()) for block in report.results.blocks}
    if len(report.results) != columns * (CUSTOMERS + 1) or rows != {report.rows}:
        raise SystemExit(f"{len(report.results)} results of {rows} rows, not of {columns} x {CUSTOMERS + 1} segments")
    return {
        **found,
        "results": len(report.results),
        "listed": len(report.findings),
        "findings": sum(report.counts.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    files = sorted(str(path) for path in with_customers(given.folder).glob("*.parquet"))
    if given.one:
        made = one(files, ["customer"]) if given.one == "count" else compared(given.at, write=given.one == "write")
        print(json.dumps(made))
        return
    turns: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        counted(files, Path(folder))
        for _ in range(given.turns):
            turn = {}
            for job in JOBS:
                command = [sys.executable, __file__, str(given.folder), "--one", job, "--at", folder]
                turn[job] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            turns.append(turn)
    if len({tuple(turn[job][name] for name in ("results", "findings")) for turn in turns for job in JOBS[1:]}) != 1:
        raise SystemExit("turns differ in what they found")
    out: dict[str, Any] = {
        name: {job: statistics.median(turn[job][name] for turn in turns) for job in JOBS}
        for name in ("seconds", "cpu_seconds", "peak_mib")
    }
    for name in ("seconds", "cpu_seconds"):
        for job in JOBS[1:]:
            out[name][f"{job}_ratio"] = statistics.median(turn[job][name] / turn["count"][name] for turn in turns)
    out |= {name: turns[0]["compare"][name] for name in ("results", "findings", "listed")}
    print(json.dumps(out, indent=1))
    if given.json:
        given.json.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
