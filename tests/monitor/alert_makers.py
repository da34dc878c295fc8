"""A store with findings, written as a run would, for tests of alerts."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select

from modelwatch_gpu.monitor.alerts.decide import Change, Decider
from modelwatch_gpu.monitor.config.alerts import AlertsConfig
from modelwatch_gpu.monitor.store import alert_tables, tables
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.monitor.store.metadata import metadata
from modelwatch_gpu.profile.parts import UNTIMED

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 86_400


@dataclass(frozen=True)
class Found:
    """A finding; severities are written as letters: F alert, W warning, C ok, u without data, m perhaps."""

    letter: str = "F"
    column: str = "delay"
    check: str = "ks"
    segment: Mapping[str, str | None] | None = None
    reason: str = "ks 0.31 is above 0.2."

    def row(self, start: int) -> dict[str, Any]:
        severity = {"F": "alert", "W": "warning", "C": "ok"}.get(self.letter, "not_enough_data")
        value = {"F": 0.31, "W": 0.15, "C": 0.02, "u": None, "m": 0.25}[self.letter]
        return {
            "window": day(start),
            "segment": None if self.segment is None else json.dumps(self.segment, sort_keys=True),
            "column": self.column,
            "check": self.check,
            "compared_with": "BASELINE",
            "severity": severity,
            "value": value,
            "lower": None if value is None else value - 0.02,
            "upper": None if value is None else value + 0.02,
            "threshold": 0.2 if severity == "alert" else 0.1,
            "p_value": 0.0001 if severity == "alert" else None,
            "n": 0 if value is None else 33_000,
            "reason": self.reason,
            "report": f"reports/{start}.html",
        }


def day(start: int) -> str | None:
    """A window's start as text."""
    return None if start < UNTIMED // 2 else datetime.fromtimestamp(start, UTC).isoformat()


@dataclass
class Store:
    """A store and the runs that wrote to it."""

    engine: Engine
    config: AlertsConfig
    runs: Iterator[int] = field(default_factory=itertools.count)
    now: datetime = NOON

    @classmethod
    def of(
        cls, rules: list[dict[str, Any]], channels: list[dict[str, Any]] | None = None, *, engine: Engine | None = None
    ) -> Store:
        config = AlertsConfig.model_validate({"rules": rules, "channels": channels or []})
        return cls(engine or open_store("sqlite://"), config)

    def run(self, found: Mapping[int, Iterable[Found]], gone: Iterable[int] = ()) -> list[Change]:
        """One run that judged these windows: their findings replace what was there before. ``gone``: have no rows."""
        run_id = f"run-{next(self.runs)}"
        self.now += timedelta(minutes=1)
        with self.engine.begin() as connection:
            for start, own in [*found.items(), *((start, []) for start in gone)]:
                self.forget(connection, start)
                self._window(connection, run_id, start, list(own))
            return Decider(connection, self.config, "flights", run_id, self.now).decide()

    def forget(self, connection: Connection, start: int) -> None:
        """Takes a window out of the store."""
        for table in (tables.findings, tables.windows):
            connection.execute(delete(table).where(table.c.window_start == start))

    def _window(self, connection: Connection, run_id: str, start: int, own: list[Found]) -> None:
        window = {
            "window_start": start,
            "window": day(start),
            "window_end": day(start + DAY),
            "label": day(start) or "-",
        }
        state = {"state": "open", "dirty": False, "rebuild": False, "rows": 33_000, "files": 1}
        connection.execute(insert(tables.windows).values(**window, **state, run_id=run_id, report=None))
        rows = [
            {"id": f"{start}-{at}", "run_id": run_id, "window_start": start, **f.row(start)} for at, f in enumerate(own)
        ]
        if rows:
            connection.execute(insert(tables.findings), rows)

    def rows(self, table: str, *order: str) -> list[Any]:
        """All rows of a table of alerts."""
        own = getattr(alert_tables, table)
        with self.engine.begin() as connection:
            return list(connection.execute(select(own).order_by(*(own.c[name] for name in order))))

    def told(self, channel: str = "ops") -> list[tuple[str, str]]:
        """(alert, kind) of all messages to a channel, as they were queued."""
        rows = self.rows("deliveries", "alert_id", "seq")
        names = {row.id: at for at, row in enumerate(self.rows("alerts", "opened", "id"))}
        return [(f"alert {names[row.alert_id]}", row.kind) for row in rows if row.channel == channel]


@functools.cache
def _kept(slot: int) -> Engine:
    return open_store("sqlite://")


def emptied(slot: int = 0) -> Engine:
    """The store in memory of this slot, without rows: making its tables takes long."""
    engine = _kept(slot)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name != "schema_version":
                connection.execute(delete(table))
    return engine


def series(text: str, first: int = 0, **kind: Any) -> dict[int, list[Found]]:
    """A window a day, a finding a letter; - is a window without findings."""
    return {(first + at) * DAY: [] if c == "-" else [Found(c, **kind)] for at, c in enumerate(text)}
