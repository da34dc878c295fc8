"""Measures as functions of two tables of counts, one pair a replicate: what is resampled for an interval.

A table has a row for every unit and a column for every cell; a statistic takes (replicates, cells) sums of whole rows
of both sides' tables and returns (replicates,) numbers. Everything that is a function of counts can be added here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from modelwatch_gpu.checks.units import all_rows, default_bins, missing_rows, nan_rows, unseen_rows, values_upto
from modelwatch_gpu.measures import bins
from modelwatch_gpu.measures.value import Bools, Floats, Ints
from modelwatch_gpu.profile.columns import Column
from modelwatch_gpu.profile.parts import Part

#: Where D is near 1 its variance under independent rows is near 0; no ratio is formed with less than this share of it.
_LEAST_KS: Final = 0.02
#: A standard deviation of 0 is this small a share of the baseline's: a report holds no infinity.
SMALLEST_RATIO: Final = 1e-9


class OwnTables(Protocol):
    """Numbers of every group of a set that add up over groups, and what independent rows do to a measure of them.
    ``whole``: whether they are whole numbers, whose sums are exact."""

    @property
    def whole(self) -> bool:
        """See above."""
        ...

    def tables(self, part: Part, name: str, grid: str) -> Floats | None:
        """(groups, numbers) of a set and its grid; None where nothing was counted."""
        ...

    def variances(self, part: Part, name: str, grid: str, groups: Ints) -> Floats:
        """(groups asked for,) variance of the measure of each under independent rows; NaN where it is not known."""
        ...


def _itself(sums: Floats) -> Floats:
    return sums


@dataclass(frozen=True)
class Statistic:
    """``table``: a column, (units, slots) counts, and (slots,) which of these any unit of any side uses -> the (units,
    cells) that are summed. ``side``: what is made of (replicates, cells) sums of one side before both meet, maybe in
    their place; ``of``: of the baseline's and the window's the (replicates,) numbers, maybe in place of the window's.

    ``root``: whether the spread is taken of the number's square root, whose variance hardly depends on its size where
    it is a divergence. ``squared``: whether the measure is the square of that root, or the root itself. ``linear``:
    whether it is as likely to be too large as too small, so that noise adds nothing on average. ``own``: where the
    numbers to be summed are not the column's cells, what they are. ``row_variance``: (groups,) measures on that scale
    -> the variance that independent rows of either side add, times their number; None where that depends on more than
    the measure. ``low``, ``high``: the range of the measure. ``cumulative``: whether cells count all rows up to them.
    ``growth``: whether it is a growth, whose spread is taken of ln(1 + growth), for that does not depend on its size.
    ``logarithm``: whether it is a ratio, whose spread is taken of its logarithm. ``folded``: whether it is judged by
    its size, in whichever direction it went.
    """

    table: Callable[[Column, Floats, Bools], Floats]
    of: Callable[[Floats, Floats], Floats]
    side: Callable[[Floats], Floats] = _itself
    root: bool = False
    squared: bool = False
    linear: bool = False
    own: OwnTables | None = None
    row_variance: Callable[[Floats], Floats] | None = None
    low: float = 0.0
    high: float = np.inf
    cumulative: bool = False
    growth: bool = False
    logarithm: bool = False
    folded: bool = False

    def rows(self, total: Floats) -> float:
        """Rows in the (1, cells) total of a table."""
        if not total.size:
            return 0.0
        return float(total[0, -1] if self.cumulative else total.sum())

    def drawn(self, baseline: Floats, current: Floats) -> Floats:
        """(replicates,) numbers on the scale of the interval, of (replicates, cells) sums of both sides, which stay as
        they are."""
        return self.between(self.side(np.array(baseline)), self.side(np.array(current)))

    @property
    def frugal(self) -> bool:
        """Whether it works in place, so that many replicates at once take little memory."""
        return self.of is _ks

    def between(self, baseline: Floats, current: Floats) -> Floats:
        """The same of what ``side`` made of them."""
        found = self.of(baseline, current)
        return np.sqrt(np.maximum(0.0, found)) if self.root else found

    def scaled(self, measure: Floats) -> Floats:
        """A measure on the scale of its interval."""
        if self.growth:
            return np.log1p(measure)
        if self.logarithm:
            return np.log(np.maximum(measure, 1.0))
        return np.sqrt(np.maximum(0.0, measure)) if self.squared else measure

    def unscaled(self, number: Floats) -> Floats:
        """And back, inside the measure's range."""
        if self.growth:
            return np.expm1(number)
        if self.logarithm:
            return np.exp(np.maximum(number, 0.0))
        return np.clip(np.maximum(0.0, number) ** 2 if self.squared else number, self.low, self.high)


def shares_upto(counts: Floats) -> Floats:
    """(replicates, cells) distribution functions, in the place of counts up to each cell; a replicate without rows is
    empty everywhere."""
    if counts.shape[1]:
        counts /= np.maximum(counts[:, -1:], 1.0)
    return counts


def _ks(baseline: Floats, current: Floats) -> Floats:
    if not baseline.shape[1]:
        return np.zeros(len(baseline))
    apart = np.subtract(baseline, current, out=current)
    found: Floats = np.maximum(apart.max(axis=1), -apart.min(axis=1))
    return found


def _shares(counts: Floats) -> Floats:
    """(replicates, cells) shares, NaN of a replicate without rows."""
    with np.errstate(invalid="ignore"):
        counts /= counts.sum(axis=1, keepdims=True)
    return counts


def _over_bins(measure: Callable[[bins.Shares], Floats]) -> Callable[[Floats, Floats], Floats]:
    def of(baseline: Floats, current: Floats) -> Floats:
        if len(current) == 1:
            used = (baseline != 0)[0] | (current != 0)[0]
            baseline, current = baseline[:, used], current[:, used]
        found = measure(bins.Shares(baseline, current))
        return np.where(np.isnan(found), 0.0, found)

    return of


def share(_: Floats, current: Floats) -> Floats:
    """(replicates,) share of the first of (replicates, 2) numbers in the second."""
    found: Floats = current[:, 0] / np.maximum(current[:, 1], 1.0)
    return found


def _association(baseline: Floats, current: Floats) -> Floats:
    """(replicates,) squares of Cramer's V of 2 x cells tables: chi-square over all rows."""
    n, m = baseline.sum(axis=1, keepdims=True), current.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = (baseline * m - current * n) ** 2 / (baseline + current)
        found = np.where(baseline + current > 0, each, 0.0).sum(axis=1) / (n * m * (n + m))[:, 0]
    return np.where(np.isnan(found), 0.0, found)


def _rows_a_unit(baseline: Floats, current: Floats) -> Floats:
    """(replicates,) logarithms of what the rows of a unit were multiplied by, of (replicates, 2) rows and units."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log(current[:, 0] / current[:, 1]) - np.log(baseline[:, 0] / baseline[:, 1])
    return found


def _missing_change(baseline: Floats, current: Floats) -> Floats:
    return share(baseline, current) - share(current, baseline)


def auc_drop(baseline: Floats, current: Floats) -> Floats:
    """(replicates,) area under the ROC curve of the baseline less that of the window, of (replicates, 2 K) counts over
    K cells of a score in increasing order: first of negatives, then of positives. Rows of one cell count as ties."""
    return auc(baseline) - auc(current)


def auc(counts: Floats) -> Floats:
    """Mann and Whitney's U over the pairs; 1/2 where there are none."""
    cells = counts.shape[1] // 2
    negatives, positives = counts[:, :cells], counts[:, cells:]
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = negatives.sum(axis=1) * positives.sum(axis=1)
    found: Floats = np.where(pairs > 0, (positives * below).sum(axis=1) / np.maximum(pairs, 1.0), 0.5)
    return found


def drop(baseline: Floats, current: Floats) -> Floats:
    """(replicates,) how much smaller a number became."""
    return baseline - current


def rise(baseline: Floats, current: Floats) -> Floats:
    """(replicates,) how much larger a number became."""
    return current - baseline


def growth(baseline: Floats, current: Floats) -> Floats:
    """(replicates,) logarithms of what a number was multiplied by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log(current / baseline)
    return found


def _constant(variance: float) -> Callable[[Floats], Floats]:
    return lambda value: np.full(np.shape(value), variance)


def _ks_variance(value: Floats) -> Floats:
    """F(1 - F) and G(1 - G) with F - G = D are largest where F and G lie evenly around 1/2: (1 - D^2) / 4."""
    found: Floats = np.maximum(1 - value * value, _LEAST_KS) / 4
    return found


#: JS in bits, psi and squared Hellinger distance are chi-square over 8 ln 2, 1 and 8 times the rows where distributions
#: are near: their square roots then have at most these variances, whatever their size (a chi has variance below 1).
_JS, _PSI, _HELLINGER = _constant(1 / (8 * float(np.log(2)))), _constant(1.0), _constant(1 / 8)
#: The divergence of Kullback and Leibler is half of psi there.
_KL: Final = _constant(1 / 2)
#: A difference of one share each, of a set of values that is chosen where it is largest: p(1 - p) is at most 1/4.
_SHARE: Final = _constant(1 / 4)

_js = _over_bins(bins.js_divergence_of)

#: What can be resampled, by measure.
STATISTICS: Final[dict[str, Statistic]] = {
    "ks": Statistic(values_upto, _ks, shares_upto, row_variance=_ks_variance, high=1.0, cumulative=True),
    "psi": Statistic(default_bins, _over_bins(bins.psi_of), _shares, root=True, squared=True, row_variance=_PSI),
    "js_divergence": Statistic(default_bins, _js, _shares, root=True, squared=True, row_variance=_JS, high=1.0),
    "js_distance": Statistic(default_bins, _js, _shares, root=True, row_variance=_JS, high=1.0),
    "kl": Statistic(
        default_bins, _over_bins(bins.kl_of), _shares, root=True, squared=True, row_variance=_KL, low=-np.inf
    ),
    "hellinger": Statistic(default_bins, _over_bins(bins.hellinger_of), _shares, row_variance=_HELLINGER, high=1.0),
    "tv": Statistic(default_bins, _over_bins(bins.tv_of), _shares, row_variance=_SHARE, high=1.0),
    "l_infinity": Statistic(default_bins, _over_bins(bins.l_infinity_of), _shares, row_variance=_SHARE, high=1.0),
    "nan": Statistic(nan_rows, share, linear=True, high=1.0),
    "missing": Statistic(missing_rows, share, linear=True, high=1.0),
    "missing_change": Statistic(missing_rows, _missing_change, linear=True, low=-1.0, high=1.0),
    "unseen": Statistic(unseen_rows, share, linear=True, high=1.0),
    "chi_square": Statistic(default_bins, _association, root=True, high=1.0),
}
#: Growth of the rows of a unit over the baseline's.
ROWS_GROWTH: Final = Statistic(all_rows, _rows_a_unit, linear=True, low=-1.0, growth=True)

#: Measures that are shares of rows: their variance under independent rows follows from the shares.
SHARES: Final = ("nan", "missing", "missing_change", "unseen", "out_of_range")
