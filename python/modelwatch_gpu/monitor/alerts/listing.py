"""Alerts, waiting messages and actions as people ask for them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, func, select

from modelwatch_gpu.monitor.alerts.messages import key_text
from modelwatch_gpu.monitor.alerts.silences import Silence
from modelwatch_gpu.monitor.store.alert_tables import actions, alerts, deliveries
from modelwatch_gpu.monitor.store.tables import windows


def alert_rows(connection: Connection, *, everything: bool = False) -> list[dict[str, Any]]:
    """Alerts as JSON values, open ones first, then the latest; only open ones, if not ``everything``."""
    names = {row.window_start: row.window for row in connection.execute(select(windows))}
    query = select(alerts).order_by(alerts.c.status, alerts.c.opened.desc(), alerts.c.id)
    if not everything:
        query = query.where(alerts.c.status == "open")
    rows = []
    for row in connection.execute(query):
        key = json.loads(row.key)
        rows.append(
            {
                **{name: getattr(row, name) for name in ("id", "rule", "severity", "status", "shown", "why", "times")},
                "key": key,
                "about": key_text(key) or "the whole log",
                **{name: names.get(getattr(row, name)) for name in ("opened", "since", "last", "closed")},
                **{name: getattr(row, name) for name in ("first_seen", "changed_at", "run_id")},
            }
        )
    return rows


def waiting_rows(connection: Connection) -> list[dict[str, Any]]:
    """For each channel with messages that did not come yet: how many, and what became of the last attempt."""
    d = deliveries.c
    query = select(d.channel, func.count(), func.min(d.queued_at)).where(d.state == "pending").group_by(d.channel)
    rows = []
    for channel, count, since in connection.execute(query.order_by(d.channel)).all():
        own = select(d.attempts, d.error, d.next_at).where(d.channel == channel, d.state == "pending")
        last = connection.execute(own.order_by(d.attempted_at.desc().nulls_last(), d.seq).limit(1)).one()
        rows.append(
            {
                "channel": channel,
                "messages": count,
                "since": since,
                "attempts": last.attempts,
                "error": last.error,
                "next_at": last.next_at,
            }
        )
    return rows


def action_rows(connection: Connection) -> list[dict[str, Any]]:
    """Actions as JSON values, the latest first."""
    query = select(actions).order_by(actions.c.queued_at.desc(), actions.c.id)
    return [
        {
            **row._asdict(),
            "request": json.loads(row.request),
            "result": None if row.result is None else json.loads(row.result),
        }
        for row in connection.execute(query)
    ]


def matching(connection: Connection, silence: Silence) -> int:
    """How many open alerts a silence fits."""
    return sum(silence.fits(row) for row in connection.execute(select(alerts).where(alerts.c.status == "open")))
