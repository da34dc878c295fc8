"""Starts what is queued, at least once and under one id, and notes how it ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, and_, or_, select, update

from modelwatch_gpu.errors import ModelwatchError
from modelwatch_gpu.monitor.actions import command
from modelwatch_gpu.monitor.actions.dispatch import dispatch
from modelwatch_gpu.monitor.actions.evidence import Feedback, bundle
from modelwatch_gpu.monitor.alerts.outbox import waited
from modelwatch_gpu.monitor.audit.chain import append
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.triggers import CommandRun, Trigger
from modelwatch_gpu.monitor.outgoing import redacted
from modelwatch_gpu.monitor.store.alert_tables import actions

#: A start that nothing is heard of is made again after so long.
_CLAIM: Final = timedelta(minutes=10)

#: (config, engine, action's row, rows) -> what writes its feedback set.
FeedbackOf = Callable[[MonitorConfig, Engine, Any, int], Feedback]


@dataclass
class Started:
    """What one pass came to, by the ids of actions. ``failed``: id -> why; it is tried again where that may help."""

    started: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def start_due(engine: Engine, config: MonitorConfig, now: datetime, feedback: FeedbackOf | None = None) -> Started:
    """Starts queued actions, and looks after those that run."""
    done = Started()
    triggers = {trigger.name: trigger for trigger in config.actions.triggers}
    for row in _unfinished(engine):
        trigger = triggers.get(row.name)
        if trigger is None:
            continue  # the config has it no more; it goes on should it come back
        if row.state == "running" and isinstance(trigger.run, CommandRun) and _ended(engine, row, now, done):
            continue
        if _claimed(engine, row, now):
            _start(engine, config, trigger, row, now, feedback, done)
    return done


def _unfinished(engine: Engine) -> list[Any]:
    with engine.begin() as connection:
        query = select(actions).where(actions.c.state.in_(("queued", "running")))
        return list(connection.execute(query.order_by(actions.c.queued_at, actions.c.id)))


def _ended(engine: Engine, row: Any, now: datetime, done: Started) -> bool:
    """Whether a program needs nothing now: it runs, or its end is noted."""
    state = command.state_of(Path(row.evidence)) if row.evidence else None
    if state is None:
        return False
    if not state.running:
        told = redacted(state.told, ())
        result = {"error": state.error, "told": told}
        _note(engine, row, now, state="failed" if state.error else "done", result=result)
        if state.error:
            done.failed[row.id] = state.error
        else:
            done.done.append(row.id)
    return True


def _claimed(engine: Engine, row: Any, now: datetime) -> bool:
    """Whether this process is the one to start it now."""
    at = utc_text(now)
    ready = or_(actions.c.attempts == 0, actions.c.next_at <= at, actions.c.attempted_at > at)
    same = and_(actions.c.id == row.id, actions.c.state == row.state, actions.c.attempts == row.attempts)
    claim = {"attempts": row.attempts + 1, "attempted_at": at, "next_at": utc_text(now + _CLAIM), "state": "running"}
    with engine.begin() as connection:
        return bool(connection.execute(update(actions).where(same, ready).values(**claim)).rowcount)


def asked_of(config: MonitorConfig, row: Any) -> dict[str, Any]:
    """An action as JSON values, as programs and services get it."""
    return {
        "id": row.id,
        "action": row.name,
        "monitor": config.name,
        "reason": row.reason,
        "run_id": row.run_id,
        "queued_at": row.queued_at,
        "evidence": str(Path(config.path_of(config.actions.evidence)).resolve() / row.id),
        **json.loads(row.request),
    }


def _start(
    engine: Engine,
    config: MonitorConfig,
    trigger: Trigger,
    row: Any,
    now: datetime,
    feedback: FeedbackOf | None,
    done: Started,
) -> None:
    asked = asked_of(config, row)
    try:
        wanted = feedback(config, engine, row, trigger.feedback) if feedback is not None and trigger.feedback else None
        folder = bundle(engine, config, row, asked, wanted)
        _note(engine, row, now, evidence=str(folder))
        if isinstance(trigger.run, CommandRun):
            command.start(trigger.run, command.Asked(row.id, row.name, row.alert_id, folder), config.folder)
            done.started.append(row.id)
            return
        outcome = dispatch(trigger.run, asked, now)
        error = outcome.error
    except ModelwatchError as problem:
        error = str(problem)
    except Exception as problem:  # such as an answer that no such service gives; no end of the monitor
        error = f"unexpected {type(problem).__name__}"
    if error is None:
        _note(engine, row, now, state="done", result={"error": None, "told": ""})
        done.started.append(row.id)
        done.done.append(row.id)
        return
    again = utc_text(now + timedelta(seconds=waited(row.id, row.attempts + 1)))
    _note(engine, row, now, result={"error": error, "told": ""}, next_at=again)
    done.failed[row.id] = error


def _note(engine: Engine, row: Any, now: datetime, *, result: Any = None, **values: Any) -> None:
    if result is not None:
        values["result"] = json.dumps(result, sort_keys=True)
    if values.get("state") in ("done", "failed"):
        values["ended_at"] = utc_text(now)
    with engine.begin() as connection:
        connection.execute(update(actions).where(actions.c.id == row.id).values(**values))
        if "ended_at" in values:
            ended = {"id": row.id, "name": row.name, "run": row.run_id, "state": values["state"], "reason": row.reason}
            append(connection, "action", ended, now)
