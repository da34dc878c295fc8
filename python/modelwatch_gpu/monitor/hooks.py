"""What happens in the transaction that finishes a run, and after it: alerts, actions and audit.

In the transaction: everything that must agree with the findings. After it: what tells the world, at least once, from
what the transaction queued. What the config does not ask for is not imported: a run that finds one small file would
spend more time on that than on the file.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine

from modelwatch_gpu.monitor import alerts, audit
from modelwatch_gpu.monitor.config.model import MonitorConfig


def in_transaction(connection: Connection, config: MonitorConfig, run_id: str, now: datetime) -> None:
    """Decides on alerts and actions by the findings of this run, then writes the audit's record of it."""
    alerts.decide(connection, config, run_id, now)
    if config.actions.triggers:
        from modelwatch_gpu.monitor import actions

        actions.pull(connection, config, run_id, now)
    audit.record_run(connection, config, run_id, now)


def after_commit(engine: Engine, config: MonitorConfig, now: datetime) -> None:
    """Sends what is due, starts what is due, logs the run where that is wanted, and anchors the audit."""
    if config.alerts.channels:
        alerts.deliver(engine, config, now)
    if config.actions.triggers:
        from modelwatch_gpu.monitor import actions

        actions.start_due(engine, config, now)
    if config.versions.mlflow.experiment is not None:
        from modelwatch_gpu.monitor import versions

        versions.log_to_mlflow(engine, config, now)
    audit.anchor_head(engine, config, now)
