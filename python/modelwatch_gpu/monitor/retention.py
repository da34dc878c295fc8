"""How long things stay: windows are closed once corrections no longer come, forgotten when they are old.

Closing adds the counts of a window's files up for good (DESIGN 3.6, compaction): the window keeps one state instead of
a part of every file. Time here is the log's own, the newest row, so a clock that is wrong closes nothing too early.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.counts import Counter
from modelwatch_gpu.monitor.store.tables import (
    OF_FILES,
    evidence,
    facts,
    files,
    findings,
    measures,
    parts,
    runs,
    states,
    windows,
)
from modelwatch_gpu.profile.parts import UNTIMED

_SECOND: Final = timedelta(seconds=1)


def retain(connection: Connection, config: MonitorConfig, counter: Counter, now: datetime) -> None:
    """Closes and forgets what is due, in the transaction that finishes a run."""
    newest = connection.execute(select(facts.c.value).where(facts.c.name == "newest")).scalar()
    if config.retention.alerts is not None:
        from modelwatch_gpu.monitor.alerts.forgetting import forget_alerts

        length = config.retention.alerts // _SECOND
        forget_alerts(connection, config, UNTIMED if newest is None else int(newest) - length, now)
    if newest is not None and counter.window is not None:
        _close(connection, counter.start_of(int(newest) - config.retention.corrections_until // _SECOND))
        if config.retention.keep is not None:
            _forget(connection, counter.start_of(int(newest) - config.retention.keep // _SECOND))
    _prune_runs(connection, config.retention.runs)


def _over(connection: Connection, until: int, *conditions: ColumnElement[bool]) -> list[int]:
    """Windows that begin before a time and have nothing to be judged."""
    own = select(windows.c.window_start).where(windows.c.window_start > OF_FILES, windows.c.window_start < until)
    return list(connection.execute(own.where(~windows.c.dirty, *conditions)).scalars())


def _close(connection: Connection, until: int) -> None:
    for start in _over(connection, until, windows.c.state == "open"):
        # Which files are in the window stays known; their counts are in its state.
        connection.execute(update(parts).where(parts.c.window_start == start, parts.c.merged).values(bytes=b""))
        connection.execute(update(windows).where(windows.c.window_start == start).values(state="closed"))


def _forget(connection: Connection, until: int) -> None:
    starts = _over(connection, until)
    for start in starts:
        for table in (states, measures, findings, windows, parts):
            connection.execute(delete(table).where(table.c.window_start == start))
    if starts:
        # What they have shown goes on: the last one's stays.
        connection.execute(delete(evidence).where(evidence.c.window_start < max(starts)))
        without = ~exists().where(parts.c.path == files.c.path)
        connection.execute(delete(files).where(files.c.state == "kept", without))


def _prune_runs(connection: Connection, kept: int) -> None:
    """Records of the latest runs stay, and of those that judged a window as it stands."""
    oldest = connection.execute(select(runs.c.id).order_by(runs.c.id.desc()).offset(kept).limit(1)).scalar()
    if oldest is not None:
        judged = exists().where(windows.c.run_id == runs.c.id)
        connection.execute(delete(runs).where(runs.c.id <= oldest, ~judged))
