"""Decides, in the transaction that writes a run's findings, which alerts there are and who is to be told of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from modelwatch_gpu.monitor.alerts import telling
from modelwatch_gpu.monitor.alerts.machine import Episode
from modelwatch_gpu.monitor.alerts.messages import Context, body_of
from modelwatch_gpu.monitor.alerts.reconcile import Alert, alert_id, ended, reconcile
from modelwatch_gpu.monitor.alerts.windows import Refolded, RuleWindows, latest_said
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.config.alerts import AlertsConfig, Channel, Rule
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.store.alert_tables import alert_rules, alert_windows, alerts, deliveries
from modelwatch_gpu.monitor.store.tables import windows as log_windows


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that is new or not what it was."""

    rule: Rule
    key: str
    alert: Alert
    is_new: bool


class Decider:
    """Alerts of one run, in its transaction."""

    def __init__(self, connection: Connection, config: AlertsConfig, monitor: str, run_id: str, now: datetime) -> None:
        self._connection, self._config, self._run_id, self._now = connection, config, run_id, utc_text(now)
        every = connection.execute(select(log_windows.c.window_start, log_windows.c.window, log_windows.c.run_id)).all()
        self._judged = {row.window_start for row in every if row.run_id == run_id}
        starts = {row.window_start: row.window for row in every}
        self._context = Context(monitor, run_id, now, starts, config.reports)

    def decide(self) -> list[Change]:
        """Brings alerts up to date and queues what there is to say; returns what changed."""
        changes = self._without_rule()
        for rule in self._config.rules:
            for found in RuleWindows(self._connection, rule, self._run_id).update(self._judged):
                changes += self._reconciled(rule, found)
        for change in changes:
            self._queue(change)
        return changes

    def _reconciled(self, rule: Rule, found: Refolded) -> list[Change]:
        before = found.before.episode
        # What ended before and did not open again is told already, and its alert may be forgotten.
        episodes = [e for e in found.folded.episodes if e.is_open or e != before]
        stored = self._stored(rule.name, found, episodes)
        new, changed = reconcile(rule.name, found.key, episodes, stored, found.last)
        for alert in new:
            first = {"id": alert.id, "rule": rule.name, "key": found.key, "first_seen": self._now}
            self._connection.execute(insert(alerts).values(**first, **self._fields(alert)))
        for alert in changed:
            self._connection.execute(update(alerts).where(alerts.c.id == alert.id).values(**self._fields(alert)))
        told = [Change(rule, found.key, alert, True) for alert in new]
        return told + [Change(rule, found.key, alert, False) for alert in changed]

    def _stored(self, rule: str, found: Refolded, episodes: Sequence[Episode]) -> list[Alert]:
        """Alerts of the group that the episodes can be, and those that are open."""
        since = min([e.since for e in episodes] + [window.order for window, _ in found.folded.states])
        ids = [alert_id(rule, found.key, e.opened) for e in episodes]
        near = or_(alerts.c.closed.is_(None), alerts.c.last >= since, alerts.c.id.in_(ids))
        query = select(alerts).where(alerts.c.rule == rule, alerts.c.key == found.key, near)
        return [alert_of(row) for row in self._connection.execute(query.order_by(alerts.c.opened, alerts.c.id))]

    def _without_rule(self) -> list[Change]:
        """Alerts whose rule the config no longer has come to an end."""
        names = [rule.name for rule in self._config.rules]
        changes = []
        query = select(alerts).where(alerts.c.status == "open", alerts.c.rule.not_in(names))
        for row in self._connection.execute(query.order_by(alerts.c.id)).all():
            alert = ended(alert_of(row), row.last, "no rule")
            self._connection.execute(update(alerts).where(alerts.c.id == alert.id).values(**self._fields(alert)))
            changes.append(Change(Rule(name=row.rule), row.key, alert, False))
        for table, column in ((alert_windows, alert_windows.c.rule), (alert_rules, alert_rules.c.name)):
            self._connection.execute(delete(table).where(column.not_in(names)))
        return changes

    def _fields(self, alert: Alert) -> dict[str, Any]:
        e = alert.episode
        return {
            **{name: getattr(e, name) for name in ("opened", "since", "last", "closed", "shown", "severity")},
            "status": "open" if e.is_open else "resolved",
            "repeats": e.repeats,
            "times": e.times,
            "why": alert.why,
            "run_id": self._run_id,
            "changed_at": self._now,
        }

    def _queue(self, change: Change) -> None:
        alert = change.alert
        known = known_by(self._connection, alert.id)
        opened_at = self._now
        if not change.is_new:
            opened_at = self._connection.scalar(select(alerts.c.first_seen).where(alerts.c.id == alert.id)) or opened_at
        for channel in self._receivers(change, known):
            last = known.get(channel.name)
            kinds = telling.news(alert.episode, last, is_new=change.is_new, resolved=channel.resolved)
            for number, kind in enumerate(kinds, start=(last.seq + 1) if last else 0):
                said = self._said(change, channel.name)
                body = body_of(change.rule, change.key, alert, kind, said, opened_at, self._context)
                queue(self._connection, alert, channel.name, number, kind, body, self._now)

    def _said(self, change: Change, channel: str) -> dict[str, Any]:
        """What the latest window that fires says; where none fires any more, what was told last."""
        said = latest_said(self._connection, change.rule.name, change.key, change.alert.episode.last)
        if said["named"]:
            return said
        own = select(deliveries.c.body).where(deliveries.c.alert_id == change.alert.id, deliveries.c.channel == channel)
        told = self._connection.scalar(own.order_by(deliveries.c.seq.desc()).limit(1))
        before = {"findings": [], "findings_total": 0} if told is None else json.loads(told)
        return {"named": before["findings"], "firing": before["findings_total"]}

    def _receivers(self, change: Change, known: dict[str, telling.Known]) -> list[Channel]:
        if change.alert.why == "no rule":  # those who were told that it opened
            return [channel for channel in self._config.channels if channel.name in known]
        return list(self._config.channels_of(change.rule))


def alert_of(row: Any) -> Alert:
    """A row of the table ``alerts``."""
    fields = ("opened", "since", "last", "closed", "shown", "severity", "repeats", "times")
    return Alert(row.id, Episode(*(getattr(row, name) for name in fields)), row.why)


def known_by(connection: Connection, alert: str) -> dict[str, telling.Known]:
    """What each channel knows of an alert once everything that is queued has come."""
    query = select(deliveries).where(deliveries.c.alert_id == alert).order_by(deliveries.c.seq)
    return {
        row.channel: telling.Known(row.seq, row.shown, row.severity, row.repeats) for row in connection.execute(query)
    }


def queue(
    connection: Connection, alert: Alert, channel: str, seq: int, kind: str, body: dict[str, Any], now: str
) -> str:
    """Puts a message into the outbox; returns its id."""
    name = telling.message_id(alert.id, channel, seq)
    row = {
        "id": name,
        "alert_id": alert.id,
        "channel": channel,
        "seq": seq,
        "kind": kind,
        "shown": kind != telling.RESOLVED,
        "severity": alert.episode.severity,
        "repeats": alert.episode.repeats,
        "body": canonical({"id": name, **body}),
        "state": "pending",
        "attempts": 0,
        "queued_at": now,
        "next_at": now,
    }
    connection.execute(insert(deliveries).values(row))
    return name
