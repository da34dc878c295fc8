"""Alerts: which findings make one, when it opens and ends, who is told, and that nobody is told twice or not at all."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from modelwatch_gpu.monitor.alerts.decide import Decider
from modelwatch_gpu.monitor.config.model import MonitorConfig

if TYPE_CHECKING:
    from modelwatch_gpu.monitor.alerts.outbox import Delivered

__all__ = ["decide", "deliver"]


def decide(connection: Connection, config: MonitorConfig, run_id: str, now: datetime) -> None:
    """Brings alerts up to date with the findings of a run, in the transaction that writes them, and queues messages and
    actions. The same findings again change nothing."""
    Decider(connection, config.alerts, config.name, run_id, now).decide()


def deliver(engine: Engine, config: MonitorConfig, now: datetime) -> Delivered:
    """Sends what is due; to be called after every run, and every now and then without one."""
    from modelwatch_gpu.monitor.alerts import outbox

    return outbox.deliver(engine, config.alerts, now)
