"""Two counted versions in the same windows: their numbers, and how sure the difference is, day against same day.

Both versions see the same weather, campaign and bug of a day. So whole days are drawn, the same ones for both: what the
days have in common cancels in the difference.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from modelwatch_gpu.checks.answered import answer_statistic
from modelwatch_gpu.checks.intervals import (
    BY_ROWS,
    BY_UNITS,
    LEAST_UNITS,
    MAXIMUM_WIDER,
    METHODS,
    UNKNOWN,
    Judged,
    Spread,
    of_windows,
)
from modelwatch_gpu.checks.intervals import Table as Draws
from modelwatch_gpu.checks.resampling import BASELINE_UNITS, CURRENT_UNITS, split
from modelwatch_gpu.checks.statistics import OwnTables, Statistic
from modelwatch_gpu.log.windows import Window
from modelwatch_gpu.measures.against_labels import measured
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.value import Floats, Value, Values
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, UNTIMED, WHOLE, GroupKey, Part

_SETS: Final = ("window", LABELLED_PREFIX + "window")


@dataclass(frozen=True, eq=False)
class Side:
    """One version. ``counted``: its profile's merged part. ``starts``: of the windows compared. ``zone``, ``calendar``:
    of the windows; no calendar where there is one window. ``unit``: what is drawn again, whole days or several; None
    takes rows as independent."""

    baseline: Baseline
    counted: Part
    starts: frozenset[int]
    zone: ZoneInfo
    calendar: Window | None
    unit: Window | None

    @cached_property
    def whole(self) -> Part:
        """The windows compared as one."""
        return whole_of(self.counted, self.starts)

    @cached_property
    def numbers(self) -> dict[str, dict[str, Value]]:
        """What the answers are worth beside labels, by column and measure, over all windows compared."""
        return _first(self._measured(self.whole))

    @cached_property
    def by_window(self) -> dict[str, dict[str, Values]]:
        """The same of every window that was counted."""
        return self._measured(self.counted)

    def of_window(self, column: str, measure: str, start: int) -> Value | None:
        """A measure of one window; None where it has none."""
        values = self.by_window.get(column, {}).get(measure)
        return None if values is None else values[self.places[start]]

    @cached_property
    def places(self) -> dict[int, int]:
        """Start of a window -> its number among the groups."""
        return {int(key[0]): i for i, key in enumerate(self.counted.groups["window"])}

    def _measured(self, part: Part) -> dict[str, dict[str, Values]]:
        scoring = self.baseline.scoring
        return {} if scoring is None else measured(self.baseline, scoring, "fine", part, "window")

    def window_of(self, second: int) -> int:
        """The start of the window that holds this epoch second."""
        return WHOLE if self.calendar is None else self.calendar.start_of(second, self.zone)


def _first(found: Mapping[str, Mapping[str, Values]]) -> dict[str, dict[str, Value]]:
    return {column: {name: values[0] for name, values in own.items() if len(values)} for column, own in found.items()}


@dataclass(frozen=True)
class Difference:
    """How much worse the candidate is: ``value`` in the measure's unit, positive where it is worse (of measures that
    are neither better high nor low: how much larger). ``least``, ``most``: where the grid is coarser than the scores,
    what the value can be. ``lower``, ``upper``: the interval at ``level``; None where there is none. ``units``: how
    many days, or rows, it rests on; ``by``: "units" or "rows"."""

    measure: str
    column: str
    current: float | None
    candidate: float | None
    value: float | None = None
    least: float | None = None
    most: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    units: int = 0
    by: str | None = None
    n: tuple[int, int] = (0, 0)
    reason: str | None = None


def whole_of(part: Part, starts: Collection[int]) -> Part:
    """The windows that begin at ``starts``, added up into one group that stands for the whole log. Segments and blocks
    are left out, and the rows of all other windows are in the group of rows without a time."""
    groups: dict[str, list[GroupKey]] = {}
    rows, tables, weights = {}, {}, {}
    for name in _SETS:
        if name not in part.groups:
            continue
        wanted = [((WHOLE if int(key[0]) in starts else UNTIMED), *key[1:]) for key in part.groups[name]]
        keys = sorted(set(wanted))
        at = {key: i for i, key in enumerate(keys)}
        number = np.array([at[key] for key in wanted], dtype=np.uint32)
        groups[name] = list(keys)
        rows[name] = np.zeros(len(keys), dtype=np.uint64)
        np.add.at(rows[name], number, part.group_rows[name])
        tables.update({key: table.regrouped(number, len(keys)) for key, table in part.tables.items() if key[0] == name})
        if name in part.weights:
            weights[name] = part.weights[name].regrouped(number, len(keys))
    return replace(
        part,
        groups=groups,
        group_rows=rows,
        tables=tables,
        weights=weights,
        embeddings={},
        sample=None,
        facts=None,
        origins=part.origins,
    )


class Pair:
    """One measure of one column of two versions, the candidate beside the current one."""

    def __init__(self, current: Side, candidate: Side, column: str, measure: str) -> None:
        self.current, self.candidate, self.column, self.measure = current, candidate, column, measure
        baseline, change = current.baseline, MEASURES[measure].change
        statistic = None
        if change is not None:
            beside = replace(baseline, part=current.whole)
            statistic = answer_statistic(beside, candidate.whole, baseline.by_name[column], change, grid="fine")
        self.statistic = None if statistic is None or statistic.own is None else statistic

    def over_all(self, tail: float, threshold: float) -> Difference:
        """Over all windows compared. ``tail``: what the interval leaves out on either side. ``threshold``: what the
        p-value is of: a difference this far above, were the true one just at it."""
        both = [side.numbers.get(self.column, {}).get(self.measure) for side in (self.current, self.candidate)]
        return self._difference(both[0], both[1], self.current.starts, tail, threshold)

    def of_window(self, start: int, tail: float, threshold: float) -> Difference:
        """Of one window."""
        both = [side.of_window(self.column, self.measure, start) for side in (self.current, self.candidate)]
        return self._difference(both[0], both[1], frozenset((start,)), tail, threshold)

    def _difference(
        self, before: Value | None, after: Value | None, starts: frozenset[int], tail: float, threshold: float
    ) -> Difference:
        sides = tuple(None if v is None else v.value for v in (before, after))
        n = (before.n if before is not None else 0, after.n if after is not None else 0)
        bare = Difference(self.measure, self.column, sides[0], sides[1], n=n)
        if before is None or after is None or before.value is None or after.value is None:
            which = "current" if before is None or before.value is None else "candidate"
            why = f"The {which} version has no number of {self.measure} in these windows: too few rows have a label."
            return replace(bare, reason=why)
        value, least, most = _worse(MEASURES[self.measure].better, before, after)
        known = replace(bare, value=value, least=least, most=most)
        if self.statistic is None:
            return replace(known, reason=f"There are no intervals of {self.measure} yet, so it decides nothing.")
        spread = self._spread(self.statistic, starts)
        if spread.error != spread.error:
            days = f"{spread.units} day{'' if spread.units == 1 else 's'}"
            why = (
                f"Both versions have rows with a label on {days}, and how far one differs from another takes "
                f"{LEAST_UNITS} to know."
            )
            return replace(known, units=spread.units, by="units", reason=why)
        one, nothing, unknown = np.array([value]), np.zeros(1), np.full(1, math.nan)
        judged = Judged(one, one, nothing, nothing, nothing, nothing, unknown, unknown)
        found = of_windows(self.statistic, [spread], judged)
        low, high = (float(end[0]) for end in found.ends(tail))
        return replace(
            known,
            # Where the grid only bounds the value, the interval holds around every value it can be.
            lower=low - (value - least),
            upper=high + (most - value),
            p_value=float(found.tails(threshold + (value - least))[0]),
            units=spread.units,
            by=METHODS[spread.method],
        )

    def _spread(self, statistic: Statistic, starts: frozenset[int]) -> Spread:
        if self.current.unit is None:
            assert statistic.own is not None
            if not statistic.own.whole:
                return self._of_rows(statistic.own, starts)
            tables = [self._by_rows(statistic.own, side, starts, at) for at, side in enumerate(self._sides)]
            rows = int(min(table.counts.sum() for table in tables))
            # The rows of one version are not those of the other, so they are drawn apart.
            again = (tables[0].again(statistic, BASELINE_UNITS), tables[1].again(statistic, CURRENT_UNITS))
            return _spread_of(statistic, tables[0], tables[1], again)._replace(units=rows, method=BY_ROWS)
        days = sorted(day for day, window in self._common.items() if window in starts)
        if len(days) < LEAST_UNITS:
            return UNKNOWN._replace(units=len(days))
        assert statistic.own is not None
        whole = statistic.own.whole
        tables = [Draws(np.stack([own[day] for day in days]), whole) for own in self._by_day]
        # One stream for both: the same days are drawn.
        again = (tables[0].again(statistic, CURRENT_UNITS), tables[1].again(statistic, CURRENT_UNITS))
        return _spread_of(statistic, tables[0], tables[1], again)

    @property
    def _sides(self) -> tuple[Side, Side]:
        return self.current, self.candidate

    @cached_property
    def _common(self) -> dict[int, int]:
        """Start of a unit in which both versions have a row with a label -> the window it begins in."""
        both = self._by_day[0].keys() & self._by_day[1].keys()
        return {day: self.current.window_of(day) for day in both}

    @cached_property
    def _by_day(self) -> tuple[dict[int, Floats], dict[int, Floats]]:
        assert self.statistic is not None
        return _by_unit(self.current, self.statistic), _by_unit(self.candidate, self.statistic)

    def _by_rows(self, own: OwnTables, side: Side, starts: frozenset[int], stream: int) -> Draws:
        counts = own.tables(side.counted, "window", "fine")
        assert counts is not None  # or the measure would have no number
        return Draws(split(counts[[side.places[start] for start in sorted(starts)]].sum(axis=0), stream))

    def _of_rows(self, own: OwnTables, starts: frozenset[int]) -> Spread:
        """Of sums that are no counts, and so cannot be dealt out: by the formula for independent rows."""
        variance, rows = 0.0, []
        for side in self._sides:
            whole = starts == side.starts
            at = 0 if whole else side.places[next(iter(starts))]
            part = side.whole if whole else side.counted
            variance += float(own.variances(part, "window", "fine", np.array([at], dtype=np.int64))[0])
            rows.append(int(part.group_rows["window"][at]))
        return Spread(variance**0.5, 0.0, math.inf, math.nan, min(rows), BY_ROWS)


def _worse(better: str | None, before: Value, after: Value) -> tuple[float, float, float]:
    """How much worse, with what it can be at least and at most."""
    sides = [_ends(v) for v in (before, after)]
    (was, was_low, was_high), (now, now_low, now_high) = sides
    if better == "higher":
        return was - now, was_low - now_high, was_high - now_low
    return now - was, now_low - was_high, now_high - was_low


def _ends(value: Value) -> tuple[float, float, float]:
    assert value.value is not None
    low = value.value if value.lower is None else value.lower
    return value.value, low, value.value if value.upper is None else value.upper


def _spread_of(statistic: Statistic, current: Draws, candidate: Draws, again: tuple[Floats, Floats]) -> Spread:
    """As ``intervals.spread_of`` has it of two samples, of pairs: variance times u / (u - 1), Student's t with u - 1
    degrees of freedom (Kunsch 1989, blocks that do not overlap)."""
    units = min(len(current), len(candidate))
    drawn = statistic.between(*again)
    was = float(statistic.drawn(current.total, candidate.total)[0])
    growth = units / (units - 1)
    error = float(np.nanstd(drawn, ddof=1)) * growth**0.5
    noise = 0.0 if statistic.linear else max(0.0, float(np.nanmean(drawn) - was) * growth)
    if not statistic.linear:
        error = MAXIMUM_WIDER * math.hypot(error, noise)
    return Spread(error, noise, units - 1.0, math.nan, units, BY_UNITS)


def _by_unit(side: Side, statistic: Statistic) -> dict[int, Floats]:
    """Start of a unit -> (cells,) rows counted apart for each label, of the units of the windows compared in which any
    row has one."""
    assert statistic.own is not None
    assert side.unit is not None
    part = side.counted
    counts = statistic.own.tables(part, "block", "coarse") if "block" in part.groups else None
    found: dict[int, Floats] = {}
    if counts is None:
        return found
    for (second, *_), own in zip(part.groups["block"], counts, strict=True):
        begin = int(second)
        if begin in (WHOLE, UNTIMED) or side.window_of(begin) not in side.starts or not own.any():
            continue
        start = side.unit.start_of(begin, side.zone)
        found[start] = found[start] + own if start in found else own
    return found
