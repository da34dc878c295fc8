"""What was deployed when: events that a person, a pipeline or the log itself tells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.audit.chain import append, canonical
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.store.governance_tables import STAGES, deployments

#: Where an event came from.
SOURCES: Final = ("user", "column", "mlflow")
#: Letters of a version, a name or a note at most.
MOST_LETTERS: Final = 2_000


@dataclass(frozen=True)
class Deployment:
    """``at``: when, ISO 8601 in UTC. ``stage``: one of ``STAGES``. ``source``: one of ``SOURCES``. ``dependencies``:
    see ``versions.dependencies.snapshot``. ``id``: follows from what happened, so the same event has the same one."""

    id: str
    at: str
    model: str
    model_version: str
    data_version: str | None
    code_version: str | None
    stage: str
    source: str
    who: str | None = None
    note: str | None = None
    dependencies: dict[str, Any] | None = None
    added_at: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def add_deployment(
    connection: Connection,
    *,
    model: str,
    model_version: str,
    now: datetime,
    at: datetime | None = None,
    data_version: str | None = None,
    code_version: str | None = None,
    stage: str = "production",
    source: str = "user",
    who: str | None = None,
    note: str | None = None,
    dependencies: Mapping[str, Any] | None = None,
) -> Deployment:
    """Writes an event and its record of the audit, in the caller's transaction; an event that is there already is
    returned as it is.

    Args:
        at: When it happened. Default: now.
        stage: "production", "canary", "shadow", "retired", "rolled_back" or "seen".
        who: Whoever did it, as the audit is to name them.
        dependencies: What it runs with: ``snapshot()`` in the service itself.

    Raises:
        InputError: A name is empty or too long, the stage is unknown, or ``at`` has no time zone.
    """
    if stage not in STAGES:
        raise InputError(f"A deployment cannot have the stage '{stage}'; it can be {', '.join(STAGES)}.")
    if source not in SOURCES:
        raise InputError(f"A deployment cannot come from '{source}'; it can come from {', '.join(SOURCES)}.")
    texts = {"model": model, "model_version": model_version, "data_version": data_version}
    texts |= {"code_version": code_version, "who": who, "note": note}
    for name, text in texts.items():
        if text is not None and not (isinstance(text, str) and 0 < len(text) <= MOST_LETTERS and "\0" not in text):
            raise InputError(f"A deployment's {name} is a text of 1 to {MOST_LETTERS:,} letters.")
    when = now if at is None else at
    if when.tzinfo is None:
        raise InputError(f"The deployment was at {when.isoformat()}, which has no time zone; add one, such as Z.")
    event = {
        "at": utc_text(when),
        "model": model,
        "model_version": model_version,
        "data_version": data_version,
        "code_version": code_version,
        "stage": stage,
        "source": source,
        "who": who,
    }
    own = hashlib.sha256(canonical(event).encode()).hexdigest()[:32]
    found = connection.execute(select(deployments).where(deployments.c.id == own)).mappings().first()
    if found is not None:
        return _of(found)
    row = {
        **event,
        "id": own,
        "note": note,
        "dependencies": None if dependencies is None else canonical(dict(dependencies)),
        "added_at": utc_text(now),
    }
    connection.execute(insert(deployments).values(row))
    told = None if dependencies is None else hashlib.sha256(str(row["dependencies"]).encode()).hexdigest()
    append(connection, "deployment", {**event, "id": own, "note": note, "dependencies_sha256": told}, now)
    return _of(row)


def list_deployments(
    connection: Connection, *, model: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> list[Deployment]:
    """Events from ``since`` on and before ``until``, oldest first."""
    asked = select(deployments).order_by(deployments.c.at, deployments.c.id)
    if model is not None:
        asked = asked.where(deployments.c.model == model)
    if since is not None:
        asked = asked.where(deployments.c.at >= utc_text(since))
    if until is not None:
        asked = asked.where(deployments.c.at < utc_text(until))
    return [_of(row) for row in connection.execute(asked).mappings()]


def running(events: list[Deployment]) -> list[Deployment]:
    """Of events, oldest first, the last word on every version that has not gone; of production the last one alone, and
    none of those that only the log names."""
    last: dict[tuple[str, str], Deployment] = {}
    production: dict[str, str] = {}
    for event in events:
        key = (event.model, event.model_version)
        if event.stage == "seen":
            continue
        if event.stage == "production":
            before = production.get(event.model)
            if before is not None and before != event.model_version:
                last.pop((event.model, before), None)
            production[event.model] = event.model_version
        elif production.get(event.model) == event.model_version:
            production.pop(event.model)
        last.pop(key, None)
        if event.stage not in ("retired", "rolled_back"):
            last[key] = event
    return sorted(last.values(), key=lambda event: (event.model, event.at, event.model_version))


def _of(row: Mapping[Any, Any]) -> Deployment:
    own = {name: row[name] for name in Deployment.__dataclass_fields__}
    text = own["dependencies"]
    return Deployment(**{**own, "dependencies": None if text is None else json.loads(text)})
