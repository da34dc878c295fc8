"""What a run costs that finds one new file of a hundred, beside counting that file alone.

    python benchmarks/monitor.py LOG [--rows 131072 1048576 3145728] [--times 5] [--work FOLDER] [--json FILE]

LOG: a folder of 99 files that `job/make_log.py` made; they are counted before. The hundredth file is made here,
of the log's last month, with each number of rows in turn. Three ways of doing what has to be done, one after the other,
so that a busy machine slows all of them:

- count: the baseline is opened, the file counted, and its profile written;
- compare: the file alone is counted, judged, and its page written, as by `modelwatch compare`;
- run: `modelwatch run`, which opens config, baseline and store, looks at the list of files, counts the new one, merges
  it into the window it belongs to, judges that, writes its page, findings, alerts and the audit's record, and commits.

Each as a process of its own from start to end, with bytecode compiled as an installed package has it; and in one
process that stays, as under --watch, which has run before: nobody starts, imports or opens anything. It is asserted
that the run counts that file, all its rows, and no other.

Prints and writes seconds of wall and CPU time (of all threads): medians of each way, and of the ratio in each turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
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
mw.Profile.count(mw.Baseline.load(sys.argv[1]), sys.argv[2], window="1mo", timezone=sys.argv[4]).save(sys.argv[3])
"""
REFERENCE_FILES = 10
ROW_GROUP = 131_072
WAYS = ("count", "compare", "run")
Times = tuple[float, float]


def timed(work: Callable[[], Any], who: int) -> Times:
    """Seconds of wall and CPU time of this process, or of those it waits for."""
    before, wall = resource.getrusage(who), time.perf_counter()
    work()
    wall, after = time.perf_counter() - wall, resource.getrusage(who)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def last_month(rows: int, path: Path, like: Path) -> None:
    """Writes a file of so many rows of the log's last month, with the columns of a file of the log."""
    sys.path.insert(0, str(Path(__file__).resolve().parent / "job"))
    import make_log

    month, random = make_log.months()[-1], np.random.default_rng(7)
    times = month["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    names = pq.read_schema(like).names
    writer: Any = None
    for done in range(0, rows, ROW_GROUP):
        count = min(ROW_GROUP, rows - done)
        table = make_log.drawn(month, count, (int(times.min()), int(times.max()) + 1), 10**9 + done, random).select(
            names
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=ROW_GROUP)
    writer.close()


class Home:
    """A folder with a baseline, a config and a store that has counted the 99 files, and can be put back to that."""

    def __init__(self, log: Path, folder: Path) -> None:
        self.folder, self.link, self.kept = folder, folder / "log" / "new.parquet", folder / "kept.db"
        self.files = len(list(log.glob("*.parquet"))) + 1
        if not self.kept.exists():
            self._fill(sorted(log.glob("*.parquet")))
        self.baseline = mw.Baseline.load(folder / "baseline.mwb")
        self.small = folder / "small.parquet"
        last_month(1_000, self.small, self.first)
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")

    def _fill(self, files: list[Path]) -> None:
        baseline = mw.Baseline.fit(files[:REFERENCE_FILES], roles=ROLES, timezone=TIMEZONE)
        baseline.save(self.folder / "baseline.mwb")
        (self.folder / "log").mkdir()
        self.config.write_text(CONFIG)
        for file in files:
            os.symlink(file.resolve(), self.folder / "log" / file.name)
        runner = Runner(MonitorConfig.load(self.config))
        assert len(runner.once().files) == len(files)
        runner.engine.dispose()
        shutil.copy(self.folder / "monitor.db", self.kept)

    @property
    def config(self) -> Path:
        return self.folder / "monitor.yaml"

    @property
    def first(self) -> Path:
        """The first of the 99 files."""
        return min((self.folder / "log").glob("part-*.parquet"))

    def put_back(self) -> None:
        """The 99 files are counted, and the new one has not come."""
        for link in (self.link, self.folder / "log" / "small.parquet"):
            link.unlink(missing_ok=True)
        for left in self.folder.glob("monitor.db*"):
            left.unlink()
        shutil.copy(self.kept, self.folder / "monitor.db")

    def processes(self, new: Path) -> dict[str, Times]:
        """Each way as a process of its own."""
        self.put_back()
        baseline, tool = str(self.folder / "baseline.mwb"), [sys.executable, "-m", "modelwatch_gpu"]
        page = ["--html", str(self.folder / "new.html")]
        commands = {
            "count": [sys.executable, "-c", ALONE, baseline, str(new), str(self.folder / "new.mwp"), TIMEZONE],
            "compare": [*tool, "compare", baseline, str(new), "--window", "1mo", "--timezone", TIMEZONE, *page],
            "run": [*tool, "run", str(self.config)],
        }
        found: dict[str, Times] = {}
        for way in WAYS:
            command = commands[way] if way == "count" else [*commands[way], "--quiet", "--fail-on", "never"]
            if way == "run":
                os.symlink(new.resolve(), self.link)
            work = lambda: subprocess.run(command, check=True, env=self.environment)  # noqa: E731, B023
            found[way] = timed(work, resource.RUSAGE_CHILDREN)
        self._check(new)
        return found

    def resident(self, new: Path) -> dict[str, Times]:
        """The same in this process, with a baseline and a runner that are there."""
        self.put_back()
        os.symlink(self.small.resolve(), self.folder / "log" / "small.parquet")
        runner = Runner(MonitorConfig.load(self.config))
        assert len(runner.once().files) == 1
        count, page = self.folder / "new.mwp", self.folder / "new.html"
        options: dict[str, Any] = {"window": "1mo", "timezone": TIMEZONE}
        ways: Mapping[str, Callable[[], Any]] = {
            "count": lambda: mw.Profile.count(self.baseline, str(new), **options).save(count),
            "compare": lambda: mw.compare(self.baseline, str(new), **options).to_html(page),
            "run": runner.once,
        }
        found: dict[str, Times] = {}
        for way in WAYS:
            if way == "run":
                os.symlink(new.resolve(), self.link)
            found[way] = timed(ways[way], resource.RUSAGE_SELF)
        runner.engine.dispose()
        self._check(new, 1)
        return found

    def _check(self, new: Path, more: int = 0) -> None:
        """The store has the new file, all its rows, the other 99 as before, and so many more."""
        known, before = (_counted(path) for path in (self.folder / "monitor.db", self.kept))
        assert before.items() <= known.items()
        assert len(known) == self.files + more
        (added,) = (rows for path, (rows, _) in known.items() if path.endswith(new.name))
        assert added == pq.read_metadata(new).num_rows


def _counted(store: Path) -> dict[str, tuple[int, str]]:
    """Files that were counted: path -> rows, hash of the counts."""
    with closing(sqlite3.connect(store)) as opened:
        rows = opened.execute("SELECT path, rows, part_sha256 FROM files WHERE state = 'counted'")
        return {path: (count, part) for path, count, part in rows}


def measure(home: Home, rows: int, times: int) -> dict[str, Any]:
    """All ways for one new file."""
    new = home.folder / f"new-{rows}.parquet"
    if not new.exists():
        last_month(rows, new, home.first)
    home.processes(new)  # compiles what is imported, and reads the file from the disk
    taken: dict[str, list[dict[str, Times]]] = {"processes": [], "resident": []}
    for _ in range(times):
        taken["processes"].append(home.processes(new))
        taken["resident"].append(home.resident(new))
    home.put_back()
    return {
        "files": home.files,
        "rows_of_new_file": rows,
        "megabytes_of_new_file": round(new.stat().st_size / 1e6, 1),
        "columns": len(home.baseline.columns),
        **{name: {"wall": _medians(turns, 0), "cpu": _medians(turns, 1)} for name, turns in taken.items()},
        "times": times,
    }


def _medians(turns: list[dict[str, Times]], which: int) -> dict[str, float]:
    found = {way: round(statistics.median(turn[way][which] for turn in turns), 3) for way in WAYS}
    for beside in WAYS[:2]:
        ratio = statistics.median(turn["run"][which] / turn[beside][which] for turn in turns)
        found[f"run_by_{beside}"] = round(ratio, 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[131_072, 1_048_576, 3_145_728])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--work", type=Path, help="a folder that is kept and taken up again; default: a temporary one")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = (options.work or Path(tempfile.mkdtemp(prefix="modelwatch-monitor-"))).resolve()
    folder.mkdir(exist_ok=True)
    found = []
    try:
        home = Home(options.log, folder)
        for rows in options.rows:
            found.append(measure(home, rows, options.times))
            print(json.dumps(found[-1]), flush=True)
    finally:
        if options.work is None:
            shutil.rmtree(folder)
    if options.json is not None:
        about = {"machine": platform.machine(), "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
        options.json.write_text(json.dumps({**about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
