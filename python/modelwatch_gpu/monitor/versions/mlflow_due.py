"""Runs of a monitor that MLflow does not know yet, logged there after each run."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.audit.chain import append
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.store.engine import reading
from modelwatch_gpu.monitor.store.governance_tables import audit
from modelwatch_gpu.monitor.store.tables import findings, measures, runs
from modelwatch_gpu.monitor.versions.mlflow_link import log_run

#: Runs that are logged at a time; the next run goes on.
MOST_RUNS: Final = 20
_KIND: Final = "mlflow"

_log = logging.getLogger("modelwatch_gpu.monitor")


def log_to_mlflow(engine: Engine, config: MonitorConfig, now: datetime) -> list[str]:
    """Logs finished runs that have not been, oldest first, and notes each in the audit; returns their ids.

    The run is done: where MLflow cannot be reached that is logged, and the next run tries again.
    """
    own = config.versions.mlflow
    done: list[str] = []
    if own.experiment is None:
        return done
    with reading(engine) as connection:
        due = _due(connection)
    for run in due:
        with reading(engine) as connection:
            numbers, found, pages = _content(connection, run["id"], config)
        tags = {f"modelwatch.{name}": str(run[name]) for name in ("config_sha256", "baseline_sha256", "code_version")}
        name = f"{config.name} {run['id']}"
        try:
            logged = log_run(
                numbers, found, experiment=own.experiment, run_name=name, uri=own.address, tags=tags, pages=pages
            )
        except (InputError, OutputError) as error:
            _log.warning("Run %s is not logged yet: %s", run["id"], error)
            break
        with engine.begin() as connection:
            body = {"run": run["id"], "mlflow_run": logged, "experiment": own.experiment}
            append(connection, _KIND, body, now)
        done.append(str(run["id"]))
    return done


def _due(connection: Connection) -> list[dict[str, Any]]:
    """Finished runs after the last one that was logged; before the first log, the last one alone."""
    asked = select(audit.c.body).where(audit.c.kind == _KIND).order_by(audit.c.seq.desc()).limit(1)
    last = connection.execute(asked).scalar()
    finished = select(runs).where(runs.c.state == "finished")
    if last is None:
        finished = finished.order_by(runs.c.id.desc()).limit(1)
    else:
        finished = finished.where(runs.c.id > json.loads(last)["run"]).order_by(runs.c.id).limit(MOST_RUNS)
    return [dict(row) for row in connection.execute(finished).mappings()]


def _content(
    connection: Connection, run_id: str, config: MonitorConfig
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[Path]]:
    """What a run found that no later run has replaced: measures, findings, and pages that are there."""
    found = [
        [dict(row) for row in connection.execute(select(table).where(table.c.run_id == run_id)).mappings()]
        for table in (measures, findings)
    ]
    pages = {row["report"] for row in found[1] if row["report"]}
    there = [path for page in sorted(pages) if (path := Path(config.path_of(page))).is_file()]
    return found[0], found[1], there
