"""A small monitor: a log of days with two versions of a model, a baseline, a config, and runs of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine

import modelwatch_gpu as mw
from modelwatch_gpu.monitor.clock import FixedClock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.runner import Done, Runner
from modelwatch_gpu.monitor.store.engine import open_store

FIRST = 1_735_689_600  # 2025-01-01, midnight UTC
DAY = 86_400
NOW = datetime(2025, 2, 1, 12, tzinfo=UTC)

CONFIG = """\
version: 1
name: flights
baseline: baseline.mwb
log: {path: "log/*.parquet"}
window: 1d
by_version: true
units: rows
reports: {folder: null}
"""


def rows_of_day(day: int, seed: int, *, rows: int = 400, shift: float = 0.0, version: str = "v1") -> pa.Table:
    rng = np.random.default_rng([seed, day])
    when = FIRST + day * DAY + np.sort(rng.integers(0, DAY, rows))
    return pa.table(
        {
            "when": pa.array(when).cast(pa.timestamp("s", "UTC")),
            "temp": rng.normal(shift, 1, rows),
            "place": rng.choice(["a", "b"], rows),
            "model_version": np.full(rows, version),
        }
    )


@functools.cache
def quiet_days() -> mw.Baseline:
    """Twenty of them."""
    days = pa.concat_tables([rows_of_day(day, 1) for day in range(20)])
    return mw.Baseline.fit(days, roles=mw.Roles(timestamp="when", version="model_version"))


@dataclass
class Monitor:
    """A monitor in a folder. ``now``: of its clock."""

    folder: Path
    text: str = CONFIG
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))

    @property
    def path(self) -> Path:
        return self.folder / "monitor.yaml"

    @property
    def config(self) -> MonitorConfig:
        return MonitorConfig.load(self.path)

    def write(self, text: str | None = None) -> None:
        self.text = self.text if text is None else text
        self.path.write_text(self.text)

    def add(self, day: int, *, shift: float = 0.0, version: str = "v1", rows: int = 400) -> None:
        (self.folder / "log").mkdir(exist_ok=True)
        table = rows_of_day(day, 7, shift=shift, version=version, rows=rows)
        pq.write_table(table, self.folder / "log" / f"day-{day:03d}.parquet")

    def run(self) -> Done:
        return Runner(self.config, clock=self.clock).once()

    @property
    def engine(self) -> Engine:
        return open_store(self.config.store.url, folder=self.folder)


def small_monitor(folder: Path, text: str = CONFIG) -> Monitor:
    """With a baseline of twenty quiet days, and a log of two more."""
    quiet_days().save(folder / "baseline.mwb")
    monitor = Monitor(folder, text)
    monitor.write()
    monitor.add(20)
    monitor.add(21, shift=0.05)
    return monitor
