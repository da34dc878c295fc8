"""What happens in the transaction that finishes a run, and after it: alerts and audit.

In the transaction: everything that must agree with the findings. After it: what tells the world, at least once, from
what the transaction queued.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from modelwatch_gpu.monitor.config.model import MonitorConfig

#: (connection, config, run id, now)
InTransaction = Callable[[Connection, MonitorConfig, str, datetime], Any]
#: (engine, config, now)
AfterCommit = Callable[[Engine, MonitorConfig, datetime], Any]


def _found(module: str, name: str) -> Any:
    """A function of a sibling package, None while that does not exist."""
    package = f"modelwatch_gpu.monitor.{module}"
    return getattr(importlib.import_module(package), name, None) if importlib.util.find_spec(package) else None


def in_transaction(connection: Connection, config: MonitorConfig, run_id: str, now: datetime) -> None:
    """Decides on alerts and actions by the findings of this run, then writes the audit's record of it."""
    for module, name in (("alerts", "decide"), ("actions", "pull"), ("audit", "record_run")):
        step: InTransaction | None = _found(module, name)
        if step is not None:
            step(connection, config, run_id, now)


def after_commit(engine: Engine, config: MonitorConfig, now: datetime) -> None:
    """Sends what is due, logs the run where that is wanted, and anchors the audit."""
    for module, name in (
        ("alerts", "deliver"),
        ("actions", "start_due"),
        ("versions", "log_to_mlflow"),
        ("audit", "anchor_head"),
    ):
        step: AfterCommit | None = _found(module, name)
        if step is not None:
            step(engine, config, now)
