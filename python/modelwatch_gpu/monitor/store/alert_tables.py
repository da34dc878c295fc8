"""Tables of alerts: what windows said, alerts, messages to send, silences, actions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from modelwatch_gpu.monitor.store.metadata import metadata

#: The rules by which ``alert_windows`` was folded; where one has changed, its windows are folded anew.
alert_rules = Table(
    "alert_rules",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
)

#: What each window said of each group of findings that ever fired, from its first firing on; ``state``: of the fold
#: after the window. ``findings``: JSON, the worst that fired.
alert_windows = Table(
    "alert_windows",
    metadata,
    Column("rule", String(64), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("window_start", BigInteger, primary_key=True),
    Column("verdict", String(16), nullable=False),
    Column("severity", String(16)),
    Column("findings", Text, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("state", Text, nullable=False),
    Index(None, "rule", "window_start"),
)

#: ``id`` follows from rule, key and the window that opened it, and never changes once told. ``opened``, ``since``,
#: ``last``, ``closed``: windows, see ``machine.Episode``. ``status``: open or resolved. ``shown``: whether people
#: should know it as open. ``why``: what ended it.
alerts = Table(
    "alerts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("rule", String(64), nullable=False),
    Column("key", Text, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("closed", BigInteger),
    Column("status", String(16), nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("times", Integer, nullable=False),
    Column("why", String(32)),
    Column("run_id", String(64), nullable=False),
    Column("first_seen", String(32), nullable=False),
    Column("changed_at", String(32), nullable=False),
    Index(None, "rule", "key"),
    Index(None, "status"),
)

#: The outbox. ``id`` follows from alert, channel and ``seq``; every attempt carries it. ``state``: pending, sent, or
#: silenced. ``shown``, ``severity``, ``repeats``: what the receiver knows of the alert after it.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("alert_id", String(32), ForeignKey("alerts.id"), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("queued_at", String(32), nullable=False),
    Column("attempted_at", String(32)),
    Column("next_at", String(32), nullable=False),
    Column("sent_at", String(32)),
    Column("error", Text),
    UniqueConstraint("alert_id", "channel", "seq"),
    Index(None, "state", "next_at"),
)

#: Alerts that nobody is told of for a while. ``matchers``: JSON, field -> pattern.
silences = Table(
    "silences",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("matchers", Text, nullable=False),
    Column("starts_at", String(32), nullable=False),
    Column("ends_at", String(32), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
)

#: What was started, or why not. ``id`` follows from action, alert and the window that asked for it (``window_start``).
#: ``state``: queued, running, done, failed, or refused, with the ``reason``.
actions = Table(
    "actions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("alert_id", String(32), ForeignKey("alerts.id"), nullable=False),
    Column("window_start", BigInteger, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("evidence", Text),
    Column("result", Text),
    Column("attempts", Integer, nullable=False),
    Column("queued_at", String(32), nullable=False),
    Column("attempted_at", String(32)),
    Column("next_at", String(32), nullable=False),
    Column("ended_at", String(32)),
    Index(None, "name", "queued_at"),
    Index(None, "state", "next_at"),
)
