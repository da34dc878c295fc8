"""A small log to watch: days of a model's predictions, some of them drifted; and what a store holds, to compare."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine, select

from modelwatch_gpu.log import Roles
from modelwatch_gpu.monitor.clock import FixedClock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.runner import Runner
from modelwatch_gpu.monitor.store.tables import evidence, files, findings, measures, parts, states, windows
from modelwatch_gpu.profile import Baseline

ROLES = Roles(id="row", timestamp="at", label="label", score="score", ignore=[], infer=False)
START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
NOW = dt.datetime(2024, 6, 1, 12, tzinfo=dt.UTC)


def rows_of(day: int, *, rows: int = 60, days: int = 1, shift: float = 0.0, seed: int = 0) -> pa.Table:
    """Rows of some days, the first of them ``day`` days after the start. ``shift`` moves the feature x."""
    rng = np.random.default_rng([day + 100, rows, seed])
    at = np.sort(rng.integers(0, 86_400 * days, rows)) + int(START.timestamp()) + 86_400 * day
    x = rng.normal(shift, 1, rows)
    x[rng.random(rows) < 0.02] = np.nan
    score = 1 / (1 + np.exp(-x + rng.normal(0, 1, rows)))
    return pa.table(
        {
            "row": pa.array(np.arange(rows) + 1_000_000 * (day + 100) + 1_000_000_000 * seed),
            "at": pa.array(at * 1_000_000, pa.timestamp("us", "UTC")),
            "x": x,
            "kind": pa.array(rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1])),
            "score": score,
            "label": (rng.random(rows) < score).astype("i1"),
        }
    )


def baseline_of_a_month() -> Baseline:
    """Thirty days before the start."""
    table = pa.concat_tables([rows_of(day, rows=200) for day in range(-30, 0)])
    return Baseline.fit(table, roles=ROLES)


@dataclass
class World:
    """A folder with a baseline, a log that grows and a config."""

    folder: Path
    baseline: Baseline

    def __post_init__(self) -> None:
        self.baseline.save(self.folder / "baseline.mwb")
        self.log.mkdir(exist_ok=True)

    @property
    def log(self) -> Path:
        """Where files of the log lie."""
        return self.folder / "log"

    def add(self, name: str, table: pa.Table, *, folder: str = "log") -> Path:
        """A new or changed file, which appears whole."""
        (self.folder / folder).mkdir(exist_ok=True)
        path = self.folder / folder / name
        beside = self.folder / f".{name}.part"
        pq.write_table(table, beside)
        os.replace(beside, path)
        return path

    def day(self, day: int, **options: Any) -> Path:
        """A file with the rows of one day."""
        return self.add(f"day-{day:03d}.parquet", rows_of(day, **options))

    def config(self, more: str = "", *, log: str = "path: log", reports: str = "null") -> MonitorConfig:
        """The config of this log; ``more``: lines of it."""
        path = self.folder / "monitor.yaml"
        path.write_text(f"baseline: baseline.mwb\nlog: {{{log}}}\nreports: {{folder: {reports}}}\n{more}\n")
        return MonitorConfig.load(path)

    def runner(self, more: str = "", *, log: str = "path: log", reports: str = "null", **options: Any) -> Runner:
        """What runs it."""
        return Runner(self.config(more, log=log, reports=reports), **{"clock": FixedClock(NOW), **options})


def exact_state(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Everything a store holds of a log and its verdicts, without runs and times."""
    tables = {
        "files": (files, ("path", "kind", "size", "rows", "state", "part_sha256", "same_as", "error")),
        "parts": (parts, ("path", "window_start", "part_sha256", "rows", "merged", "bytes")),
        "windows": (windows, ("window_start", "window", "window_end", "label", "state", "dirty", "rebuild", "rows",
                              "files", "severity", "report")),
        "states": (states, ("window_start", "sha256", "bytes")),
        "evidence": (evidence, ("window_start", "bytes")),
        "measures": (measures, tuple(c.name for c in measures.c if c.name != "run_id")),
        "findings": (findings, tuple(c.name for c in findings.c if c.name != "run_id")),
    }  # fmt: skip
    found = {}
    with engine.connect() as connection:
        for name, (table, columns) in tables.items():
            query = select(*(table.c[column] for column in columns))
            found[name] = sorted((tuple(row) for row in connection.execute(query)), key=repr)
    return found


def severities(engine: Engine) -> dict[str, str | None]:
    """Window's label -> its worst finding."""
    with engine.connect() as connection:
        rows = connection.execute(select(windows.c.label, windows.c.severity).order_by(windows.c.window_start))
        return {row.label: row.severity for row in rows}
