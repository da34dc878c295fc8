"""One clock for everything a monitor does: wall time for people, monotonic time for waits.

What is counted, judged and alerted never depends on either: a clock that jumps changes what is written beside a result,
not the result.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime


class Clock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Waits so long, or until somebody says stop; returns whether somebody did."""
        return stop.wait(max(0.0, seconds))


class FixedClock(Clock):
    """A clock that stands still until it is set: for tests, and for a run as of a given time."""

    def __init__(self, now: datetime, monotonic: float = 0.0) -> None:
        self._now = now.astimezone(UTC)
        self._monotonic = monotonic

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def set(self, now: datetime) -> None:
        """The wall time jumps, to before or after."""
        self._now = now.astimezone(UTC)

    def pass_by(self, seconds: float) -> None:
        """Monotonic time goes on; the wall time stands still."""
        self._monotonic += seconds

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        self.pass_by(max(0.0, seconds))
        return stop.is_set()


def utc_text(when: datetime) -> str:
    """How the store writes a time: ISO 8601 in UTC to the microsecond, so texts sort as times do."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_time(text: str) -> datetime:
    """The inverse of ``utc_text``."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
