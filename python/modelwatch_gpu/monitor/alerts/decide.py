"""Decides, in the transaction that writes a run's findings, which alerts there are and who is to be told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from modelwatch_gpu.monitor.alerts import telling
from modelwatch_gpu.monitor.alerts.machine import Episode
from modelwatch_gpu.monitor.alerts.messages import Context, body_of
from modelwatch_gpu.monitor.alerts.reconcile import Alert, alert_id, ended, reconcile
from modelwatch_gpu.monitor.alerts.verdicts import chunks
from modelwatch_gpu.monitor.alerts.windows import Refolded, RuleWindows, latest_said
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.config.alerts import AlertsConfig, Rule
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.store.alert_tables import alert_rules, alert_windows, alerts, deliveries
from modelwatch_gpu.monitor.store.tables import windows as log_windows

if TYPE_CHECKING:
    from modelwatch_gpu.monitor.config.channels import Channel


class Change(NamedTuple):
    """An alert that is new or not what it was. ``first_seen``: when it was, by the clock on the wall. ``said``: what
    the latest window that fires says, None where it is not at hand."""

    rule: Rule
    key: str
    alert: Alert
    is_new: bool
    first_seen: str
    said: str | None = None


class Decider:
    """Alerts of one run, in its transaction."""

    def __init__(self, connection: Connection, config: AlertsConfig, monitor: str, run_id: str, now: datetime) -> None:
        self._connection, self._config, self._run_id, self._now = connection, config, run_id, utc_text(now)
        every = connection.execute(select(log_windows.c.window_start, log_windows.c.window, log_windows.c.run_id)).all()
        self._judged = {row.window_start for row in every if row.run_id == run_id}
        starts = {row.window_start: row.window for row in every}
        self._there = set(starts)
        self._context = Context(monitor, run_id, now, starts, config.reports)

    def decide(self) -> list[Change]:
        """Brings alerts up to date and queues what there is to say; returns what changed."""
        folded_by = {row.name: row.sha256 for row in self._connection.execute(select(alert_rules))}
        changes = self._without_rule(set(folded_by))
        for rule in self._config.rules:
            windows = RuleWindows(self._connection, rule, self._run_id, folded_by.get(rule.name))
            changes += self._reconciled(rule, windows.update(self._judged, self._there))
        self._write(changes)
        self._queue(changes)
        return changes

    def _reconciled(self, rule: Rule, refolded: Sequence[Refolded]) -> list[Change]:
        # What ended before and did not open again is told already, and its alert may be forgotten.
        episodes = {
            found.key: [e for e in found.folded.episodes if e.is_open or e != found.before.episode]
            for found in refolded
        }
        stored = self._stored(rule.name, refolded, episodes)
        changes = []
        for found in refolded:
            own = stored.get(found.key, {})
            new, changed = reconcile(
                rule.name, found.key, episodes[found.key], [a for a, _ in own.values()], found.last
            )
            for alert, is_new in [*((a, True) for a in new), *((a, False) for a in changed)]:
                first_seen = self._now if is_new else own[alert.id][1]
                said = found.said.get(alert.episode.last)
                changes.append(Change(rule, found.key, alert, is_new, first_seen, said))
        return changes

    def _stored(
        self, rule: str, refolded: Sequence[Refolded], episodes: Mapping[str, Sequence[Episode]]
    ) -> dict[str, dict[str, tuple[Alert, str]]]:
        """Group -> id -> alert and when it was first seen: those that the episodes can be, and all that are open."""
        if not refolded:
            return {}
        since = min(
            [e.since for own in episodes.values() for e in own] + [start for found in refolded for start in found.said]
        )
        ids = [alert_id(rule, key, e.opened) for key, own in episodes.items() for e in own]
        conditions = [or_(alerts.c.closed.is_(None), alerts.c.last >= since)]
        conditions += [alerts.c.id.in_(some) for some in chunks(ids)]
        found: dict[str, dict[str, tuple[Alert, str]]] = {}
        for condition in conditions:
            query = select(alerts).where(alerts.c.rule == rule, condition).order_by(alerts.c.opened, alerts.c.id)
            for row in self._connection.execute(query):
                found.setdefault(row.key, {})[row.id] = (alert_of(row), row.first_seen)
        return found

    def _without_rule(self, known: set[str]) -> list[Change]:
        """Alerts whose rule the config no longer has come to an end. ``known``: rules that windows were folded by; an
        alert that is open is of one of them."""
        names = sorted(known - {rule.name for rule in self._config.rules})
        changes: list[Change] = []
        if not names:
            return changes
        query = select(alerts).where(alerts.c.status == "open", alerts.c.rule.in_(names))
        for row in self._connection.execute(query.order_by(alerts.c.id)).all():
            alert = ended(alert_of(row), row.last, "no rule")
            changes.append(Change(Rule(name=row.rule), row.key, alert, False, row.first_seen))
        for table, column in ((alert_windows, alert_windows.c.rule), (alert_rules, alert_rules.c.name)):
            self._connection.execute(delete(table).where(column.in_(names)))
        return changes

    def _write(self, changes: Sequence[Change]) -> None:
        new = [
            {"id": c.alert.id, "rule": c.rule.name, "key": c.key, "first_seen": c.first_seen, **self._fields(c.alert)}
            for c in changes
            if c.is_new
        ]
        if new:
            self._connection.execute(insert(alerts), new)
        changed = [{"of_id": c.alert.id, **self._fields(c.alert)} for c in changes if not c.is_new]
        if changed:
            self._connection.execute(update(alerts).where(alerts.c.id == bindparam("of_id")), changed)

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

    def _queue(self, changes: Sequence[Change]) -> None:
        known = known_by(self._connection, [c.alert.id for c in changes if not c.is_new])
        rows = []
        for change in changes:
            alert, of_alert = change.alert, known.get(change.alert.id, {})
            for channel in self._receivers(change, of_alert):
                last = of_alert.get(channel.name)
                kinds = telling.news(alert.episode, last, is_new=change.is_new, resolved=channel.resolved)
                for seq, kind in enumerate(kinds, start=(last.seq + 1) if last else 0):
                    said = self._said(change, channel.name)
                    body = body_of(change.rule, change.key, alert, kind, said, change.first_seen, self._context)
                    rows.append(self._message(alert, channel.name, seq, kind, body))
        if rows:
            self._connection.execute(insert(deliveries), rows)

    def _said(self, change: Change, channel: str) -> dict[str, Any]:
        """What the latest window that fires says; where none fires any more, what was told last."""
        said: dict[str, Any] = json.loads(change.said) if change.said is not None else {"named": []}
        if not said["named"]:
            said = latest_said(self._connection, change.rule.name, change.key, change.alert.episode.last)
        if said["named"]:
            return said
        own = select(deliveries.c.body).where(deliveries.c.alert_id == change.alert.id, deliveries.c.channel == channel)
        told = self._connection.scalar(own.order_by(deliveries.c.seq.desc()).limit(1))
        before = {"findings": [], "findings_total": 0} if told is None else json.loads(told)
        return {"named": before["findings"], "firing": before["findings_total"]}

    def _receivers(self, change: Change, known: Mapping[str, telling.Known]) -> list[Channel]:
        if change.alert.why == "no rule":  # those who were told that it opened
            return [channel for channel in self._config.channels if channel.name in known]
        return list(self._config.channels_of(change.rule))

    def _message(self, alert: Alert, channel: str, seq: int, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """A row of the outbox."""
        name = telling.message_id(alert.id, channel, seq)
        return {
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
            "queued_at": self._now,
            "next_at": self._now,
        }


def alert_of(row: Any) -> Alert:
    """A row of the table ``alerts``."""
    fields = ("opened", "since", "last", "closed", "shown", "severity", "repeats", "times")
    return Alert(row.id, Episode(*(getattr(row, name) for name in fields)), row.why)


def known_by(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, telling.Known]]:
    """Alert -> channel -> what it knows of the alert once everything that is queued has come."""
    d = deliveries.c
    query = select(d.alert_id, d.channel, d.seq, d.shown, d.severity, d.repeats).order_by(d.seq)
    found: dict[str, dict[str, telling.Known]] = {}
    for some in chunks(ids):
        for row in connection.execute(query.where(d.alert_id.in_(some))):
            known = telling.Known(row.seq, row.shown, row.severity, row.repeats)
            found.setdefault(row.alert_id, {})[row.channel] = known
    return found
