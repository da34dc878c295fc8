"""What a store says now: the latest window of a monitor, its findings and measures, runs, alerts, deployments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from modelwatch_gpu.checks.finding import SEVERITIES
from modelwatch_gpu.errors import OutputError
from modelwatch_gpu.monitor.clock import utc_time
from modelwatch_gpu.monitor.store.alert_tables import alerts, deliveries
from modelwatch_gpu.monitor.store.engine import reading
from modelwatch_gpu.monitor.store.governance_tables import audit_head
from modelwatch_gpu.monitor.store.tables import RUN_STATES, facts, files, findings, measures, runs, windows
from modelwatch_gpu.monitor.versions.deployments import Deployment, list_deployments, running
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE

#: Rows that one answer holds at most.
MOST_ROWS: Final = 10_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Current:
    """``window``: the latest one that was judged and has rows, None where there is none. ``measures``, ``findings``: of
    its whole rows, sorted by column and name. ``segments``: (column, check, severity) -> findings about segments.
    ``counts``: its findings by severity. ``windows``: windows by their worst severity. ``runs``: by state.
    ``ended``: when the last finished run ended. ``newest``: the latest second of any row. ``alerts``: open ones by
    severity. ``waiting``: messages not yet delivered. ``running``: deployments at work. ``audit``: records."""

    window: Row | None
    measures: Sequence[Row]
    findings: Sequence[Row]
    segments: Mapping[tuple[str, str, str], int]
    counts: Mapping[str, int]
    windows: Mapping[str, int]
    runs: Mapping[str, int]
    files: Mapping[str, int]
    rows: int
    ended: datetime | None
    newest: int | None
    alerts: Mapping[str, int]
    waiting: int
    running: Sequence[Deployment]
    audit: int


def current(engine: Engine, names: Sequence[str]) -> Current:
    """What the store says now, in one state of it. ``names``: measures to read. Raises OutputError where it cannot be
    read."""
    try:
        with reading(engine) as connection:
            return _current(connection, names)
    except SQLAlchemyError as error:
        raise OutputError(f"The store cannot be read ({type(error).__name__}).") from None


def _current(connection: Connection, names: Sequence[str]) -> Current:
    latest = latest_window(connection)
    start = None if latest is None else latest["window_start"]
    own = findings.c.window_start == start
    by_segment = (
        select(findings.c.column, findings.c.check, findings.c.severity, func.count())
        .where(own, findings.c.segment.is_not(None), findings.c.severity.in_(("alert", "warning")))
        .group_by(findings.c.column, findings.c.check, findings.c.severity)
    )
    ended = connection.execute(select(func.max(runs.c.ended_at)).where(runs.c.state == "finished")).scalar()
    newest = connection.execute(select(facts.c.value).where(facts.c.name == "newest")).scalar()
    waiting = select(func.count()).select_from(deliveries).where(deliveries.c.state == "pending")
    shown = (
        select(alerts.c.severity, func.count())
        .where(alerts.c.status == "open", alerts.c.shown)
        .group_by(alerts.c.severity)
    )
    judged = select(windows.c.severity, func.count()).where(_timed(), windows.c.rows > 0).group_by(windows.c.severity)
    return Current(
        window=latest,
        measures=_rows(
            connection,
            select(measures)
            .where(measures.c.window_start == start, measures.c.segment.is_(None), measures.c.measure.in_(names))
            .order_by(measures.c.column, measures.c.measure, measures.c.compared_with),
        ),
        findings=_rows(
            connection,
            select(findings)
            .where(own, findings.c.segment.is_(None))
            .order_by(findings.c.column, findings.c.check, findings.c.compared_with, findings.c.id),
        ),
        segments={(str(c), str(k), str(s)): int(n) for c, k, s, n in connection.execute(by_segment)},
        counts=_counts(
            connection,
            select(findings.c.severity, func.count()).where(own).group_by(findings.c.severity),
            SEVERITIES,
        ),
        windows=_counts(connection, judged, SEVERITIES),
        runs=_counts(connection, select(runs.c.state, func.count()).group_by(runs.c.state), RUN_STATES),
        files=_counts(connection, select(files.c.state, func.count()).group_by(files.c.state), ("counted",)),
        rows=int(connection.execute(select(func.coalesce(func.sum(windows.c.rows), 0))).scalar() or 0),
        ended=None if ended is None else utc_time(ended),
        newest=None if newest is None else int(newest),
        alerts=_counts(connection, shown, ("alert", "warning")),
        waiting=int(connection.execute(waiting).scalar() or 0),
        running=running(list_deployments(connection)),
        audit=int(connection.execute(select(audit_head.c.seq)).scalar() or 0),
    )


def latest_window(connection: Connection) -> Row | None:
    """The latest window that was judged and has rows."""
    asked = (
        select(windows)
        .where(_timed(), windows.c.rows > 0, windows.c.run_id.is_not(None))
        .order_by(windows.c.window_start.desc())
        .limit(1)
    )
    found = _rows(connection, asked)
    return found[0] if found else None


def findings_of(
    connection: Connection,
    *,
    window: str | None = None,
    column: str | None = None,
    severities: Sequence[str] = (),
    limit: int = 1_000,
) -> list[Row]:
    """Findings, the latest windows first and the worst first among them.

    ``window``: the start of one, as the store has it, or "latest"; None: all. ``limit``: at most ``MOST_ROWS``.
    """
    asked = select(findings)
    if window == "latest":
        latest = latest_window(connection)
        asked = asked.where(findings.c.window_start == (None if latest is None else latest["window_start"]))
    elif window is not None:
        asked = asked.where(findings.c.window == window)
    if column is not None:
        asked = asked.where(findings.c.column == column)
    if severities:
        asked = asked.where(findings.c.severity.in_(severities))
    # By name "alert" < "not_enough_data" < "ok" < "warning", so the order is spelt out.
    worst = [(findings.c.severity == name) for name in SEVERITIES]
    asked = asked.order_by(
        findings.c.window_start.desc(), *(one.desc() for one in worst), findings.c.column, findings.c.id
    )
    return [_public(row) for row in _rows(connection, asked.limit(min(limit, MOST_ROWS)))]


def alerts_of(connection: Connection, *, status: str | None = None, limit: int = 1_000) -> list[Row]:
    """Alerts, those that changed last first."""
    asked = select(alerts).order_by(alerts.c.changed_at.desc(), alerts.c.id)
    if status is not None:
        asked = asked.where(alerts.c.status == status)
    return _rows(connection, asked.limit(min(limit, MOST_ROWS)))


def runs_of(connection: Connection, *, limit: int = 100) -> list[Row]:
    """Runs, the latest first."""
    return _rows(connection, select(runs).order_by(runs.c.id.desc()).limit(min(limit, MOST_ROWS)))


def windows_of(connection: Connection, *, limit: int = 1_000) -> list[Row]:
    """Windows with their worst severity, the latest first."""
    asked = select(windows).where(_timed()).order_by(windows.c.window_start.desc())
    names = ("window", "window_end", "label", "state", "rows", "files", "run_id", "severity", "report")
    return [{name: row[name] for name in names} for row in _rows(connection, asked.limit(min(limit, MOST_ROWS)))]


def _timed() -> Any:
    """Windows that are judged: all but that of rows without a time."""
    return (windows.c.window_start > UNTIMED) | (windows.c.window_start == WHOLE)


def _public(row: Row) -> Row:
    """A finding as JSON values: the segment as an object."""
    text = row["segment"]
    return {
        **{k: v for k, v in row.items() if k != "window_start"},
        "segment": None if text is None else json.loads(text),
    }


def _rows(connection: Connection, asked: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(asked).mappings()]


def _counts(connection: Connection, asked: Select[Any], names: Sequence[str]) -> dict[str, int]:
    """Rows of (name, count), with 0 for names that are always told."""
    found = {name: 0 for name in names}
    for name, count in connection.execute(asked):
        if name is not None:
            found[str(name)] = int(count)
    return found
