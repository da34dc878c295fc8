"""One runner at a time: a lease on the store, with a fence that makes a late writer's commit fail.

Nothing here compares wall clocks of two machines. A runner's lease is over when its owner gave it back, when its
process is gone (on this machine that can be looked up), or when its ``beat`` did not move for ``ttl`` seconds of the
watcher's own monotonic clock. Should an owner that was taken for dead wake up, its fence is no longer the current one:
what it tries to commit is rolled back (``Lease.hold``), so nothing is counted twice.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from modelwatch_gpu.errors import ModelwatchError
from modelwatch_gpu.monitor.clock import Clock, utc_text
from modelwatch_gpu.monitor.store.engine import repeatable
from modelwatch_gpu.monitor.store.tables import leases

#: Seconds without a beat after which an owner is taken for dead.
TTL: Final = 60.0


class LeaseLost(ModelwatchError):
    """Another runner has taken over; what this one did since its last commit is rolled back."""


class Seen(NamedTuple):
    """Somebody else's lease as it was seen: who, and how far its beat was."""

    owner: str
    fence: int
    beat: int


class Lease:
    """The right to write to a store, from ``take`` to ``give_back``.

    Args:
        engine: The store.
        name: Of the monitor.
        clock: For the waits, and the times that people read.
        ttl: Seconds without a beat after which an owner is taken for dead; this one beats four times as often.
    """

    def __init__(self, engine: Engine, name: str, clock: Clock, *, ttl: float = TTL) -> None:
        self._engine, self._name, self._clock, self._ttl = engine, name, clock, ttl
        self._owner = _this_process()
        self._fence: int | None = None
        self._watched: tuple[Seen, float] | None = None
        self._stop = threading.Event()
        self._beating: threading.Thread | None = None

    @property
    def fence(self) -> int | None:
        """The number of this ownership, None while there is none."""
        return self._fence

    def take(self) -> Seen | None:
        """Takes the lease where it is free; else returns who has it. Does not wait."""
        with repeatable(self._engine) as connection:
            row = connection.execute(
                select(leases.c.owner, leases.c.fence, leases.c.beat)
                .where(leases.c.name == self._name)
                .with_for_update()
            ).first()
            if row is None:
                first = {"name": self._name, "owner": self._owner, "until": self._until(), "fence": 1, "beat": 0}
                try:
                    with connection.begin_nested():
                        connection.execute(insert(leases).values(first))
                except IntegrityError:
                    return Seen("another runner", 1, 0)
                self._begin(1)
                return None
            seen = Seen(*row)
            if not self._is_over(seen):
                return seen
            connection.execute(
                update(leases)
                .where(leases.c.name == self._name)
                .values(owner=self._owner, until=self._until(), fence=seen.fence + 1, beat=seen.beat + 1)
            )
        self._begin(seen.fence + 1)
        return None

    def _is_over(self, seen: Seen) -> bool:
        if not seen.owner or _is_gone(seen.owner):
            return True
        now = self._clock.monotonic()
        if self._watched is None or self._watched[0] != seen:
            self._watched = (seen, now)
            return False
        return now - self._watched[1] >= self._ttl

    def _begin(self, fence: int) -> None:
        self._fence, self._watched = fence, None
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beat, args=(self._stop,), name="modelwatch-lease", daemon=True)
        self._beating.start()

    def _beat(self, stop: threading.Event) -> None:
        """Moves the beat on while the runner counts."""
        while not stop.wait(self._ttl / 4):
            try:
                with repeatable(self._engine) as connection:
                    self.hold(connection)
            except (LeaseLost, DBAPIError):
                if stop.is_set():
                    return
                continue  # a store that is away comes back, or the next commit says that the lease is lost

    def hold(self, connection: Connection) -> None:
        """Makes the caller's transaction one of the owner's: raises LeaseLost where another runner took over.

        The row stays locked until the transaction ends, so nobody takes over in between.
        """
        held = connection.execute(
            update(leases)
            .where(leases.c.name == self._name, leases.c.owner == self._owner, leases.c.fence == self._fence)
            .values(beat=leases.c.beat + 1, until=self._until())
        )
        if self._fence is None or held.rowcount != 1:
            raise LeaseLost("Another runner has taken this monitor over, so this one stops; nothing was counted twice.")

    def give_back(self) -> None:
        """Lets others take it at once."""
        self._stop.set()
        if self._beating is not None:
            self._beating.join()
        if self._fence is None:
            return
        with repeatable(self._engine) as connection:
            connection.execute(
                update(leases)
                .where(leases.c.name == self._name, leases.c.owner == self._owner, leases.c.fence == self._fence)
                .values(owner="")
            )
        self._fence = None

    def _until(self) -> str:
        """When it was renewed, for people; nothing is decided by it."""
        return utc_text(self._clock.now())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()


def _this_process() -> str:
    """host:boot:pid:start of this process, which no other process has ever had."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{_boot()}:{pid}:{_start_of(pid)}"


def _boot() -> str:
    """What tells this boot of this machine, and this container of it, from all others: process numbers are its own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return "unknown"


def _start_of(pid: int) -> str | None:
    """When a process started, in ticks since boot; None where there is no such process, or nobody can tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]


def _is_gone(owner: str) -> bool:
    """Whether the process with a lease is known to have ended: it was of this machine, and is not there any more."""
    host, _, rest = owner.partition(":")
    parts = rest.split(":")
    if host != socket.gethostname() or len(parts) != 3 or parts[0] != _boot() or _boot() == "unknown":
        return False
    return parts[1].isdigit() and _start_of(int(parts[1])) != parts[2]
