"""Which actions the open alerts ask for, and whether cool-down and budget allow them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from modelwatch_gpu.monitor.alerts.machine import LEVELS
from modelwatch_gpu.monitor.alerts.messages import key_text
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.config.actions import ActionsConfig
from modelwatch_gpu.monitor.config.triggers import Trigger
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.store.alert_tables import actions, alert_windows, alerts

#: States of actions that were started, or will be.
STARTED: Final = ("queued", "running", "done", "failed")
#: Alerts that a reason names one by one.
_MOST_NAMED: Final = 5


def action_id(trigger: str, alert: str) -> str:
    """32 hexadecimal digits: of what a trigger starts because of an alert, in every attempt."""
    return hashlib.sha256(f"action\0{trigger}\0{alert}".encode()).hexdigest()[:32]


def pull(connection: Connection, config: ActionsConfig, run_id: str, now: datetime) -> list[str]:
    """Queues the actions that open alerts ask for, in the transaction that decides on them; returns their ids.

    An alert starts a trigger once. What cool-down or budget do not allow is noted as refused, and started by a later
    run if the alert is open still.
    """
    queued = []
    for trigger in config.triggers:
        asking = [(alert, fired) for alert, fired in _open_alerts(connection, trigger) if len(fired) >= trigger.windows]
        if len(asking) < trigger.at_least:
            continue
        handled = _handled(connection, trigger)
        fresh = [alert for alert, _ in asking if alert.id not in handled]
        if fresh:
            name = _ask(connection, trigger, fresh[0], asking, run_id, now)
            queued += [name] if name is not None else []
    return queued


def _open_alerts(connection: Connection, trigger: Trigger) -> list[tuple[Any, list[int]]]:
    """Open alerts that count for a trigger, the oldest first, with the windows that fired."""
    severe = LEVELS[LEVELS.index(trigger.severity) :]
    query = select(alerts).where(alerts.c.status == "open", alerts.c.severity.in_(severe))
    if trigger.rules is not None:
        query = query.where(alerts.c.rule.in_(trigger.rules))
    found = []
    for alert in connection.execute(query.order_by(alerts.c.opened, alerts.c.id)):
        column = json.loads(alert.key).get("column")
        about = column is None or any(fnmatchcase(column, pattern) for pattern in trigger.columns)
        if about:
            found.append((alert, fired_in(connection, alert)))
    return found


def fired_in(connection: Connection, alert: Any) -> list[int]:
    """The windows in which an alert fired, oldest first."""
    w = alert_windows.c
    query = select(w.window_start).where(w.rule == alert.rule, w.key == alert.key, w.verdict == "firing")
    return sorted(connection.scalars(query.where(w.window_start.between(alert.since, alert.last))))


def _handled(connection: Connection, trigger: Trigger) -> set[str]:
    """Alerts that the trigger was started for."""
    query = select(actions.c.request).where(actions.c.name == trigger.name, actions.c.state.in_(STARTED))
    return {name for request in connection.scalars(query) for name in json.loads(request)["alerts"]}


def _ask(
    connection: Connection,
    trigger: Trigger,
    lead: Any,
    asking: Sequence[tuple[Any, list[int]]],
    run_id: str,
    now: datetime,
) -> str | None:
    """Queues an action for these alerts, or notes why not; returns its id where it is queued."""
    name, at = action_id(trigger.name, lead.id), utc_text(now)
    against = refusal(connection, trigger, now)
    windows = sorted({start for _, fired in asking for start in fired})
    named = ", ".join(key_text(json.loads(alert.key)) or alert.rule for alert, _ in asking[:_MOST_NAMED])
    more = f" and {len(asking) - _MOST_NAMED} more" if len(asking) > _MOST_NAMED else ""
    count = f"{len(asking)} {'alert is' if len(asking) == 1 else 'alerts are'} open"
    reason = f"{count}: {named}{more}; {len(windows)} {'window' if len(windows) == 1 else 'windows'} fired."
    row = {
        "name": trigger.name,
        "alert_id": lead.id,
        "window_start": lead.last,
        "run_id": run_id,
        "state": "queued" if against is None else "refused",
        "reason": reason if against is None else f"{reason} {against}",
        "request": canonical({"alerts": [alert.id for alert, _ in asking], "windows": windows}),
        "queued_at": at,
        "next_at": at,
        "attempts": 0,
    }
    before = connection.execute(select(actions.c.state).where(actions.c.id == name)).scalar()
    if before is None:
        connection.execute(insert(actions).values(id=name, **row))
    elif against is None:
        connection.execute(update(actions).where(actions.c.id == name).values(**row))
    return name if against is None else None


def refusal(connection: Connection, trigger: Trigger, now: datetime) -> str | None:
    """Why a trigger must not start anything now; None: it may. A start that lies ahead counts: the clock went back."""
    starts = select(func.count()).where(actions.c.name == trigger.name, actions.c.state.in_(STARTED))
    if trigger.cooldown:
        since = utc_text(now - trigger.cooldown)
        last = connection.scalar(
            select(func.max(actions.c.queued_at)).where(
                actions.c.name == trigger.name, actions.c.state.in_(STARTED), actions.c.queued_at > since
            )
        )
        if last is not None:
            return f"Not started: it is cooling down since {last}."
    if trigger.budget is not None:
        since = utc_text(now - timedelta(seconds=trigger.budget.per.total_seconds()))
        used = connection.scalar(starts.where(actions.c.queued_at > since)) or 0
        if used >= trigger.budget.starts:
            return f"Not started: {used} of {trigger.budget.starts} starts of its budget are used since {since}."
    return None
