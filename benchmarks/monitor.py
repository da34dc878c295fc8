"""What a run costs that finds one new file of a hundred, beside counting that file alone.

    python benchmarks/monitor.py LOG [--times 5] [--work FOLDER]

LOG: a folder that `tools/make_big_log.py` made, with a hundred files or fewer; the last one is the new file, the others
have been counted before. Both sides count with the same baseline and options, and are timed one after the other, so
that a busy machine slows both. The run looks at the list of files, counts the new one, merges and judges the window it
belongs to, writes its page, and commits. Prints one JSON object with seconds of wall and CPU time and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelwatch_gpu as mw
from modelwatch_gpu.demo import ROLES, TIMEZONE
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.runner import Runner

CONFIG = """\
baseline: baseline.mwb
log: {path: log}
window: 1mo
timezone: America/New_York
"""
REFERENCE_FILES = 10


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of wall and CPU time, and the answer."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    return time.perf_counter() - wall, time.process_time() - cpu, answer


def measure(files: list[Path], folder: Path, times: int) -> dict[str, Any]:
    """Counts all files but the last, then times the last one, alone and as a run."""
    new = files[-1]
    baseline = mw.Baseline.fit(files[:REFERENCE_FILES], roles=ROLES, timezone=TIMEZONE)
    baseline.save(folder / "baseline.mwb")
    (folder / "log").mkdir()
    (folder / "monitor.yaml").write_text(CONFIG)
    for file in files[:-1]:
        os.symlink(file.resolve(), folder / "log" / file.name)
    runner = Runner(MonitorConfig.load(folder / "monitor.yaml"))
    first = runner.once()
    assert len(first.files) == len(files) - 1
    walls: list[tuple[float, float]] = []
    cpus: list[tuple[float, float]] = []
    link = folder / "log" / new.name
    for _ in range(times):
        alone = timed(lambda: mw.Profile.count(baseline, str(new), window="1mo", memory="4GB"))
        os.symlink(new.resolve(), link)
        run = timed(runner.once)
        assert len(run[2].files) == 1, run[2]
        link.unlink()
        runner.once()
        walls.append((alone[0], run[0]))
        cpus.append((alone[1], run[1]))
    return {
        "files": len(files),
        "rows_of_new_file": alone[2].rows,
        "columns": len(baseline.columns),
        "windows_judged": len(run[2].windows),
        "wall_seconds": _both(walls),
        "cpu_seconds": _both(cpus),
        "cpus": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
    }


def _both(pairs: list[tuple[float, float]]) -> dict[str, float]:
    alone, run = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(r / a for a, r in pairs)
    return {"counting_alone": round(alone, 3), "run": round(run, 3), "ratio": round(ratio, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--work", type=Path, help="an empty folder, by default a temporary one")
    options = parser.parse_args()
    files = sorted(options.log.glob("*.parquet"))
    folder = options.work or Path(tempfile.mkdtemp(prefix="modelwatch-monitor-"))
    try:
        print(json.dumps(measure(files, folder, options.times)))
    finally:
        if options.work is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
