"""Intervals of effects: how sure a verdict can be, from the units of both sides (DESIGN 3.9)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.resampling import (
    BASELINE_UNITS,
    CURRENT_UNITS,
    NULL_BASELINE,
    NULL_CURRENT,
    RELABELLINGS,
    Draws,
    draws,
    labels,
    summed,
)
from modelwatch_gpu.checks.statistics import Statistic
from modelwatch_gpu.measures.pvalues import student_t_quantile, student_t_tails
from modelwatch_gpu.measures.value import Bools, Floats, Ints

#: How much wider intervals of roots and of maxima over cells are made: by that much their tails are longer than
#: Student's, because the noise taken off is an estimate too (docs/calibration.md).
ROOT_WIDER: Final = 1.04
MAXIMUM_WIDER: Final = 1.06
#: The same of answers in windows of few units: a standard error from 256 replicates is itself good to 4.4%.
ANSWERS_WIDER: Final = 1.05
#: What D shows between samples of one distribution, in standard errors of a D: 0.8687 over 1/2 (``rank.ks_noise``).
KS_NOISE: Final = 1.7374623
#: Numbers that are worked on at once: memory this small is at hand, larger pieces are asked of the system each time.
_NEAR_NUMBERS: Final = (1 << 14) - 64
#: The same of a statistic that needs hardly any memory of its own.
_FRUGAL_NUMBERS: Final = 1 << 17
#: With fewer units on a side there is no interval from them.
LEAST_UNITS: Final = 8
#: Two-sided level of intervals; a verdict rests on the lower end.
CONFIDENCE: Final = 0.95
#: Where an interval comes from: nowhere; units of both sides; units of the baseline, where the window has too few of
#: its own; rows taken as independent.
NOT_KNOWN, BY_UNITS, BY_BASELINE_UNITS, BY_ROWS = range(4)
METHODS: Final = (None, "units", "baseline_units", "rows")


class Spread(NamedTuple):
    """How a measure of one pair of samples varies when units are drawn again.

    ``error``: standard error on the statistic's scale, NaN where there is none. ``noise``: what drawing units adds on
    average, to the number itself where its root is judged. ``freedom``: of Student's t. ``change``: p-value of no
    change at all, NaN where units are too few. ``method``: where all this comes from.
    """

    error: float
    noise: float
    freedom: float
    change: float
    units: int
    method: int


#: Of what is so far below every threshold that nobody asks how sure it is.
UNKNOWN: Final = Spread(np.nan, np.nan, np.nan, np.nan, 0, NOT_KNOWN)


@dataclass(frozen=True, eq=False)
class Table:
    """``counts``: (units, cells) of one side, ``whole`` numbers or others. What was made of them is kept: it is asked
    for again."""

    counts: Floats
    whole: bool = True
    _made: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def total(self) -> Floats:
        """(1, cells) of all units."""
        found: Floats = self.counts.sum(axis=0)[None]
        return found

    def again(self, statistic: Statistic, stream: int, taken: int | None = None) -> Floats:
        """What a statistic makes of units drawn with replacement, one side of it."""
        found: Floats = self.kept(
            (statistic.side, stream, taken),
            lambda: statistic.side(summed(draws(len(self), stream, taken), self.counts, whole=self.whole)),
        )
        return found

    def kept(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What was made under this name, or is now."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @cached_property
    def alike(self) -> float:
        """How much alike rows of one unit are, see ``likeness``."""
        return likeness(self.counts)


def _in_pieces(statistic: Statistic, drawn: Draws, table: Table, make: Callable[[Floats, slice], Floats]) -> Floats:
    """What is made of the sums of drawn units, so many replicates at a time as memory is at hand for.

    ``make``: (replicates, cells) sums, which may be overwritten, and which replicates these are -> a number of each.
    """
    step = max(1, (_FRUGAL_NUMBERS if statistic.frugal else _NEAR_NUMBERS) // max(1, table.counts.shape[1]))
    pieces = [slice(begin, begin + step) for begin in range(0, len(drawn), step)]
    found = [make(summed(drawn[piece], table.counts, whole=table.whole, lasting=False), piece) for piece in pieces]
    return found[0] if len(found) == 1 else np.concatenate(found)


def spread_of(
    statistic: Statistic, baseline: Table, current: Table, pool: Table, cells: Table, *, relabel: bool = True
) -> Spread:
    """The spread of a statistic of two tables of units.

    Args:
        statistic: What is drawn again.
        baseline, current: Both sides.
        pool: The baseline of the run: windows of few units are thought to vary like it.
        cells: The same units of the baseline by values of the column: how alike its rows of one day are.
        relabel: Whether to ask for the p-value of no change too.

    With at least ``LEAST_UNITS`` units on both sides: the block bootstrap (Kunsch 1989, with whole days as blocks that
    do not overlap), its variance scaled by u / (u - 1) for the smaller number of units u, and Student's t with u - 1
    degrees of freedom. ``change``: (1 + k) / (1 + replicates) for k relabellings of the units of both sides that differ
    at least as much (Phipson and Smyth 2010). With fewer units in the window, and enough in ``pool``: how far samples
    of so many units from the baseline lie from it. For a distance that is what chance can add, by the triangle
    inequality. A share of rows varies with its size, so there the rows of one unit are taken to be as much alike as
    those of the baseline's units.
    """
    units = min(len(baseline), len(current))
    if units >= LEAST_UNITS:
        return _by_units(statistic, baseline, current, units, relabel)
    if units and len(pool) >= LEAST_UNITS and statistic.linear and statistic.own is None and not statistic.growth:
        return _by_likeness(baseline, current, pool, cells, units)
    if units and len(pool) >= LEAST_UNITS:
        return _by_baseline(statistic, baseline, current, pool, units)
    return UNKNOWN._replace(units=units)


def _by_units(statistic: Statistic, baseline: Table, current: Table, units: int, relabel: bool) -> Spread:
    before = baseline.again(statistic, BASELINE_UNITS)
    again = _in_pieces(
        statistic,
        draws(len(current), CURRENT_UNITS),
        current,
        lambda sums, piece: statistic.between(before[piece], statistic.side(sums)),
    )
    was = float(statistic.drawn(baseline.total, current.total)[0])
    if np.isnan(again).all():  # there is no such number
        return UNKNOWN._replace(units=units)
    growth = units / (units - 1)
    deviation = np.nanstd if np.isnan(again).any() else np.std
    error = float(deviation(again, ddof=1)) * growth**0.5
    noise = float(np.mean(again**2) - was**2 if statistic.root else np.mean(again) - was) * growth
    noise = 0.0 if statistic.linear else max(0.0, noise)
    if statistic.root:
        error *= ROOT_WIDER
    elif not statistic.linear:
        # What a maximum gains by noise is as uncertain as it is large.
        error = MAXIMUM_WIDER * math.hypot(error, noise)
    change = _change(statistic, baseline, current, was) if relabel else np.nan
    return Spread(error, noise, units - 1.0, change, units, BY_UNITS)


def _change(statistic: Statistic, baseline: Table, current: Table, was: float) -> float:
    """The p-value of no change, by relabelling units."""
    both = Table(np.concatenate([current.counts, baseline.counts]), current.whole)
    total = baseline.total + current.total
    apart = _in_pieces(
        statistic,
        labels(len(both), len(current)),
        both,
        lambda sums, _: statistic.between(statistic.side(total - sums), statistic.side(sums)),
    )
    # A relabelling that gives the very same tables must count as equal, whatever the sums round to.
    as_far = int(np.count_nonzero(np.abs(apart) >= abs(was) - 1e-12))
    return (1 + as_far) / (1 + RELABELLINGS)


def _by_baseline(statistic: Statistic, baseline: Table, current: Table, pool: Table, units: int) -> Spread:
    freedom = len(pool) - 1.0
    most = pool.kept(
        (statistic, len(baseline), len(current)), lambda: _far_by_chance(statistic, baseline, current, pool)
    )
    error = max(0.0, most) / _quantile((1 - CONFIDENCE) / 2, freedom)
    # Units with fewer rows than the baseline's are noisier, at most by as much as if rows were all that varies.
    usual = statistic.rows(pool.total) / len(pool) * len(current)
    fewer = usual / max(1.0, statistic.rows(current.total))
    return Spread(error * max(1.0, fewer) ** 0.5, 0.0, freedom, np.nan, units, BY_BASELINE_UNITS)


def _far_by_chance(statistic: Statistic, baseline: Table, current: Table, pool: Table) -> float:
    """What samples of so many units from ``pool`` on either side hardly ever exceed."""
    before = pool.again(statistic, NULL_BASELINE, len(baseline))
    apart = _in_pieces(
        statistic,
        draws(len(pool), NULL_CURRENT, len(current)),
        pool,
        lambda sums, piece: statistic.between(before[piece], statistic.side(sums)),
    )
    tail = (1 - CONFIDENCE) / 2
    if statistic.linear:
        # As likely to be too large as too small, so all replicates say how far, not only the furthest of them.
        reach = ANSWERS_WIDER * _quantile(tail, len(pool) - 1.0)
        return abs(float(np.nanmean(apart))) + reach * float(np.nanstd(apart))
    return float(np.nanquantile(apart, 1 - tail))


def _by_likeness(baseline: Table, current: Table, pool: Table, cells: Table, units: int) -> Spread:
    """Of a share: p(1 - p) (1 / rows + likeness / units) on either side."""
    alike = pool.kept(("alike", cells), lambda: _alike(pool, cells))
    variance = 0.0
    for side in (baseline, current):
        some, rows = side.total[0].tolist()
        each = float(share_variance(np.array([some / max(rows, 1.0)]), max(rows, 1.0))[0])
        variance += each * (1 + alike * rows / len(side))
    return Spread(variance**0.5, 0.0, len(pool) - 1.0, np.nan, units, BY_BASELINE_UNITS)


def _alike(pool: Table, cells: Table) -> float:
    shares = np.stack([pool.counts[:, 0], pool.counts[:, 1] - pool.counts[:, 0]], axis=1)
    return likeness(shares) if shares[:, 0].any() else cells.alike


def likeness(counts: Floats) -> float:
    """How much alike rows of one unit are: the intraclass correlation of (units, cells) counts, 0 to 1.

    Pearson's chi-square of the table over its degrees of freedom is 1 + (rows of a unit - 1) x correlation on average
    (Rao and Scott 1981); rows of a unit by the usual mean for units of different size, (N - SUM n^2 / N) / (units - 1).
    """
    rows = counts.sum(axis=1)
    counts, rows = counts[rows > 0], rows[rows > 0]
    share = counts.sum(axis=0) / max(counts.sum(), 1.0)
    counts, share = counts[:, share > 0], share[share > 0]
    if len(counts) < 2 or len(share) < 2:
        return 0.0
    expected = rows[:, None] * share
    freedom = (len(counts) - 1) * (len(share) - 1)
    times = float(((counts - expected) ** 2 / expected).sum()) / freedom
    size = float(rows.sum() - (rows**2).sum() / rows.sum()) / (len(counts) - 1)
    return min(1.0, max(0.0, (times - 1) / (size - 1))) if size > 1 else 0.0


@functools.lru_cache(maxsize=4096)
def _quantile(tail: float, freedom: float) -> float:
    return student_t_quantile(tail, freedom)


@dataclass(frozen=True, eq=False)
class Judged:
    """What is judged in many groups: (groups,) arrays.

    ``effect``, ``raw``: on the statistic's scale. ``floor``: what noise of independent rows adds to the number whose
    root is judged, 0 where there is no such correction; ``coarse_floor``: the same over the cells of the coarse grid.
    ``baseline_rows``, ``rows``: independent rows of either side. ``baseline_variance``, ``current_variance``: what they
    add to the variance, NaN where that is not known.
    """

    effect: Floats
    raw: Floats
    floor: Floats
    coarse_floor: Floats
    baseline_rows: Floats
    rows: Floats
    baseline_variance: Floats
    current_variance: Floats

    @property
    def variance(self) -> Floats:
        """(groups,) under independent rows."""
        return self.baseline_variance + self.current_variance


@dataclass(frozen=True, eq=False)
class Intervals:
    """The interval of one measure in many groups: (groups,) arrays.

    ``effect``: on the statistic's scale; ``centre``: the same freed of what drawing units adds; ``error``: its standard
    error, NaN where nothing is known; ``freedom``, ``change``, ``units``, ``method``: as in ``Spread``.
    """

    statistic: Statistic
    effect: Floats
    centre: Floats
    error: Floats
    freedom: Floats
    change: Floats
    units: Ints
    method: npt.NDArray[np.uint8]

    @cached_property
    def by_units(self) -> bool:
        """Whether these are of units of time, not of rows."""
        return not bool((self.method == BY_ROWS).any())

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """(groups,) whether there is an interval."""
        found: Bools = ~np.isnan(self.error) & ~np.isnan(self.centre)
        return found

    def ends(self, tail: float = (1 - CONFIDENCE) / 2) -> tuple[Floats, Floats]:
        """(groups,) both ends of the interval that leaves ``tail`` out on either side; NaN where there is none.

        The upper end is taken from the effect as it is: what is taken off for noise is itself an estimate.
        """
        reach = self.error * self._quantiles(tail)
        low, high = self.centre - reach, self.effect + reach
        return self.statistic.unscaled(low), self.statistic.unscaled(high)

    def tails(self, threshold: float) -> Floats:
        """(groups,) P(an effect this far above), were the true one just at a threshold; NaN where it is not known, 1
        where the effect is not above it at all: that takes no interval to say."""
        limit = self.statistic.scaled(np.array([threshold]))[0]
        beyond = self.centre - limit
        out = np.where(self.known | (self.effect <= limit), 1.0, np.nan)
        some = np.flatnonzero(self.known & (beyond > 0))
        if not len(some):
            return out
        with np.errstate(divide="ignore"):
            t = beyond[some] / self.error[some]
        out[some] = student_t_tails(t, self.freedom[some])
        return out

    def _quantiles(self, tail: float) -> Floats:
        found = {f: _quantile(tail, f) if f == f else np.nan for f in set(self.freedom.tolist())}
        return np.array([found.get(f, np.nan) for f in self.freedom.tolist()], dtype=np.float64)


def made_certain(own: Intervals, where: Bools) -> Intervals:
    """With intervals of no width in some groups: a standard deviation of 0 is no estimate of a larger one."""
    if not where.any():
        return own
    by = BY_UNITS if own.by_units else BY_ROWS
    return replace(
        own,
        centre=np.where(where, own.effect, own.centre),
        error=np.where(where, 0.0, own.error),
        freedom=np.where(where & np.isnan(own.freedom), np.inf, own.freedom),
        method=np.where(where, by, own.method).astype(np.uint8),
    )


def of_windows(statistic: Statistic, spreads: Sequence[Spread], judged: Judged) -> Intervals:
    """The intervals of groups that have a spread each, counted on the coarse grid."""
    error, noise, freedom, change = (
        np.array([getattr(s, name) for s in spreads], dtype=np.float64)
        for name in ("error", "noise", "freedom", "change")
    )
    method = np.array([s.method for s in spreads], dtype=np.uint8)
    units = np.array([s.units for s in spreads], dtype=np.int64)
    borrowed = method == BY_BASELINE_UNITS
    if statistic.own is not None:
        error = np.where(borrowed, error * _livelier(judged), error)
    if not statistic.root:
        return Intervals(statistic, judged.effect, judged.effect - noise, error, freedom, change, units, method)
    # On the grid that was judged noise adds as many times that of independent rows as on the coarse one.
    with np.errstate(divide="ignore", invalid="ignore"):
        finer = np.where(judged.coarse_floor > 0, judged.floor / judged.coarse_floor, 1.0)
    added = np.where(borrowed, 0.0, np.maximum(judged.floor, noise * finer))
    error = np.where(borrowed, error * np.sqrt(finer), error)
    centre = np.minimum(judged.effect, np.sqrt(np.maximum(0.0, judged.raw**2 - added)))
    centre = np.where(borrowed, judged.raw, centre)
    return Intervals(statistic, np.maximum(judged.effect, centre), centre, error, freedom, change, units, method)


def _livelier(judged: Judged) -> Floats:
    """(groups,) how much more a measure of answers varies at what it is now than at what it was, for as many rows: a
    share of 80% more than one of 85%. 1 where it varies less, or where that is not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        now, before = judged.current_variance * judged.rows, judged.baseline_variance * judged.baseline_rows
        found: Floats = np.sqrt(now / before)
    return np.where(found > 1, found, 1.0)


def of_segments(statistic: Statistic, window: Intervals, at: Ints, whole: Judged, judged: Judged) -> Intervals:
    """The intervals of segments, which keep no units of their own: as many times wider than independent rows make them
    as those of their window, less what fewer rows a unit leave of it (Kish 1965: 1 + (rows - 1) x correlation).

    ``at``: (groups,) the window of each segment. ``whole``: of the windows.
    """
    base = np.sqrt(whole.variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        wider = np.maximum(1.0, (window.error / base) ** 2)[at]
        share = np.minimum(1.0, judged.rows / whole.rows[at])
        own = 1 + (wider - 1) * share
        error = np.sqrt(wider * judged.baseline_variance + own * judged.current_variance)
        centre = _freed_maximum(statistic, judged.effect, error)
        if statistic.root:
            sides = 1 / judged.baseline_rows, 1 / judged.rows
            times = (wider * sides[0] + own * sides[1]) / (sides[0] + sides[1])
            centre = np.sqrt(np.maximum(0.0, judged.raw**2 - judged.floor * times))
    nothing = np.full(len(at), np.nan)
    return Intervals(
        statistic, judged.effect, centre, error, window.freedom[at], nothing, window.units[at], window.method[at]
    )


def _freed_maximum(statistic: Statistic, effect: Floats, error: Floats) -> Floats:
    """A maximum over cells without what it gains by noise: standard errors by the root of noise over effect.

    Around a smooth peak the cells that compete are the more, the larger the noise is beside the peak; the factor is
    what the calibration shows (docs/calibration.md). Measures that are no maximum stay as they are.
    """
    if statistic.root or statistic.linear:
        return effect
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = np.minimum(1.0, KS_NOISE * error / effect)
    found: Floats = effect - error * np.sqrt(np.where(np.isnan(noise), 0.0, noise))
    return found


def of_rows(statistic: Statistic, judged: Judged) -> Intervals:
    """The intervals of rows that are taken as independent."""
    groups, error = len(judged.effect), np.sqrt(judged.variance)
    if statistic.root:
        centre = np.sqrt(np.maximum(0.0, judged.raw**2 - judged.floor))
    else:
        centre = _freed_maximum(statistic, judged.effect, error)
    known = ~np.isnan(judged.variance)
    return Intervals(
        statistic,
        judged.effect,
        centre,
        error,
        np.full(groups, np.inf),
        np.full(groups, np.nan),
        np.where(known, judged.rows, 0).astype(np.int64),
        np.where(known, BY_ROWS, NOT_KNOWN).astype(np.uint8),
    )


def share_variance(share: Floats, rows: Floats | float) -> Floats:
    """Of a share of independent rows, two more of either outcome: a share of 0 is not certain either (Agresti and Coull
    1998)."""
    moved = np.clip((share * rows + 2) / (rows + 4), 0.0, 1.0)
    found: Floats = moved * (1 - moved) / rows
    return found
