"""Actions: what alerts start, such as a retraining, with its evidence, its cool-down and its budget."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine

from modelwatch_gpu.monitor.actions import starting, triggers, worth
from modelwatch_gpu.monitor.actions.starting import Started
from modelwatch_gpu.monitor.config.model import MonitorConfig

__all__ = ["Started", "pull", "start_due"]


def pull(connection: Connection, config: MonitorConfig, run_id: str, now: datetime) -> None:
    """Queues what the alerts of a run ask for, in the transaction that decides on them."""
    triggers.pull(connection, config.actions, run_id, now)


def start_due(engine: Engine, config: MonitorConfig, now: datetime) -> Started:
    """Starts what is queued; to be called after every run, and every now and then without one."""
    return starting.start_due(engine, config, now, worth.writer)
