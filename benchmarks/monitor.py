"""What a run costs that finds one new file of a hundred, beside counting that file alone.

    python benchmarks/monitor.py LOG NEW [NEW ...] [--times 5] [--work FOLDER]

LOG: a folder of 99 files that `job/make_log.py` made; they are counted before. NEW: files of the same columns,
each of which comes as the hundredth. Two pairs, timed one after the other, so that a busy machine slows both sides:

- processes from start to end: one that opens the baseline, counts the file and writes its profile; `modelwatch run`,
  which opens config, baseline and store, looks at the list of files, counts the new one, merges it into the window it
  belongs to, judges that, writes its page, findings, alerts and the audit's record, and commits;
- in one process that stays, as under --watch, where neither side starts, imports or opens anything.

Prints a JSON object for each NEW: seconds of wall and CPU time (of all threads), medians of both sides and of the ratio
of each pair.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import modelwatch_gpu as mw
from modelwatch_gpu.demo import ROLES, TIMEZONE
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.runner import Runner

CONFIG = """\
baseline: baseline.mwb
log: {path: log, settle: 0s}
window: 1mo
timezone: America/New_York
alerts:
  rules: [{name: drift}]
"""
ALONE = """\
import sys
import modelwatch_gpu as mw
mw.Profile.count(mw.Baseline.load(sys.argv[1]), sys.argv[2], window="1mo").save(sys.argv[3])
"""
REFERENCE_FILES = 10
Times = tuple[float, float]


def timed(work: Callable[[], Any], who: int) -> Times:
    """Seconds of wall and CPU time of this process, or of those it waits for."""
    before, wall = resource.getrusage(who), time.perf_counter()
    work()
    wall, after = time.perf_counter() - wall, resource.getrusage(who)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Home:
    """A folder with a baseline, a config and a store that has counted the 99 files, and can be put back to that."""

    def __init__(self, log: Path, folder: Path) -> None:
        files = sorted(log.glob("*.parquet"))
        self.folder, self.link, self.kept = folder, folder / "log" / "new.parquet", folder / "kept.db"
        self.baseline = mw.Baseline.fit(files[:REFERENCE_FILES], roles=ROLES, timezone=TIMEZONE)
        self.baseline.save(folder / "baseline.mwb")
        (folder / "log").mkdir()
        self.config.write_text(CONFIG)
        for file in files:
            os.symlink(file.resolve(), folder / "log" / file.name)
        runner = Runner(MonitorConfig.load(self.config))
        assert len(runner.once().files) == len(files)
        runner.engine.dispose()
        shutil.copy(folder / "monitor.db", self.kept)
        self.files = len(files) + 1

    @property
    def config(self) -> Path:
        return self.folder / "monitor.yaml"

    def put_back(self) -> None:
        """The 99 files are counted, and the new one has not come."""
        self.link.unlink(missing_ok=True)
        for left in self.folder.glob("monitor.db*"):
            left.unlink()
        shutil.copy(self.kept, self.folder / "monitor.db")

    def processes(self, new: Path) -> tuple[Times, Times]:
        """Counting alone and a run, each a process of its own."""
        self.put_back()
        alone = [sys.executable, "-c", ALONE, str(self.folder / "baseline.mwb"), str(new), str(self.folder / "new.mwp")]
        run = [sys.executable, "-m", "modelwatch_gpu", "run", str(self.config), "--quiet", "--fail-on", "never"]
        first = timed(lambda: subprocess.run(alone, check=True), resource.RUSAGE_CHILDREN)
        os.symlink(new.resolve(), self.link)
        return first, timed(lambda: subprocess.run(run, check=True), resource.RUSAGE_CHILDREN)

    def resident(self, new: Path) -> tuple[Times, Times]:
        """The same in this process, with a baseline and a runner that are there."""
        self.put_back()
        runner = Runner(MonitorConfig.load(self.config))
        assert not runner.once().files
        count = self.folder / "new.mwp"
        alone = timed(lambda: mw.Profile.count(self.baseline, str(new), window="1mo").save(count), resource.RUSAGE_SELF)
        os.symlink(new.resolve(), self.link)
        run = timed(lambda: runner.once(), resource.RUSAGE_SELF)
        runner.engine.dispose()
        return alone, run


def measure(home: Home, new: Path, times: int) -> dict[str, Any]:
    """Both pairs for one new file."""
    pairs = {"processes": home.processes, "resident": home.resident}
    taken: dict[str, list[tuple[Times, Times]]] = {name: [] for name in pairs}
    for _ in range(times):
        for name, pair in pairs.items():
            taken[name].append(pair(new))
    home.put_back()
    return {
        "files": home.files,
        "rows_of_new_file": pq.read_metadata(new).num_rows,
        "megabytes_of_new_file": round(new.stat().st_size / 1e6, 1),
        "columns": len(home.baseline.columns),
        **{name: {"wall": _both(own, 0), "cpu": _both(own, 1)} for name, own in taken.items()},
        "times": times,
        "cpus": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
    }


def _both(pairs: list[tuple[Times, Times]], which: int) -> dict[str, float]:
    alone, run = (statistics.median(side[which] for side in sides) for sides in zip(*pairs, strict=True))
    ratio = statistics.median(r[which] / a[which] for a, r in pairs)
    return {"counting_alone": round(alone, 3), "run": round(run, 3), "ratio": round(ratio, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("new", type=Path, nargs="+")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--work", type=Path, help="an empty folder, by default a temporary one")
    options = parser.parse_args()
    folder = options.work or Path(tempfile.mkdtemp(prefix="modelwatch-monitor-"))
    try:
        home = Home(options.log, folder)
        for new in options.new:
            print(json.dumps(measure(home, new, options.times)), flush=True)
    finally:
        if options.work is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
