"""How long things stay: windows are closed once corrections no longer come, forgotten when they are old.

Closing adds the counts of a window's files up for good (DESIGN 3.6, compaction): the window keeps one state instead of
a part of every file. Time here is the log's own, the newest row, so a clock that is wrong closes nothing too early.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine, delete, exists, func, select, update

from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.counts import Counter
from modelwatch_gpu.monitor.lease import Lease
from modelwatch_gpu.monitor.store.tables import OF_FILES, facts, files, findings, measures, parts, runs, states, windows

_SECOND: Final = timedelta(seconds=1)


def retain(engine: Engine, lease: Lease, config: MonitorConfig, counter: Counter) -> None:
    """Closes and forgets what is due, in one transaction."""
    with engine.begin() as connection:
        lease.hold(connection)
        newest = connection.execute(select(facts.c.value).where(facts.c.name == "newest")).scalar()
        if newest is not None and counter.window is not None:
            own = select(windows.c.window_start).where(windows.c.window_start > OF_FILES, ~windows.c.dirty)
            ends = {start: counter.end_of(start) for start in connection.execute(own).scalars()}
            close = int(newest) - config.retention.corrections_until // _SECOND
            _close(connection, [start for start, end in ends.items() if end <= close])
            if config.retention.keep is not None:
                forget = int(newest) - config.retention.keep // _SECOND
                _forget(connection, [start for start, end in ends.items() if end <= forget])
        _prune_runs(connection, config.retention.runs)


def _close(connection: Connection, starts: list[int]) -> None:
    for start in starts:
        # Which files are in the window stays known; their counts are in its state.
        own = (parts.c.window_start == start, parts.c.merged, func.length(parts.c.bytes) > 0)
        if connection.execute(update(parts).where(*own).values(bytes=b"")).rowcount:
            connection.execute(update(windows).where(windows.c.window_start == start).values(state="closed"))


def _forget(connection: Connection, starts: list[int]) -> None:
    for start in starts:
        for table in (states, measures, findings, windows, parts):
            connection.execute(delete(table).where(table.c.window_start == start))
    if starts:
        without = ~exists().where(parts.c.path == files.c.path)
        connection.execute(delete(files).where(files.c.state == "kept", without))


def _prune_runs(connection: Connection, kept: int) -> None:
    """Records of the latest runs stay, and of those that judged a window as it stands."""
    oldest = connection.execute(select(runs.c.id).order_by(runs.c.id.desc()).offset(kept).limit(1)).scalar()
    if oldest is not None:
        judged = exists().where(windows.c.run_id == runs.c.id)
        connection.execute(delete(runs).where(runs.c.id <= oldest, ~judged))
