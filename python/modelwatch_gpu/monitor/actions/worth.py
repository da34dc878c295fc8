"""The feedback set of a monitor: what its store knows of windows, segments and files, put to ``feedback_set``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine, select

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.log import Derived, Log
from modelwatch_gpu.monitor.actions.feedback import REASONS, Drifted, feedback_set
from modelwatch_gpu.monitor.actions.triggers import fired_in
from modelwatch_gpu.monitor.alerts.machine import LEVELS
from modelwatch_gpu.monitor.alerts.verdicts import TIMELESS
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.counts import Counter
from modelwatch_gpu.monitor.discover import discover, opened
from modelwatch_gpu.monitor.store import tables as t
from modelwatch_gpu.monitor.store.alert_tables import alerts
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.parts import WHOLE


def feedback_of(
    engine: Engine,
    config: MonitorConfig,
    *,
    windows: Sequence[int] | None = None,
    rows: int = 1_000,
    reasons: Sequence[str] = REASONS,
    derived: Sequence[Derived] = (),
) -> pa.Table:
    """Rows of the log that are worth a label, from the windows with these starts; None: those in which alerts that are
    open have fired. See ``feedback_set``.

    Raises InputError where no alert is open and no window is named, or a window is not known.
    """
    with engine.begin() as connection:
        starts = _open_windows(connection) if windows is None else sorted(set(windows) - TIMELESS)
        if not starts:
            raise InputError("No alert is open, so there is no window to take rows from; name one by its start.")
        spans = {start: _span(connection, start) for start in starts}
        drifted = [one for start in starts for one in _drifted(connection, start, spans[start])]
        known = {path for start in starts for path in _files(connection, start)}
    baseline = Baseline.load(config.path_of(config.baseline))
    found = [one for one in discover(config.log.path, config.folder) if not known or one.path in known]
    if not found:
        raise InputError("None of the files that these windows were counted from is there any more.")
    log = Log.of([file for one in found for file in opened(one).files])
    source = Counter(config, baseline, derived).plan.reading(baseline, log)
    bounds = [span for span in spans.values() if span is not None]
    period = (min(a for a, _ in bounds), max(b for _, b in bounds) - 1) if len(bounds) == len(spans) else None
    return feedback_set(baseline, source, rows=rows, drifted=drifted, reasons=reasons, period=period)


def write_feedback(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Writes a feedback set as Parquet, whole or not at all, for its owner only: it holds rows of the log.

    Raises OutputError where that fails.
    """
    target = Path(path)
    beside: str | None = None
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        with os.fdopen(descriptor, "wb") as file:  # of mode 0600
            pq.write_table(table, file, compression="zstd")
        os.replace(beside, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}).") from None
    finally:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)


def window_named(engine: Engine, text: str) -> int:
    """The start of the window that is called so: its start in ISO 8601, how that begins, or its label.

    Raises InputError where that is none or several.
    """
    with engine.begin() as connection:
        rows = connection.execute(select(t.windows.c.window_start, t.windows.c.window, t.windows.c.label)).all()
    exact = [r.window_start for r in rows if text in (r.window, r.label)]
    found = exact or [r.window_start for r in rows if (r.window or "").startswith(text)]
    if len(found) != 1:
        known = ", ".join(r.label for r in sorted(rows, key=lambda r: r.window_start)[-5:])
        said = "There is no window" if not found else "There are several windows"
        raise InputError(f"{said} called {text!r}; the latest are {known or 'none'}.")
    return int(found[0])


def writer(config: MonitorConfig, engine: Engine, action: Any, rows: int) -> Any:
    """What puts the feedback set of an action into its evidence."""
    windows = json.loads(action.request)["windows"]

    def write(path: Path) -> None:
        try:
            write_feedback(feedback_of(engine, config, windows=windows, rows=rows), path)
        except InputError as error:  # such as files that are gone: no reason not to start
            descriptor = os.open(path.with_suffix(".error.txt"), os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{error}\n")

    return write


def _open_windows(connection: Connection) -> list[int]:
    rows = connection.execute(select(alerts).where(alerts.c.status == "open")).all()
    return sorted({start for alert in rows for start in fired_in(connection, alert)} - TIMELESS)


def _span(connection: Connection, start: int) -> tuple[int, int] | None:
    """First second of a window and the one after its last; None for the whole log."""
    if start == WHOLE:
        return None
    end = connection.scalar(select(t.windows.c.window_end).where(t.windows.c.window_start == start))
    if end is None:
        raise InputError(f"The store has no window that starts at {start}.")
    return start, int(datetime.fromisoformat(end).timestamp())


def _drifted(connection: Connection, start: int, span: tuple[int, int] | None) -> list[Drifted]:
    """The segments of a window with findings that fire; the window itself where those are about all of its rows."""
    f = t.findings
    query = select(f.c.segment).where(f.c.window_start == start, f.c.severity.in_(LEVELS)).distinct()
    segments = list(connection.scalars(query))
    # Segments say where; the whole window says only that.
    told = [json.loads(text) for text in sorted(s for s in segments if s is not None)] or [None] * bool(segments)
    first, end = span if span is not None else (None, None)
    return [Drifted(first, end, segment) for segment in told]


def _files(connection: Connection, start: int) -> list[str]:
    """The files that have rows in a window, as far as that is kept."""
    p = t.parts.c
    return list(connection.scalars(select(p.path).where(p.window_start == start)))
