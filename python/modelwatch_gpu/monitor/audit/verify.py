"""Whether an audit is what was written: every record, their order, and that none is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, select

from modelwatch_gpu.monitor.audit.anchors import Anchor
from modelwatch_gpu.monitor.audit.chain import BEGINNING, Head, canonical, head, record_sha256
from modelwatch_gpu.monitor.store.engine import reading
from modelwatch_gpu.monitor.store.governance_tables import audit

#: Faults that are told one by one.
MOST_TOLD: Final = 20
_ROWS: Final = 1_000


class Fault(NamedTuple):
    """``seq``: the record that it is about, None where it is about the whole. ``what``: in a sentence."""

    seq: int | None
    what: str


class Verification(NamedTuple):
    """``records``: how many there are. ``first_at``, ``last_at``: their times. ``head``: of the chain as it was read.
    ``anchors``: heads of a file that were found. ``faults``: none where all is as it was written, at most
    ``MOST_TOLD``; ``more``: faults beyond these."""

    records: int
    first_at: str | None
    last_at: str | None
    head: Head
    anchors: int
    faults: tuple[Fault, ...]
    more: int = 0

    @property
    def ok(self) -> bool:
        """Whether no record was changed, removed, added between others, or put elsewhere."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "ok": self.ok,
            "records": self.records,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "head": {"seq": self.head.seq, "sha256": self.head.sha256},
            "anchors": self.anchors,
            "faults": [{"seq": f.seq, "what": f.what} for f in self.faults],
            "more_faults": self.more,
        }


def verify_store(engine: Engine, anchors: Sequence[Anchor] = ()) -> Verification:
    """``verify`` on one state of a store that others may append to meanwhile."""
    with reading(engine) as connection:
        return verify(connection, anchors)


def verify(connection: Connection, anchors: Sequence[Anchor] = ()) -> Verification:
    """Reads the whole audit, a thousand records at a time.

    Without ``anchors`` a chain that was cut at its end, or written anew from some record on, together with the row that
    keeps its head, looks sound: only heads that are kept elsewhere tell.
    """
    walk = _Walk({a.head.seq: a for a in anchors})
    for row in _records(connection):
        walk.step(*row)
    walk.end(head(connection), anchors)
    return walk.result(len(anchors))


def _records(connection: Connection) -> Iterator[tuple[int, str, str, str, str, str]]:
    """By number. Numbers are taken as the database has them: text in a column of numbers is a fault, not an error."""
    columns = (audit.c.seq, audit.c.at, audit.c.kind, audit.c.body, audit.c.prev_sha256, audit.c.sha256)
    rows = connection.execution_options(yield_per=_ROWS).execute(select(*columns).order_by(audit.c.seq))
    for row in rows:
        yield (row[0], *(str(value) for value in row[1:]))


class _Walk:
    def __init__(self, anchors: dict[int, Anchor]) -> None:
        self._anchors = anchors
        self._faults: list[Fault] = []
        self._count = self._more = 0
        self._expected = 1
        self._last = Head(0, BEGINNING)
        self._first_at: str | None = None
        self._last_at: str | None = None

    def step(self, seq: Any, at: str, kind: str, body: str, prev: str, sha256: str) -> None:
        """The next record."""
        self._count += 1
        if type(seq) is not int or seq < 1:
            self._fault(None, f"There is a record with the number {seq!r}.")
            return
        if seq != self._expected:
            gone = (
                f"Record {self._expected} is"
                if seq == self._expected + 1
                else (f"Records {self._expected} to {seq - 1} are")
            )
            self._fault(self._expected, f"{gone} gone.")
        elif prev != self._last.sha256:
            # Behind a gap it cannot fit, and the gap has been told.
            self._fault(seq, f"Record {seq} does not follow on the record before it.")
        if sha256 != record_sha256(seq, at, kind, prev, body):
            self._fault(seq, f"Record {seq} was changed: its hash is not that of what it says.")
        elif not _is_canonical(body):
            self._fault(seq, f"Record {seq} does not hold JSON as it is written here.")
        anchor = self._anchors.pop(seq, None)
        if anchor is not None and anchor.head.sha256 != sha256:
            self._fault(seq, f"Record {seq} is another one than line {anchor.line} of the anchor file names.")
        self._first_at = at if self._first_at is None else self._first_at
        self._last_at, self._last, self._expected = at, Head(seq, sha256), seq + 1

    def end(self, kept: Head, anchors: Sequence[Anchor]) -> None:
        """All records were read; ``kept``: the head that the store keeps beside them."""
        if kept != self._last:
            lost = f"; {kept.seq - self._last.seq} at the end are gone" if kept.seq > self._last.seq else ""
            self._fault(
                None,
                f"The store says that record {kept.seq} is the last, and the last there is is {self._last.seq}{lost}.",
            )
        by_seq: dict[int, str] = {0: BEGINNING}
        for anchor in anchors:
            if by_seq.setdefault(anchor.head.seq, anchor.head.sha256) != anchor.head.sha256:
                self._fault(anchor.head.seq, f"Line {anchor.line} of the anchor file contradicts an earlier one.")
            if anchor.head.seq > self._last.seq:
                self._fault(
                    anchor.head.seq,
                    f"Line {anchor.line} of the anchor file names record {anchor.head.seq}, and the audit ends at "
                    f"{self._last.seq}.",
                )

    def _fault(self, seq: int | None, what: str) -> None:
        if len(self._faults) < MOST_TOLD:
            self._faults.append(Fault(seq, what))
        else:
            self._more += 1

    def result(self, anchors: int) -> Verification:
        """What was found."""
        return Verification(
            self._count, self._first_at, self._last_at, self._last, anchors, tuple(self._faults), self._more
        )


def _is_canonical(body: str) -> bool:
    try:
        return canonical(json.loads(body)) == body
    except (ValueError, RecursionError):
        return False
