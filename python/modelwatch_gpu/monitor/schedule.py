"""When to look next: every so often, or by cron."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from croniter import croniter

from modelwatch_gpu.log.windows import zone_of
from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.config.model import ScheduleConfig

#: The time between two looks, where nobody says.
DEFAULT_EVERY: Final = timedelta(minutes=1)
#: Cron follows the wall clock, which may be set while somebody sleeps: it is read again so often, in seconds.
_NAP: Final = 30.0


class Schedule:
    """Says how long to wait, a nap at a time.

    ``every`` goes by monotonic time alone. ``cron`` is due once the wall clock has reached the next time; where it was
    set forward past several, they are one; where it was set back, the next time is worked out anew.
    """

    def __init__(self, config: ScheduleConfig, clock: Clock, timezone: str) -> None:
        self._clock, self._cron = clock, config.cron
        self._every = (config.every or DEFAULT_EVERY).total_seconds()
        self._zone: ZoneInfo = zone_of(config.timezone or timezone)
        self._due_at = 0.0
        self._next: datetime | None = None
        self._asked: datetime | None = None

    def looked(self) -> None:
        """A look begins now; the next one is counted from here."""
        self._due_at = self._clock.monotonic() + self._every
        self._next = None

    def nap(self) -> float:
        """Seconds to wait before asking again; 0: a look is due."""
        if self._cron is None:
            return max(0.0, self._due_at - self._clock.monotonic())
        now = self._clock.now()
        if self._next is None or (self._asked is not None and now < self._asked):
            self._next = self._after(now)
        self._asked = now
        return min(_NAP, max(0.0, (self._next - now).total_seconds()))

    def _after(self, now: datetime) -> datetime:
        following: datetime = croniter(self._cron, now.astimezone(self._zone)).get_next(datetime)
        return following.astimezone(UTC)
