"""The audit: records that are only added, each with the hash of the one before, so that none can change unseen.

The hash of a record is SHA-256 over its number, time, kind, the hash before and its body, a line each, behind a first
line that names the format. The first record follows on 64 zeros.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.judging import canonical as canonical_json
from modelwatch_gpu.monitor.store.governance_tables import audit, audit_head

#: What the first record follows on.
BEGINNING: Final = "0" * 64
#: The first line of what is hashed.
_FORMAT: Final = "modelwatch audit 1"
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Head(NamedTuple):
    """The last record: its number, 0 where there is none, and its hash."""

    seq: int
    sha256: str


def canonical(body: Any) -> str:
    """JSON values as text, the same for equal values: keys sorted, no spaces, ASCII alone.

    Raises InputError for what JSON cannot hold, numbers that are not finite and secrets among it.
    """
    try:
        return canonical_json(body)
    except (TypeError, ValueError) as error:
        raise InputError(f"The audit takes JSON values; this is none ({error}).") from None


def record_sha256(seq: int, at: str, kind: str, prev_sha256: str, body: str) -> str:
    """The hash of a record."""
    lines = (_FORMAT, str(seq), at, kind, prev_sha256, body)
    return hashlib.sha256("\n".join(lines).encode("utf-8", errors="surrogatepass")).hexdigest()


def append(connection: Connection, kind: str, body: Mapping[str, Any], now: datetime) -> Head:
    """Adds a record in the caller's transaction, so that it is there if and only if what it tells of is.

    Args:
        kind: A word: lower case, digits, ``_``.
        body: JSON values.
        now: When it happened.

    Raises:
        InputError: The kind is no such word, or the body holds something that JSON cannot.
    """
    if not _KIND.fullmatch(kind):
        raise InputError(f"A record of the audit cannot be of kind {kind!r}; use lower case, digits and _.")
    text, at = canonical(body), utc_text(now)
    # The one row is changed before it is read: whoever comes second waits here for the first one's commit.
    own = update(audit_head).where(audit_head.c.id == 1)
    if not connection.execute(own.values(seq=audit_head.c.seq + 1)).rowcount:
        _begin(connection)
        connection.execute(own.values(seq=audit_head.c.seq + 1))
    seq, before = connection.execute(select(audit_head.c.seq, audit_head.c.sha256).where(audit_head.c.id == 1)).one()
    sha256 = record_sha256(seq, at, kind, before, text)
    connection.execute(insert(audit).values(seq=seq, at=at, kind=kind, body=text, prev_sha256=before, sha256=sha256))
    connection.execute(own.values(sha256=sha256))
    return Head(seq, sha256)


def _begin(connection: Connection) -> None:
    """Makes the row of the head, which is not there yet."""
    try:
        with connection.begin_nested():
            connection.execute(insert(audit_head).values(id=1, seq=0, sha256=BEGINNING))
    except IntegrityError:
        pass  # another one was first


def head(connection: Connection) -> Head:
    """The last record as the store has it."""
    found = connection.execute(select(audit_head.c.seq, audit_head.c.sha256).where(audit_head.c.id == 1)).first()
    return Head(0, BEGINNING) if found is None else Head(int(found.seq), str(found.sha256))
