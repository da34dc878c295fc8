"""The governance report: what happened in a period, from the audit alone, and whether the audit is sound."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.audit.anchors import Anchor
from modelwatch_gpu.monitor.audit.verify import verify
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.store.engine import reading
from modelwatch_gpu.monitor.store.governance_tables import audit

SCHEMA_VERSION: Final = 1
#: Findings and events that a report lists; beyond, they are counted.
MOST_LISTED: Final = 5_000
_ROWS: Final = 1_000


@dataclass(frozen=True)
class Record:
    """One record of the audit."""

    seq: int
    at: str
    kind: str
    body: dict[str, Any]


def records(connection: Connection, since: datetime | None, until: datetime | None) -> Iterator[Record]:
    """Records from ``since`` on and before ``until``, in their order."""
    asked = select(audit.c.seq, audit.c.at, audit.c.kind, audit.c.body).order_by(audit.c.seq)
    if since is not None:
        asked = asked.where(audit.c.at >= utc_text(since))
    if until is not None:
        asked = asked.where(audit.c.at < utc_text(until))
    for row in connection.execution_options(yield_per=_ROWS).execute(asked):
        try:
            body = json.loads(row.body)
        except ValueError:
            body = {}  # it was changed, and the verification says so
        yield Record(int(row.seq), str(row.at), str(row.kind), body if isinstance(body, dict) else {})


def governance_report(
    engine: Engine,
    *,
    name: str,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    anchors: Sequence[Anchor] = (),
) -> dict[str, Any]:
    """What happened in a period, as JSON values.

    Args:
        name: Of the monitor.
        now: When the report is made.
        since, until: The period, its end not included; None: from the first record, to the last.
        anchors: Heads of an anchor file that the audit is held against.

    The audit is verified as a whole, whatever the period. Raises InputError where a time has no zone, or the period
    ends before it begins.
    """
    for when in (since, until):
        if when is not None and when.tzinfo is None:
            raise InputError(f"The period names {when.isoformat()}, which has no time zone; add one, such as Z.")
    if since is not None and until is not None and until <= since:
        raise InputError("The period ends before it begins; give --since before --until.")
    collected = _Collected()
    with reading(engine) as connection:
        verified = verify(connection, anchors)
        for record in records(connection, since, until):
            collected.add(record)
    return {
        "schema_version": SCHEMA_VERSION,
        "monitor": name,
        "made_at": utc_text(now),
        "since": None if since is None else utc_text(since),
        "until": None if until is None else utc_text(until),
        "audit": verified.to_dict(),
        **collected.to_dict(),
    }


class _Collected:
    """Records, put where the report has them."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.runs = self.rows = self.files = 0
        self.windows: set[str | None] = set()
        self.severities: Counter[str] = Counter()
        self.used: dict[str, dict[str, dict[str, Any]]] = {
            name: {} for name in ("config_sha256", "baseline_sha256", "code_version", "device")
        }
        self.findings: list[dict[str, Any]] = []
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.more: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Puts one record where it belongs."""
        self.kinds[record.kind] += 1
        if record.kind == "run":
            self._run(record)
            return
        if record.kind == "config":
            record = Record(record.seq, record.at, record.kind, {k: v for k, v in record.body.items() if k != "text"})
        self._event(record.kind, record.seq, record.at, record.body)

    def _event(self, kind: str, seq: int, at: str, body: dict[str, Any]) -> None:
        own = self.events.setdefault(kind, [])
        if len(own) < MOST_LISTED:
            own.append({"seq": seq, "at": at, **_named(body)})
        else:
            self.more[kind] += 1

    def _run(self, record: Record) -> None:
        body = record.body
        self.runs += 1
        self.rows += _number(body.get("rows"))
        self.files += len(body.get("files") or ())
        self.windows |= {row[0] for row in body.get("windows") or () if isinstance(row, list) and row}
        for severity, count in (body.get("findings") or {}).items():
            self.severities[str(severity)] += _number(count)
        for what, seen in self.used.items():
            value = body.get(what)
            if value is not None:
                own = seen.setdefault(str(value), {"value": str(value), "runs": 0, "first": record.at})
                own["runs"] += 1
                own["last"] = record.at
        for kind in ("alert", "action"):
            for event in body.get(f"{kind}s") or ():
                if isinstance(event, dict):
                    self._event(kind, record.seq, record.at, {"run": body.get("run"), **event})
        for finding in body.get("told") or ():
            if len(self.findings) < MOST_LISTED and isinstance(finding, dict):
                self.findings.append({"run": body.get("run"), "at": record.at, **finding})
            else:
                self.more["finding"] += 1

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "records": dict(sorted(self.kinds.items())),
            "runs": {
                "count": self.runs,
                "rows": self.rows,
                "files": self.files,
                "windows": len(self.windows),
                "findings": dict(sorted(self.severities.items())),
            },
            "used": {what: list(seen.values()) for what, seen in self.used.items()},
            "findings": self.findings,
            "events": dict(sorted(self.events.items())),
            "left_out": dict(sorted(self.more.items())),
        }


def _named(body: dict[str, Any]) -> dict[str, Any]:
    """Fields of a body, none of which hides the record's own."""
    return {f"_{name}" if name in ("seq", "at") else name: value for name, value in body.items()}


def _number(value: Any) -> int:
    return value if type(value) is int else 0
