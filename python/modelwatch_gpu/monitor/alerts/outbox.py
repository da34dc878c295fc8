"""Sends what is queued, at least once: a message is marked as sent after its receiver took it, and never dropped.

Each message is claimed by a commit before it is sent. Whoever is killed in between leaves a claim behind that runs out,
and the message is sent again under the same id.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, and_, func, or_, select, update

from modelwatch_gpu.monitor.alerts import telling
from modelwatch_gpu.monitor.alerts.channels import AT_ONCE, send
from modelwatch_gpu.monitor.alerts.silences import Silence, all_silences
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.config.alerts import AlertsConfig
from modelwatch_gpu.monitor.config.channels import AlertmanagerChannel, Channel
from modelwatch_gpu.monitor.outgoing import Outcome
from modelwatch_gpu.monitor.store.alert_tables import alerts, deliveries

#: Seconds until the next attempt: doubled with each, up to the most, a little different for each message.
FIRST_WAIT: Final = 10.0
MOST_WAIT: Final = 3_600.0
#: A claim runs out so many seconds after the latest that its sender could still be at work.
_CLAIM: Final = 60.0

_PENDING, _SENT, _SILENCED = "pending", "sent", "silenced"


@dataclass
class Delivered:
    """What one pass came to. ``sent``: messages that came. ``failed``: channel -> why. ``waiting``: pending ones."""

    sent: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    waiting: int = 0


def deliver(engine: Engine, config: AlertsConfig, now: datetime) -> Delivered:
    """Sends what is due on every channel; a channel that fails is left alone until its message is due again."""
    done = Delivered()
    for channel in config.channels:
        while messages := _claim(engine, channel, now):
            outcome = send(channel, [json.loads(row.body) for row in messages], now)
            _record(engine, channel, messages, outcome, now)
            if not outcome.ok:
                done.failed[channel.name] = str(outcome.error)
                break
            done.sent += len(messages)
    with engine.begin() as connection:
        count = select(func.count()).select_from(deliveries).where(deliveries.c.state == _PENDING)
        done.waiting = connection.scalar(count) or 0
    return done


def _claim(engine: Engine, channel: Channel, now: datetime) -> list[Any]:
    """The next messages to send at once, claimed for this sender."""
    at, until = utc_text(now), utc_text(now + timedelta(seconds=_CLAIM) + 2 * channel.timeout)
    claimed: list[Any] = []
    with engine.begin() as connection:
        held = [silence for silence in all_silences(connection) if silence.is_on(at)]
        for row in _due(connection, channel, at):
            if held and row.state == _PENDING and _is_held(connection, row, held):
                continue
            # Only if nobody else has claimed it meanwhile.
            mine = and_(deliveries.c.id == row.id, deliveries.c.state == row.state, deliveries.c.next_at == row.next_at)
            claim = update(deliveries).where(mine, deliveries.c.attempts == row.attempts)
            attempt = {"attempts": row.attempts + 1, "attempted_at": at, "next_at": until}
            if connection.execute(claim.values(**attempt)).rowcount:
                claimed.append(row)
            if len(claimed) == AT_ONCE[channel.kind]:
                break
    return claimed


def _due(connection: Connection, channel: Channel, at: str) -> list[Any]:
    """Messages to a channel that can go now: of each alert the first that did not come yet."""
    d = deliveries
    first = (
        select(d.c.alert_id, func.min(d.c.seq).label("seq"))
        .where(d.c.channel == channel.name, d.c.state == _PENDING)
        .group_by(d.c.alert_id)
        .subquery()
    )
    # An attempt that lies ahead is from before the clock went back: when it said to wait until means nothing.
    ready = or_(d.c.attempts == 0, d.c.next_at <= at, d.c.attempted_at > at)
    pending = select(d).join(first, and_(d.c.alert_id == first.c.alert_id, d.c.seq == first.c.seq))
    pending = pending.where(d.c.channel == channel.name, d.c.state == _PENDING, ready)
    rows = list(connection.execute(pending.order_by(d.c.queued_at, d.c.alert_id)))
    return rows + (_to_refresh(connection, channel, at) if isinstance(channel, AlertmanagerChannel) else [])


def _to_refresh(connection: Connection, channel: Channel, at: str) -> list[Any]:
    """The latest messages about open alerts that Alertmanager will soon forget."""
    d = deliveries
    latest = select(d.c.alert_id, func.max(d.c.seq).label("seq")).where(d.c.channel == channel.name)
    last = latest.group_by(d.c.alert_id).subquery()
    query = (
        select(d)
        .join(last, and_(d.c.alert_id == last.c.alert_id, d.c.seq == last.c.seq))
        .join(alerts, alerts.c.id == d.c.alert_id)
        .where(d.c.channel == channel.name, d.c.state == _SENT, d.c.shown, alerts.c.shown)
        .where(or_(d.c.next_at <= at, d.c.attempted_at > at))
    )
    return list(connection.execute(query.order_by(d.c.next_at, d.c.id)))


def _is_held(connection: Connection, row: Any, silences: list[Silence]) -> bool:
    """Whether a message waits for the end of a silence, or is spared by one for good.

    The end of an alert is told though it is silenced, if its beginning was: nobody should take it for open for ever.
    What began and ended in silence is not told.
    """
    alert = connection.execute(select(alerts).where(alerts.c.id == row.alert_id)).one()
    if row.kind == telling.RESOLVED or not any(silence.fits(alert) for silence in silences):
        return False
    d = deliveries
    own = and_(d.c.alert_id == row.alert_id, d.c.channel == row.channel, d.c.state == _PENDING)
    waiting = connection.execute(select(d).where(own).order_by(d.c.seq)).all()
    ends = next((other for other in waiting if other.kind == telling.RESOLVED), None)
    if row.attempts:
        return ends is None  # it may have come already, so its end must come too
    spared = [row] if row.kind == telling.REPEAT else []
    if ends is not None and row.kind in (telling.OPENED, telling.REOPENED):
        spared = [other for other in waiting if other.seq <= ends.seq]
    for other in spared:
        connection.execute(update(d).where(d.c.id == other.id).values(state=_SILENCED))
    return True


def _record(engine: Engine, channel: Channel, messages: list[Any], outcome: Outcome, now: datetime) -> None:
    at = utc_text(now)
    with engine.begin() as connection:
        for row in messages:
            values: dict[str, Any]
            if outcome.ok:
                again = channel.valid_for / 2 if isinstance(channel, AlertmanagerChannel) else timedelta(0)
                values = {"state": _SENT, "sent_at": at, "error": None, "next_at": utc_text(now + again)}
            else:
                wait = waited(row.id, row.attempts + 1, outcome.retry_after)
                values = {"error": outcome.error, "next_at": utc_text(now + timedelta(seconds=wait))}
            connection.execute(update(deliveries).where(deliveries.c.id == row.id).values(**values))


def waited(name: str, attempts: int, asked: float | None = None) -> float:
    """Seconds from a failed attempt to the next: ``FIRST_WAIT`` doubled with each, at most ``MOST_WAIT``, or what the
    receiver asks for, up to 20% more so that not all come at once."""
    wait = min(MOST_WAIT, FIRST_WAIT * 2.0 ** min(attempts - 1, 30))
    if asked is not None:
        wait = max(wait, min(asked, 24 * MOST_WAIT))
    share = hashlib.sha256(f"{name}\0{attempts}".encode()).digest()[0] / 255
    return wait * (1 + share / 5)
