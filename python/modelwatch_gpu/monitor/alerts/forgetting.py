"""What is forgotten of alerts that are long over: they, their messages, what they started and its evidence.

The audit is never cut: it tells of them for ever, and that they were forgotten. An alert whose end nobody was told of,
and one whose action is at work or still counts for a cool-down or a budget, stays.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, or_, select

from modelwatch_gpu.monitor.alerts.verdicts import chunks
from modelwatch_gpu.monitor.audit.chain import append
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.store.alert_tables import actions, alerts, deliveries, silences
from modelwatch_gpu.monitor.store.tables import OF_FILES

_ID = re.compile(r"[0-9a-f]{32}")


def forget_alerts(connection: Connection, config: MonitorConfig, until: int, now: datetime) -> None:
    """Forgets alerts that were over before ``until`` (epoch seconds of the log's time), in the caller's transaction.

    What has no time of the log goes by the clock: alerts about files, silences, and earlier messages about an alert
    that is still open.
    """
    length = config.retention.alerts
    assert length is not None
    at = utc_text(now - length)
    old = _old_alerts(connection, until, at)
    started = _actions_of(connection, old)
    counted = utc_text(now - max([length, *_memories(config)]))
    busy = {row.alert_id for row in started if row.state in ("queued", "running") or row.queued_at > counted}
    still_open = _open(connection)
    still = {row.alert_id for row in started if still_open & set(json.loads(row.request)["alerts"])}
    gone = [name for name in old if name not in busy | still]
    ended = [row.id for row in started if row.alert_id in set(gone)]
    for name in ended:
        _remove_evidence(config, name)
    for some in chunks(gone):
        connection.execute(delete(actions).where(actions.c.alert_id.in_(some)))
        connection.execute(delete(deliveries).where(deliveries.c.alert_id.in_(some)))
        connection.execute(delete(alerts).where(alerts.c.id.in_(some)))
    messages = _forget_messages(connection, at)
    over = connection.execute(delete(silences).where(silences.c.ends_at < at)).rowcount
    if gone or messages or over:
        body = {"alerts": gone, "actions": ended, "messages": messages, "silences": over}
        append(connection, "forgotten", body, now)


def _old_alerts(connection: Connection, until: int, at: str) -> list[str]:
    """Alerts that are over, and about which there is nothing left to send."""
    waiting = exists().where(deliveries.c.alert_id == alerts.c.id, deliveries.c.state == "pending")
    timeless = alerts.c.closed <= OF_FILES  # of files, of rows without a time, of a log that is one window
    over = or_(and_(~timeless, alerts.c.closed < until), and_(timeless, alerts.c.changed_at < at))
    query = select(alerts.c.id).where(alerts.c.status == "resolved", over, ~waiting)
    return list(connection.scalars(query.order_by(alerts.c.id)))


def _actions_of(connection: Connection, names: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    for some in chunks(names):
        found += connection.execute(select(actions).where(actions.c.alert_id.in_(some)).order_by(actions.c.id))
    return found


def _open(connection: Connection) -> set[str]:
    return set(connection.scalars(select(alerts.c.id).where(alerts.c.status == "open")))


def _memories(config: MonitorConfig) -> Collection[timedelta]:
    """For how long starts count for cool-downs and budgets."""
    triggers = config.actions.triggers
    return [one.cooldown for one in triggers] + [one.budget.per for one in triggers if one.budget is not None]


def _remove_evidence(config: MonitorConfig, name: str) -> None:
    """Before its row goes: a process that dies in between leaves a row, which the next run forgets, and no orphan."""
    if _ID.fullmatch(name):
        shutil.rmtree(Path(config.path_of(config.actions.evidence)) / name, ignore_errors=True)


def _forget_messages(connection: Connection, at: str) -> int:
    """Messages that came long ago, but for the last one of each alert and channel: it says what the receiver knows."""
    later = deliveries.alias()
    last = select(func.max(later.c.seq)).where(
        later.c.alert_id == deliveries.c.alert_id, later.c.channel == deliveries.c.channel
    )
    came = and_(deliveries.c.state != "pending", deliveries.c.queued_at < at)
    return connection.execute(delete(deliveries).where(came, deliveries.c.seq < last.scalar_subquery())).rowcount
