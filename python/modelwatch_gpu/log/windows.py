"""Windows: calendar slices of a log in its own time zone, never dependent on the data; or so many rows each."""

from __future__ import annotations

import difflib
import functools
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Seconds = npt.NDArray[np.int64]

_MINUTES = {"min": 1, "h": 60}
_DAYS = {"d": 1, "w": 7}
_MONTHS = {"mo": 1, "q": 3, "y": 12}
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DAY = 86_400
_ANCHOR = -3  # Monday 1969-12-29, in days since 1970-01-01
_YEAR_0 = -1970 * 12  # January of year 0, in months since January 1970
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1, 1, 3).toordinal() - date(1970, 1, 1).toordinal()
_LAST_DAY = date(9999, 12, 29).toordinal() - date(1970, 1, 1).toordinal()
MOST_WINDOWS = 20_000_000  # one stray timestamp must not fill the memory with windows


@dataclass(frozen=True)
class Window:
    """A length of time on the calendar of a time zone: ``Window.parse("1mo")``.

    Days begin at local midnight (or the first instant after it where the clocks skip it), weeks on ISO Mondays, months,
    quarters and years on their first day. Several days or weeks are counted from Monday 1969-12-29, several months,
    quarters or years from year 0. Minutes and hours are elapsed time from local midnight and never cross the next one,
    so a day of 25 hours has 25 windows of one hour. ``24h`` is ``1d``.
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str | Window) -> Window:
        """The window written as ``15min``, ``1h``, ``1d``, ``2w``, ``1mo``, ``1q`` or ``1y``.

        Raises InputError for any other text, and for minutes or hours longer than a day.
        """
        if isinstance(text, Window):
            return text
        match = re.fullmatch(r"([1-9][0-9]{0,5})(min|h|d|w|mo|q|y)", text.strip()) if isinstance(text, str) else None
        if match is None:
            raise InputError(
                f"The window {text!r} is not known; write a positive whole number and one of the units "
                "min, h, d, w, mo, q, y, such as '15min', '1h', '1d', '1w', '1mo', '1q' or '1y', "
                "or a number of rows, such as '50000rows'."
            )
        count, unit = int(match[1]), match[2]
        minutes = count * _MINUTES.get(unit, 0)
        if minutes > 1440:
            raise InputError(
                f"The window {text!r} is longer than a day, which minutes and hours cannot be; "
                f"write it in days, such as '{-(-minutes // 1440)}d'."
            )
        return cls(1, "d") if minutes == 1440 else cls(count, unit)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    def boundaries(self, low: int, high: int, zone: ZoneInfo) -> Seconds:
        """The starts of all windows from the one that holds ``low`` to the one after the one that holds ``high``.

        low, high: epoch seconds, both inclusive. Returns int64 epoch seconds, shape (windows + 1,), strictly
        increasing, with ``result[0] <= low`` and ``result[-1] > high``. Raises InputError where ``high < low``, where a
        second lies outside the years 1 to 9999, and where there would be more than 20 million windows.
        """
        if high < low:
            raise InputError(f"The last second, {high}, lies before the first, {low}; give them in order.")
        first, last = self._slots_of(low, high, zone)
        windows = self.at_most(low, high, zone)
        if windows > MOST_WINDOWS:
            raise InputError(
                f"Windows of {self} from {iso(low, zone)} to {iso(high, zone)} would be {windows:,}, more than "
                f"{MOST_WINDOWS:,}; choose a longer window or remove the rows with a wrong timestamp."
            )
        starts = _starts_of_days(self._first_day_of(np.arange(first, last + 1)), zone)
        if not self._minutes:
            return starts
        cuts = _cut_days(starts, self._minutes * 60)
        begin, end = np.searchsorted(cuts, low, "right") - 1, np.searchsorted(cuts, high, "right")
        return cuts[begin : end + 1]

    def at_most(self, low: int, high: int, zone: ZoneInfo) -> int:
        """How many windows there can be from the one that holds ``low`` to the one that holds ``high``, at most."""
        first, last = self._slots_of(low, high, zone)
        return (last - first) * (-(-1440 // self._minutes) if self._minutes else 1)

    def start_of(self, second: int, zone: ZoneInfo) -> int:
        """The start, in epoch seconds, of the window that holds this epoch second."""
        day = _day_of(second, zone)
        start = _start_of_day(int(self._first_day_of(np.array([self._slot_of(day)]))[0]), zone)
        step = self._minutes * 60
        return start + (second - start) // step * step if step else start

    def label(self, start: int, zone: ZoneInfo) -> str:
        """What people call the window that starts at this epoch second.

        ``Apr 2013``, ``2013``, ``Q2 2013``, ``2013-04-01``, ``week of 2013-04-01``, ``2013-04-01 13:00``; an hour that
        the clocks repeat also has its offset, so no two windows share a label.
        """
        if self._minutes:
            return _clock_label(start, zone)
        slot = self._slot_of(_day_of(start, zone))
        if self.unit == "w":
            weeks = "week of" if self.count == 1 else f"{self.count} weeks from"
            return f"{weeks} {_local(start, zone):%Y-%m-%d}"
        if self.unit == "d":
            day = int(self._first_day_of(np.array([slot]))[0])
            first, last = _local(start, zone).strftime("%Y-%m-%d"), str(np.datetime64(day + self.count - 1, "D"))
            return first if self.count == 1 else f"{first} to {last}"
        month = slot * self._months + _YEAR_0
        first, last = self._month_label(month), self._month_label(month + self._months - 1)
        return first if self.count == 1 else f"{first} to {last}"

    def nests(self, block: Window) -> bool:
        """Whether every boundary of this window is a boundary of ``block`` too, in every time zone."""
        if self._minutes:
            return bool(block._minutes) and self._minutes % block._minutes == 0
        if block._minutes:
            return True
        if self._days:
            return bool(block._days) and self._days % block._days == 0
        return block._days == 1 or (bool(block._months) and self._months % block._months == 0)

    @property
    def _minutes(self) -> int:
        return self.count * _MINUTES.get(self.unit, 0)

    @property
    def _days(self) -> int:
        return self.count * _DAYS.get(self.unit, 0)

    @property
    def _months(self) -> int:
        return self.count * _MONTHS.get(self.unit, 0)

    def _slots_of(self, low: int, high: int, zone: ZoneInfo) -> tuple[int, int]:
        """The running number that holds ``low``, and the one after the one that holds ``high``."""
        return self._slot_of(_day_of(low, zone)), self._slot_of(_day_of(high, zone)) + 1

    def _slot_of(self, day: int) -> int:
        """The running number of the window that holds a day; of the day itself for minutes and hours."""
        if self._months:
            month = int(np.datetime64(day, "D").astype("datetime64[M]").astype(np.int64))
            return (month - _YEAR_0) // self._months
        return (day - _ANCHOR) // (self._days or 1)

    def _first_day_of(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The first day, in days since 1970-01-01, of each running number."""
        if self._months:
            months = slots * self._months + _YEAR_0
            return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        return slots * (self._days or 1) + _ANCHOR

    def _month_label(self, month: int) -> str:
        year, index = 1970 + month // 12, month % 12
        if self.unit == "y":
            return str(year)
        return f"Q{index // 3 + 1} {year}" if self.unit == "q" else f"{_MONTH_NAMES[index]} {year}"


@dataclass(frozen=True)
class RowWindow:
    """So many consecutive rows, in the order of the log's files and of the rows in them: ``RowWindow(50_000)``.

    A window starts at the number of its first row, counted from 0 over the whole log.
    """

    rows: int

    def __str__(self) -> str:
        return f"{self.rows}rows"

    def cut(self, first: int, rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The windows of a batch whose first row has the number ``first``: where each starts, ascending, and how many
        of the batch's rows it has, at least one."""
        starts = np.arange(first // self.rows * self.rows if rows else first, first + rows, self.rows, dtype=np.int64)
        return starts, np.minimum(starts + self.rows, first + rows) - np.maximum(starts, first)

    def end(self, start: int, total: int) -> int:
        """The number after the last row of the window that starts here, in a log of ``total`` rows."""
        return min(start + self.rows, total)

    def label(self, start: int, total: int) -> str:
        """What people call it, counting from 1: ``rows 1 to 50,000``."""
        return f"rows {start + 1:,} to {self.end(start, total):,}"


def parse_window(text: str | Window | RowWindow) -> Window | RowWindow:
    """A window of time (``Window.parse``) or of rows, written as ``50000rows``; raises InputError for anything else."""
    if isinstance(text, RowWindow):
        return text
    match = re.fullmatch(r"([1-9][0-9]{0,14})rows", text.strip()) if isinstance(text, str) else None
    return RowWindow(int(match[1])) if match is not None else Window.parse(text)


def block_for(window: Window) -> Window:
    """The default block: one day, or the window itself where it is shorter."""
    return window if window._minutes else Window(1, "d")


def zone_of(name: str | None) -> ZoneInfo:
    """The IANA time zone of this name; None is UTC. Raises InputError with close matches for an unknown one."""
    if name is None:
        return ZoneInfo("UTC")
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        known = {zone.lower(): zone for zone in zoneinfo.available_timezones()}
        wanted = str(name).strip().lower().replace(" ", "_")
        cities = {zone.rsplit("/", 1)[-1]: full for zone, full in sorted(known.items())}
        close = [known[match] for match in difflib.get_close_matches(wanted, known, n=3, cutoff=0.7)]
        close += [cities[match] for match in difflib.get_close_matches(wanted, cities, n=3, cutoff=0.8)]
        names = " or ".join(dict.fromkeys(close))
        ask = f"did you mean {names}?" if close else "use a name such as 'America/New_York'."
        raise InputError(f"The time zone {name!r} is not known; {ask}") from None


def iso(second: int, zone: ZoneInfo) -> str:
    """An epoch second in a time zone, ISO 8601 with the offset: ``2013-04-01T00:00:00-04:00``."""
    return _local(second, zone).isoformat()


def _local(second: int, zone: ZoneInfo) -> datetime:
    if not _FIRST_DAY * _DAY <= second < (_LAST_DAY + 1) * _DAY:
        raise InputError(
            f"The timestamp {second:,} seconds since 1970 lies outside the years 1 to 9999; "
            "check the unit of the timestamp column."
        )
    return (_UNIX_EPOCH + timedelta(seconds=int(second))).astimezone(zone)


def _day_of(second: int, zone: ZoneInfo) -> int:
    """The day that holds a second: the last one that has begun by then, in days since 1970-01-01."""
    day = _local(second, zone).toordinal() - _UNIX_EPOCH.toordinal()
    while _start_of_day(day + 1, zone) <= second:  # clocks set back over midnight, and days that were left out
        day += 1
    return day


def _starts_of_days(days: npt.NDArray[np.int64], zone: ZoneInfo) -> Seconds:
    """The distinct starts of these increasing days, in epoch seconds."""
    if zone.key in ("UTC", "Etc/UTC"):
        return days * _DAY
    return np.unique(np.fromiter((_start_of_day(day, zone) for day in days.tolist()), np.int64, len(days)))


@functools.lru_cache(maxsize=65_536)
def _start_of_day(day: int, zone: ZoneInfo) -> int:
    """The first second at which the local date is this day or a later one."""
    inside = min(max(day, _FIRST_DAY), _LAST_DAY)
    midnight = datetime.fromordinal(inside + _UNIX_EPOCH.toordinal()).replace(tzinfo=zone)
    before, after = midnight.utcoffset(), midnight.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    start = day * _DAY - int(before.total_seconds())
    if before >= after or day != inside:
        return start
    # The clocks skip this midnight: the day starts when they jump, which may be before its own 00:00.
    return _first_true(
        lambda second: _local(second, zone).toordinal() - _UNIX_EPOCH.toordinal() >= day,
        day * _DAY - int(after.total_seconds()) - 1,
        start,
    )


def _first_true(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first second in (low, high] for which ``holds``, which stays true once it is and holds at ``high``."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _cut_days(starts: Seconds, step: int) -> Seconds:
    """Every day cut into steps of seconds from its start; the last one of a day may be shorter."""
    counts = -(-np.diff(starts) // step)
    first = np.cumsum(counts) - counts
    within = np.arange(int(counts.sum())) - np.repeat(first, counts)
    return np.append(np.repeat(starts[:-1], counts) + within * step, starts[-1])


def _clock_label(start: int, zone: ZoneInfo) -> str:
    local = _local(start, zone)
    text = local.strftime("%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M")
    if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
        text += f" {iso(start, zone)[19:]}"
    return text
