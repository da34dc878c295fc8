"""Silences: for a while, nobody is told of alerts that match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.audit.chain import append
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.store.alert_tables import silences

#: What a silence can ask of an alert, beside ``segment.<column>``.
FIELDS: Final = ("alert", "rule", "column", "check", "severity")


@dataclass(frozen=True, slots=True)
class Silence:
    """``matchers``: field -> pattern, in which * stands for any text; all must fit. Times as ``clock.utc_text``."""

    id: str
    matchers: dict[str, str]
    starts_at: str
    ends_at: str
    created_at: str
    created_by: str
    comment: str

    def is_on(self, now: str) -> bool:
        """Whether it holds at a time."""
        return self.starts_at <= now < self.ends_at

    def fits(self, alert: Any) -> bool:
        """Whether it is about a row of ``alerts``."""
        there = fields_of(alert)
        return all(name in there and fnmatchcase(there[name], pattern) for name, pattern in self.matchers.items())


def fields_of(alert: Any) -> dict[str, str]:
    """What silences can ask of a row of ``alerts``."""
    key = json.loads(alert.key)
    fields = {"alert": alert.id, "rule": alert.rule, "severity": alert.severity}
    fields |= {name: key[name] for name in ("column", "check") if name in key}
    for name, value in (key.get("segment") or {}).items():
        fields[f"segment.{name}"] = "null" if value is None else value
    return fields


def add_silence(
    connection: Connection,
    matchers: Mapping[str, str],
    *,
    starts: datetime,
    ends: datetime,
    now: datetime,
    by: str,
    comment: str,
) -> Silence:
    """Writes a silence, and who made it into the audit.

    Raises InputError where it would match everything, asks for what alerts do not have, or ends before it begins.
    """
    if not matchers:
        raise InputError("A silence needs something to match, such as --rule or --column; '*' matches everything.")
    for name, pattern in matchers.items():
        if name not in FIELDS and not (name.startswith("segment.") and len(name) > len("segment.")):
            raise InputError(f"A silence cannot ask for {name!r}; it can for {', '.join(FIELDS)} or segment.<column>.")
        if not pattern:
            raise InputError(f"The silence asks for an empty {name}, which no alert has.")
    if ends <= starts or ends <= now:
        raise InputError("The silence would be over already; give a time that lies ahead.")
    if not comment.strip():
        raise InputError("A silence needs a comment that says why.")
    told = {"matchers": canonical(dict(matchers)), "starts_at": utc_text(starts), "ends_at": utc_text(ends)}
    row = {**told, "created_at": utc_text(now), "created_by": by, "comment": comment}
    name = hashlib.sha256(canonical(row).encode()).hexdigest()[:32]
    if connection.execute(select(silences.c.id).where(silences.c.id == name)).first() is None:
        connection.execute(insert(silences).values(id=name, **row))
        append(connection, "silence", {**row, "id": name, "matchers": dict(matchers)}, now)
    return Silence(name, dict(matchers), row["starts_at"], row["ends_at"], row["created_at"], by, comment)


def end_silence(connection: Connection, name: str, now: datetime) -> Silence:
    """Ends a silence now; ``name``: its id, or how that begins. Raises InputError where that is none or several."""
    found = [one for one in all_silences(connection) if name and one.id.startswith(name)]
    if len(found) != 1:
        raise InputError(f"{'No silence has' if not found else 'Several silences have'} an id that begins so: {name}.")
    (silence,) = found
    at = utc_text(now)
    if not silence.ends_at > at:
        raise InputError(f"The silence {name} ended at {silence.ends_at} already.")
    connection.execute(update(silences).where(silences.c.id == silence.id).values(ends_at=at))
    append(connection, "silence", {"id": silence.id, "matchers": silence.matchers, "ended_at": at}, now)
    return silence


def all_silences(connection: Connection) -> list[Silence]:
    """All that are kept, the latest first."""
    rows = connection.execute(select(silences).order_by(silences.c.created_at.desc(), silences.c.id))
    return [
        Silence(r.id, json.loads(r.matchers), r.starts_at, r.ends_at, r.created_at, r.created_by, r.comment)
        for r in rows
    ]
