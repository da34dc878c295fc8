"""The bundled flights log as a monitor sees it: its months arrive one by one, and alerts open and close."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from modelwatch_gpu.demo import ROLES, TIMEZONE
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.extras import check_extra
from modelwatch_gpu.profile import Baseline

#: One alert for each month that drifted, about the columns that did.
CONFIG: Final = """\
version: 1
name: flights
baseline: baseline.mwb
log: {path: log}
window: 1mo
timezone: America/New_York
checks:
  - {measure: ks, warn: 0.1, alert: 0.2, kinds: [numeric], roles: [feature, score]}
  - {measure: js_distance, warn: 0.1, alert: 0.2, kinds: [categorical], roles: [feature, prediction]}
alerts:
  rules:
    - {name: drift, severity: alert, group_by: [column]}
"""


def run(folder: Path, *, threads: int = 0, device: str = "auto") -> Iterator[str]:
    """Fits on January to March 2013, then lets April to December arrive one by one: a line or two for each month.

    Raises InputError where the data or the extra ``monitor`` is not installed, or the folder has a log already.
    """
    check_extra("monitor", "The monitor of the demo")
    from modelwatch_gpu.monitor.config.model import MonitorConfig
    from modelwatch_gpu.monitor.runner import Runner

    log = folder / "log"
    if log.exists():
        raise InputError(f"{folder}: has a log already; give an empty folder.")
    log.mkdir(parents=True)
    with as_file(files("modelwatch_gpu") / "data" / "flights") as data:
        reference = sorted(Path(data).glob("reference_*.parquet"))
        production = sorted(Path(data).glob("production_*.parquet"))
        if not reference or not production:
            raise InputError("The demo's data is not installed; install modelwatch-gpu again.")
        baseline = Baseline.fit(reference, roles=ROLES, timezone=TIMEZONE, threads=threads, device=device)
        baseline.save(folder / "baseline.mwb")
        (folder / "monitor.yaml").write_text(CONFIG, encoding="utf-8")
        config = MonitorConfig.load(folder / "monitor.yaml")
        runner = Runner(config.model_copy(update={"threads": threads, "device": device}))
        open_before: dict[str, str] = {}
        for month in production:
            shutil.copy(month, log)
            done = runner.once()
            now = _open_alerts(runner)
            for start, severity in done.windows.items():
                label = runner.counter.texts_of(start)[2]
                opened = sorted(name for key, name in now.items() if key not in open_before)
                closed = sorted(name for key, name in open_before.items() if key not in now)
                told = [f"ALERT {', '.join(opened)}"] if opened else []
                told += [f"over: {', '.join(closed)}"] if closed else []
                still = sorted(name for key, name in now.items() if key in open_before)
                told += [f"still: {', '.join(still)}"] if still else []
                yield f"{label}: {'; '.join(told) or 'no alert'} (worst finding: {severity})."
            open_before = now


def _open_alerts(runner: object) -> dict[str, str]:
    """Open alerts: id -> what they are about."""
    import json

    from sqlalchemy import select

    from modelwatch_gpu.monitor.runner import Runner
    from modelwatch_gpu.monitor.store.alert_tables import alerts
    from modelwatch_gpu.monitor.store.engine import reading

    assert isinstance(runner, Runner)
    with reading(runner.engine) as connection:
        rows = connection.execute(select(alerts.c.id, alerts.c.key).where(alerts.c.closed.is_(None)))
        return {row.id: str(json.loads(row.key)["column"]) for row in rows}
