"""The evidence of an action: a folder with what it is started for, which only the owner may read.

``action.json``, ``alerts.json``, ``findings.json``, ``windows.json`` (the window of data: its files with size, hash and
rows), ``run.json``, ``profiles/*.mwp``, ``reports/*.html``, ``feedback.parquet`` where rows are asked for, and
``MANIFEST.json`` with the SHA-256 of each.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from modelwatch_gpu.errors import OutputError
from modelwatch_gpu.monitor.alerts.machine import LEVELS
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.counts import unpack
from modelwatch_gpu.monitor.store import tables as t
from modelwatch_gpu.monitor.store.alert_tables import alerts, deliveries

MANIFEST: Final = "MANIFEST.json"
#: Windows whose profiles and pages are put in, the latest ones.
_MOST_WINDOWS: Final = 32
#: Findings of a window that are put in, those that fire.
_MOST_FINDINGS: Final = 10_000

#: Writes rows worth a look into a file.
Feedback = Callable[[Path], None]


def bundle(
    engine: Engine, config: MonitorConfig, action: Any, asked: dict[str, Any], feedback: Feedback | None = None
) -> Path:
    """Writes the evidence of an action, whole or not at all; returns its folder. One that is there stays as it is.

    Raises OutputError where it cannot be written.
    """
    home = Path(config.path_of(config.actions.evidence)).resolve()
    folder = home / str(action.id)
    if (folder / MANIFEST).exists():
        return folder
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in home.glob(f".{action.id}.*"):  # by one who was killed
            shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{action.id}.", dir=home))  # of mode 0700
        try:
            with engine.begin() as connection:
                _fill(partial, connection, config, action, asked)
            if feedback is not None:  # outside the transaction: it reads files of the log
                feedback(partial / "feedback.parquet")
            _finish(partial)
            os.rename(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder}: evidence cannot be written ({error.strerror or error}).") from None
    return folder


def _fill(folder: Path, connection: Connection, config: MonitorConfig, action: Any, asked: dict[str, Any]) -> None:
    request = json.loads(action.request)
    starts = request["windows"][-_MOST_WINDOWS:]
    _json(folder / "action.json", asked)
    _json(folder / "alerts.json", [_alert(connection, name) for name in request["alerts"]])
    _json(folder / "findings.json", _findings(connection, starts))
    _json(folder / "windows.json", [_window(connection, start) for start in starts])
    run = connection.execute(select(t.runs).where(t.runs.c.id == action.run_id)).first()
    _json(folder / "run.json", None if run is None else run._asdict())
    (folder / "profiles").mkdir(mode=0o700)
    for state in connection.execute(select(t.states).where(t.states.c.window_start.in_(starts))):
        _write(folder / "profiles" / f"{state.window_start}.mwp", unpack(state.bytes, str(state.window_start)))
    (folder / "reports").mkdir(mode=0o700)
    for path in connection.scalars(select(t.windows.c.report).where(t.windows.c.window_start.in_(starts))):
        page = _inside(config.folder, path)
        if page is not None:
            _write(folder / "reports" / page.name, page.read_bytes())


def _alert(connection: Connection, name: str) -> dict[str, Any]:
    row = connection.execute(select(alerts).where(alerts.c.id == name)).first()
    told = select(deliveries.c.body).where(deliveries.c.alert_id == name).order_by(deliveries.c.queued_at)
    messages = {body["id"]: body for body in map(json.loads, connection.scalars(told))}
    return {**({} if row is None else row._asdict()), "messages": list(messages.values())}


def _findings(connection: Connection, starts: list[int]) -> list[dict[str, Any]]:
    f = t.findings
    query = select(f).where(f.c.window_start.in_(starts), f.c.severity.in_(LEVELS))
    rows = connection.execute(query.order_by(f.c.window_start, f.c.severity, f.c.id).limit(_MOST_FINDINGS))
    return [row._asdict() for row in rows]


def _window(connection: Connection, start: int) -> dict[str, Any]:
    """A window and the files that have rows in it."""
    row = connection.execute(select(t.windows).where(t.windows.c.window_start == start)).first()
    p = t.parts.c
    own = select(p.path, p.rows, p.part_sha256).where(p.window_start == start).order_by(p.path)
    files = []
    for path, rows, part in connection.execute(own).all():
        file = connection.execute(select(t.files).where(t.files.c.path == path)).first()
        known = {} if file is None else {name: getattr(file, name) for name in ("size", "etag", "sha256")}
        files.append({"path": path, "rows_in_window": rows, "part_sha256": part, **known})
    return {**({"window_start": start} if row is None else row._asdict()), "files": files}


def _inside(folder: Path, path: str | None) -> Path | None:
    """A page of this monitor; None for one that is gone, or lies elsewhere."""
    if path is None or "://" in path:
        return None
    page = (folder / path).resolve()
    return page if page.is_relative_to(folder.resolve()) and page.is_file() else None


def _finish(folder: Path) -> None:
    hashes = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    _json(folder / MANIFEST, {"sha256": hashes})


def _json(path: Path, value: Any) -> None:
    _write(path, json.dumps(value, indent=1, sort_keys=True).encode())


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
