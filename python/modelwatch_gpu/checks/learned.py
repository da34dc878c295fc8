"""Thresholds that a baseline sets itself: relative to a measure in it, or learned from its own windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from modelwatch_gpu.checks.answered import NOT_DRAWN
from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.finding import ALERT, CLEAR, NOT_ENOUGH_DATA, OK, WARNING, Verdicts, decide
from modelwatch_gpu.checks.intervals import LEAST_UNITS, Intervals
from modelwatch_gpu.checks.sampling import ColumnTables, Sampling
from modelwatch_gpu.checks.statistics import Statistic
from modelwatch_gpu.checks.units import DAY, Units, units_by_window
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import Window
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.results import Block
from modelwatch_gpu.measures.value import HAS_NUMBER, Floats, Ints, Values
from modelwatch_gpu.profile.embeddings import EmbeddingColumn

#: Measures that days do not tell.
NEVER_DRAWN: Final = ("cvm", "distinct", "row_count", *NOT_DRAWN)

#: A mean and a standard deviation are learned from so many windows, at least.
LEAST_WINDOWS: Final = LEAST_UNITS


def relative(check: Check, values: Values, intervals: Intervals | None, before: Floats) -> Verdicts:
    """Verdicts on how much a measure grew over ``before``, (groups,) what it is in the baseline, as a share of that."""
    size = np.where(before == 0, np.nan, np.abs(before))
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = Values.exact((values.value - before) / size, values.n)
    found = replace(grown, reason=np.where(values.reason == HAS_NUMBER, grown.reason, values.reason))
    found = found.replaced((values.reason == HAS_NUMBER) & ~(size > 0), "zero_baseline")
    own = None
    if intervals is not None and intervals.statistic.growth:
        own = intervals
    elif intervals is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            own = replace(
                intervals,
                statistic=replace(intervals.statistic, low=-np.inf, high=np.inf),
                effect=(intervals.effect - before) / size,
                centre=(intervals.centre - before) / size,
                error=intervals.error / size,
            )
    verdicts = decide(check, found, None, len(before), own)
    return replace(verdicts, reasons=found)


def learned(check: Check, block: Block, sampling: Sampling) -> Verdicts:
    """Verdicts by thresholds that the baseline's own windows set.

    Every window of the baseline, as long as those of the log, is held against the rest of it, on the coarse grid. By
    rank: the threshold is the smallest value that so few of them exceed that (1 + those beyond) / (1 + windows) is at
    most the share asked for (Vovk, Gammerman and Shafer 2005). By standard deviations: mean + k sd. Too few windows, or
    a measure that cannot be counted by days, is ``not_enough_data``. Opt-in.
    """
    if check.measure in NEVER_DRAWN:
        raise InputError(
            f"The check of {check.measure} learns its thresholds, but days that are counted do not say what it is in "
            f"windows of the baseline; {', '.join(NEVER_DRAWN)} have thresholds that are given."
        )
    change = MEASURES[check.measure].change
    if change is not None:
        raise InputError(
            f"The check of {check.measure} learns its thresholds; those of its change are learned: {change}."
        )
    groups = len(block)
    window = sampling.window
    if block.place.segments is not None or not sampling.by_units or window is None or not window.nests(DAY):
        return _open(check, block)
    if isinstance(block.column, EmbeddingColumn):  # whose days keep no sums
        return _open(check, block)
    statistic = sampling.statistic(block.column, check.measure)
    if statistic is None:  # nothing to hold against labels
        return _open(check, block)
    tables = sampling.tables(block.column)
    starts, units = _windows_of(sampling, window)
    whole = tables.of(sampling.pool, statistic).total
    history = np.array([_apart(statistic, whole - tables.of(u, statistic).total, tables, u) for u in units])
    now = np.array([_apart(statistic, whole, tables, u) for u in sampling.units_of(tuple(block.place.starts.tolist()))])
    limits = np.full((groups, 2), np.nan)
    for at, start in enumerate(block.place.starts.tolist()):
        own = history[_in_season(check.season, starts, int(start), sampling.zone)]
        limits[at] = [_limit(check, own, asked) for asked in (check.warn, check.alert)]
    return _judged(check, block, now, limits)


def _windows_of(sampling: Sampling, window: Window) -> tuple[Ints, list[Units]]:
    """Starts and units of the baseline's windows that have any rows."""
    pool = sampling.pool
    times = np.array([int(sampling.baseline.part.groups["block"][i][0]) for i in pool.block.tolist()], dtype=np.int64)
    if not len(times):
        return times, []
    edges = window.boundaries(int(times[0]), int(times[-1]), sampling.zone)[:-1]
    unit = sampling.unit or DAY
    found = list(units_by_window(sampling.baseline.part, edges, sampling.zone, unit))
    some = [i for i, units in enumerate(found) if len(units)]
    return edges[some], [found[i] for i in some]


def _apart(statistic: Statistic, others: Floats, tables: ColumnTables, units: Units) -> float:
    """The measure of a window against other rows, as it is judged; NaN where either side has none."""
    own = tables.of(units, statistic)
    if not len(own) or not own.counts.any() or not others.any():
        return float("nan")
    found = statistic.drawn(others, own.total)
    found = np.abs(found) if statistic.folded else found
    return float(statistic.unscaled(found)[0])


def _in_season(season: str | None, starts: Ints, start: int, zone: ZoneInfo) -> Sequence[bool]:
    """Which windows begin on the same day of the week, or in the same month, as one does."""
    if season is None:
        return [True] * len(starts)

    def part_of(second: int) -> int:
        local = datetime.fromtimestamp(second, zone)
        return local.weekday() if season == "weekday" else local.month

    wanted = part_of(start)
    return [part_of(s) == wanted for s in starts.tolist()]


def _limit(check: Check, history: Floats, asked: float | None) -> float:
    """The threshold that windows of the baseline set; NaN where there are too few of them."""
    known = np.sort(history[~np.isnan(history)])
    if asked is None:
        return float("nan")
    if check.learn == "sd":
        return float(known.mean() + asked * known.std(ddof=1)) if len(known) >= LEAST_WINDOWS else float("nan")
    beyond = int(np.floor(asked * (len(known) + 1))) - 1  # so many may reach the value itself
    return float(known[len(known) - 1 - beyond]) if 0 <= beyond < len(known) else float("nan")


def _open(check: Check, block: Block) -> Verdicts:
    """Nothing to learn from."""
    return _judged(check, block, np.full(len(block), np.nan), np.full((len(block), 2), np.nan))


def _judged(check: Check, block: Block, now: Floats, limits: Floats) -> Verdicts:
    groups = len(block)
    known = np.array([asked is not None for asked in (check.warn, check.alert)])
    enough = ~np.isnan(now) & ~np.isnan(limits[:, known]).any(axis=1)
    values = block.values.get(check.measure)
    if values is not None:
        enough &= values.n >= check.min_rows
    severity = np.where(enough, OK, NOT_ENOUGH_DATA).astype(np.uint8)
    threshold = limits[:, int(np.flatnonzero(known)[0])].copy()
    for level, column in ((WARNING, 0), (ALERT, 1)):
        if known[column]:
            beyond = enough & (now > limits[:, column])
            severity[beyond], threshold[beyond] = level, limits[beyond, column]
    n = np.zeros(groups, dtype=np.int64) if values is None else values.n
    reasons = Values.exact(np.where(enough, now, 0.0), n).replaced(~enough, "few_windows")
    return Verdicts(
        severity, np.where(enough, now, np.nan), threshold, np.full(groups, CLEAR, dtype=np.uint8), reasons=reasons
    )
