"""The audit's record of a run: with what it ran, what it read, and what it found."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, select

from modelwatch_gpu.errors import OutputError
from modelwatch_gpu.monitor.audit.anchors import last_anchor, write_anchor
from modelwatch_gpu.monitor.audit.chain import append, canonical, head
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.store.alert_tables import actions, alerts
from modelwatch_gpu.monitor.store.engine import reading
from modelwatch_gpu.monitor.store.governance_tables import audit
from modelwatch_gpu.monitor.store.tables import files, findings, runs, states, windows

#: Warnings and alerts that a record lists; the hash is over all findings.
MOST_LISTED: Final = 1_000
_RUN: Final = ("started_at", "config_sha256", "code_version", "baseline_sha256", "device", "rows")
_FINDING: Final = ("id", "window", "segment", "column", "check", "compared_with", "severity", "value", "lower")
_FINDING_ALL: Final = (*_FINDING, "upper", "threshold", "p_value", "e_value", "n", "reason")

#: What is told of alerts that a run opened, prolonged or closed, and of actions that it asked for.
_ALERT: Final = ("id", "rule", "key", "status", "severity", "shown", "why", "first_seen")
_ACTION: Final = ("id", "name", "alert_id", "state", "reason")

_log = logging.getLogger("modelwatch_gpu.monitor")


def record_run(connection: Connection, config: MonitorConfig, run_id: str, now: datetime) -> None:
    """Adds what a run saw and found, in the transaction that finishes it; before it the config, where that changed, and
    behind it versions that the log names for the first time."""
    _record_config(connection, config, now)
    run = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().one()
    found = list(
        connection.execute(
            select(*(findings.c[name] for name in _FINDING_ALL))
            .where(findings.c.run_id == run_id)
            .order_by(findings.c.id)
        ).mappings()
    )
    told = [row for row in found if row["severity"] in ("alert", "warning")]
    body: dict[str, Any] = {
        "run": run_id,
        **{name: run[name] for name in _RUN},
        "files": _files(connection, run_id),
        "windows": _windows(connection, run_id),
        "findings": dict(sorted(Counter(str(row["severity"]) for row in found).items())),
        "findings_sha256": hashlib.sha256(canonical([dict(row) for row in found]).encode()).hexdigest(),
        "alerts": _changed(connection, alerts, _ALERT, run_id),
        # Without triggers a run asks for none.
        "actions": _changed(connection, actions, _ACTION, run_id) if config.actions.triggers else [],
        "told": [{name: row[name] for name in (*_FINDING, "threshold", "reason")} for row in told[:MOST_LISTED]],
    }
    append(connection, "run", body, now)
    if not (config.segments or config.by_version):
        return  # versions are seen among segments
    from modelwatch_gpu.monitor.versions.seen import add_seen, versions_of_run

    seen = versions_of_run(connection, config.versions, run_id)
    if seen:
        add_seen(connection, config.versions.model or config.name, seen, now)


def _record_config(connection: Connection, config: MonitorConfig, now: datetime) -> None:
    """The config as it is written, in which secrets are names of variables."""
    asked = select(audit.c.body).where(audit.c.kind == "config").order_by(audit.c.seq.desc()).limit(1)
    last = connection.execute(asked).scalar()
    if last is None or json.loads(last).get("sha256") != config.sha256:
        append(connection, "config", {"name": config.name, "sha256": config.sha256, "text": config.text}, now)


def _files(connection: Connection, run_id: str) -> list[list[Any]]:
    """Path, size, fingerprint of what was counted, rows and state of the files a run read."""
    columns = (files.c.path, files.c.size, files.c.part_sha256, files.c.rows, files.c.state)
    rows = connection.execute(select(*columns).where(files.c.run_id == run_id).order_by(files.c.path))
    return [list(row) for row in rows]


def _changed(connection: Connection, table: Table, names: Sequence[str], run_id: str) -> list[dict[str, Any]]:
    """Rows that a run made or changed."""
    asked = select(*(table.c[name] for name in names)).where(table.c.run_id == run_id).order_by(table.c.id)
    return [dict(row) for row in connection.execute(asked.limit(MOST_LISTED)).mappings()]


def _windows(connection: Connection, run_id: str) -> list[list[Any]]:
    """Start, rows, files, worst severity and fingerprint of the counts of the windows a run judged."""
    columns = (windows.c.window, windows.c.rows, windows.c.files, windows.c.severity, states.c.sha256)
    joined = windows.outerjoin(states, states.c.window_start == windows.c.window_start)
    rows = connection.execute(
        select(*columns).select_from(joined).where(windows.c.run_id == run_id).order_by(windows.c.window_start)
    )
    return [list(row) for row in rows]


def anchor_head(engine: Engine, config: MonitorConfig, now: datetime) -> None:
    """Adds the audit's head to the config's anchor file, unless it is there. What was to be done is done: a file that
    cannot be written is logged."""
    if config.versions.anchor is None:
        return
    with reading(engine) as connection:
        last = head(connection)
    path = config.path_of(config.versions.anchor)
    if last == last_anchor(path):
        return
    try:
        write_anchor(path, last, now)
    except OutputError as error:
        _log.warning("%s", error)
