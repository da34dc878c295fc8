"""Divergences between two histograms with the same bins, one pair or many. All sums run over bins in order, in
float64.

``psi`` and the others compare one pair; ``bin_measures`` all pairs of a ``Histograms`` at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.cells import max_by_group, sum_by_group

Counts = npt.NDArray[np.uint64] | npt.NDArray[np.int64] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Shares below this are raised to it in psi and kl, and not renormalised (DESIGN 7).
SHARE_FLOOR: Final = 1e-4
#: Categories with fewer expected rows are pooled before an effect is judged (DESIGN 3.9).
EXPECTED_ROWS: Final = 5.0


#: Less than any share of rows over another.
_NO_SHARE: Final = 1e-300


@dataclass(frozen=True, eq=False)
class Extra:
    """Bins that only some pairs have, such as values the baseline lacks: (entries,) counts of both sides, those of pair
    g from ``begin[g]`` to ``begin[g + 1]``."""

    begin: Ints
    baseline: Ints
    current: Ints

    @cached_property
    def group(self) -> Ints:
        """(entries,) the pair of each entry."""
        return np.repeat(np.arange(len(self.begin) - 1), np.diff(self.begin))


@dataclass(frozen=True, eq=False)
class Histograms:
    """Pairs of histograms. ``baseline``: (1, bins), one for all, or (groups, bins). ``current``: (groups, bins).

    ``extra``: further bins, or None. Every histogram must have rows. ``per_count``: where counts are sums of weights,
    how many independent rows one unit is worth: of the baseline's side (1,) or (groups,), of the current one (groups,).
    """

    baseline: Counts
    current: Counts
    extra: Extra | None = None
    per_count: tuple[Floats, Floats] | None = None

    @cached_property
    def n(self) -> Ints:
        """(groups,) rows of the baseline's side."""
        rows: Ints = np.broadcast_to(_rows(self.baseline), len(self.current))
        return rows if self.extra is None else rows + sum_by_group(self.extra.baseline, self.extra.begin)

    @cached_property
    def m(self) -> Ints:
        """(groups,) rows of the current side."""
        rows: Ints = _rows(self.current)
        return rows if self.extra is None else rows + sum_by_group(self.extra.current, self.extra.begin)

    @cached_property
    def independent(self) -> tuple[Ints, Ints] | tuple[Floats, Floats]:
        """(groups,) as how many independent rows either side counts."""
        if self.per_count is None:
            return self.n, self.m
        return self.n * self.per_count[0], self.m * self.per_count[1]

    @cached_property
    def shares(self) -> tuple[Floats, Floats]:
        """Counts as shares of their totals, of the baseline with as few rows as it is kept with."""
        n = self.n[: len(self.baseline)] if self.extra is None else self.n
        return self.baseline / n[:, None].astype(np.float64), self.current / self.m[:, None].astype(np.float64)

    @cached_property
    def extra_shares(self) -> tuple[Floats, Floats] | None:
        """The same of the extra bins."""
        e = self.extra
        return None if e is None else (e.baseline / self.n[e.group], e.current / self.m[e.group])

    def summed(self, term: Callable[[Floats, Floats], Floats]) -> Floats:
        """(groups,) sums over bins of a function of both shares."""
        total: Floats = np.sum(term(*self.shares), axis=1)
        if self.extra is not None and self.extra_shares is not None:
            total = total + sum_by_group(term(*self.extra_shares), self.extra.begin)
        return total

    def largest(self, term: Callable[[Floats, Floats], Floats], *, without: Sequence[int] = ()) -> Floats:
        """(groups,) maxima over bins, some left out, of a function of both shares that is nowhere negative."""
        terms = term(*self.shares)
        terms[:, list(without)] = 0.0
        total: Floats = np.max(terms, axis=1, initial=0.0)
        if self.extra is not None and self.extra_shares is not None:
            total = np.maximum(total, max_by_group(term(*self.extra_shares), self.extra.begin))
        return total


class Shares(NamedTuple):
    """Pairs of shares, (groups, bins) each, without more bins: as ``Histograms`` sums them."""

    baseline: Floats
    current: Floats

    def summed(self, term: Callable[[Floats, Floats], Floats]) -> Floats:
        """(groups,) sums over bins."""
        found: Floats = np.sum(term(self.baseline, self.current), axis=1)
        return found

    def largest(self, term: Callable[[Floats, Floats], Floats]) -> Floats:
        """(groups,) maxima over bins."""
        found: Floats = np.max(term(self.baseline, self.current), axis=1, initial=0.0)
        return found


def _rows(counts: Counts) -> Any:
    total = counts.sum(axis=1)
    return total.astype(np.int64) if total.dtype.kind == "u" else total


def _floored(p: Floats, q: Floats) -> tuple[Floats, Floats, Floats]:
    """Both shares raised to the floor, and ln(q / p)."""
    low, high = np.maximum(p, SHARE_FLOOR), np.maximum(q, SHARE_FLOOR)
    return low, high, np.log(high / low)


def _psi_terms(p: Floats, q: Floats) -> Floats:
    low, high, log = _floored(p, q)
    return (high - low) * log


def _kl_terms(p: Floats, q: Floats) -> Floats:
    _, high, log = _floored(p, q)
    return high * log


def _js_terms(p: Floats, q: Floats) -> Floats:
    middle: Floats = p + q
    middle /= 2
    with np.errstate(divide="ignore", invalid="ignore"):
        total, terms = p / middle, np.divide(q, middle, out=middle)
    for ratio, share in ((total, p), (terms, q)):
        # Logarithms of 0 are slow, and what they are multiplied by is 0.
        np.fmax(ratio, _NO_SHARE, out=ratio)
        np.log2(ratio, out=ratio)
        ratio *= share
    total += terms
    return total


def _hellinger_terms(p: Floats, q: Floats) -> Floats:
    gap: Floats = np.sqrt(p) - np.sqrt(q)
    return gap * gap


def change(p: Floats, q: Floats) -> Floats:
    """How far a share moved."""
    moved: Floats = np.abs(p - q)
    return moved


def psi_of(h: Histograms | Shares) -> Floats:
    """(groups,) ``psi`` of every pair."""
    return h.summed(_psi_terms)


def _kl(h: Histograms) -> Floats:
    return h.summed(_kl_terms)


def js_divergence_of(h: Histograms | Shares) -> Floats:
    """(groups,) ``js_divergence`` of every pair."""
    return np.clip(h.summed(_js_terms) / 2, 0.0, 1.0)


def _js_distance(h: Histograms) -> Floats:
    return np.sqrt(js_divergence_of(h))


def hellinger_of(h: Histograms | Shares) -> Floats:
    return np.minimum(1.0, np.sqrt(h.summed(_hellinger_terms) / 2))


def tv_of(h: Histograms | Shares) -> Floats:
    return np.minimum(1.0, h.summed(change) / 2)


def l_infinity_of(h: Histograms | Shares) -> Floats:
    return h.largest(change)


def chi_square_of(h: Histograms) -> Floats:
    def term(b: Any, c: Any, n: Floats, m: Floats) -> Floats:
        both = b.astype(np.float64) + c
        left, right = n * both / (n + m), m * both / (n + m)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.where(both > 0, (b - left) ** 2 / left + (c - right) ** 2 / right, 0.0)
        return found

    n, m = h.n.astype(np.float64), h.m.astype(np.float64)
    total: Floats = np.sum(term(h.baseline, h.current, n[:, None], m[:, None]), axis=1)
    if h.extra is not None:
        e = h.extra
        total = total + sum_by_group(term(e.baseline, e.current, n[e.group], m[e.group]), e.begin)
    return total


def bin_measures(h: Histograms) -> dict[str, Floats]:
    """Every measure of two histograms by id: (groups,) each."""
    found = {name: measure(h) for name, measure in _GROUPED.items() if name != "js_distance"}
    found["js_distance"] = np.sqrt(found["js_divergence"])
    return {name: found[name] for name in _GROUPED}


#: Measures of two histograms, by id.
_GROUPED: Final[dict[str, Callable[[Histograms], Floats]]] = {
    "psi": psi_of,
    "js_distance": _js_distance,
    "js_divergence": js_divergence_of,
    "kl": _kl,
    "hellinger": hellinger_of,
    "tv": tv_of,
    "chi_square": chi_square_of,
    "l_infinity": l_infinity_of,
}


def _row(counts: Counts) -> npt.NDArray[Any]:
    row: npt.NDArray[Any] = np.asarray(counts)
    return row[None, :]


def _one(measure: Callable[[Histograms], Floats], baseline: Counts, current: Counts) -> float:
    pair = Histograms(_row(baseline), _row(current))
    if not pair.n[0] or not pair.m[0]:
        raise ZeroDivisionError("an empty histogram has no shares")
    return float(measure(pair)[0])


def psi(baseline: Counts, current: Counts) -> float:
    """Population stability index SUM (q - p) ln(q / p), shares floored at 1e-4; at least 0 (Siddiqi 2006).

    Like every measure here it takes two (bins,) histograms and raises ZeroDivisionError where one has no rows.
    """
    return _one(psi_of, baseline, current)


def kl(baseline: Counts, current: Counts) -> float:
    """Kullback-Leibler divergence of the current distribution from the baseline, SUM q ln(q / p) in nats.

    Shares are floored at 1e-4 like those of psi, so a new category gives a number; it can then fall below 0 a little.
    """
    return _one(_kl, baseline, current)


def js_divergence(baseline: Counts, current: Counts) -> float:
    """Jensen-Shannon divergence in bits, 0 to 1, with 0 log 0 = 0 (Lin 1991)."""
    return _one(js_divergence_of, baseline, current)


def js_distance(baseline: Counts, current: Counts) -> float:
    """Jensen-Shannon distance, the square root of the divergence: 0 to 1 (Endres and Schindelin 2003)."""
    return _one(_js_distance, baseline, current)


def hellinger(baseline: Counts, current: Counts) -> float:
    """Hellinger distance sqrt(SUM (sqrt p - sqrt q)^2 / 2), 0 to 1."""
    return _one(hellinger_of, baseline, current)


def tv(baseline: Counts, current: Counts) -> float:
    """Total variation distance SUM |p - q| / 2, 0 to 1."""
    return _one(tv_of, baseline, current)


def l_infinity(baseline: Counts, current: Counts) -> float:
    """Largest difference of a share, max |p - q|, 0 to 1."""
    return _one(l_infinity_of, baseline, current)


def chi_square(baseline: Counts, current: Counts) -> float:
    """Pearson's chi-square of the 2 x bins table, without continuity correction; bins empty on both sides left out."""
    return _one(chi_square_of, baseline, current)


def shares(counts: Counts) -> Floats:
    """Counts as shares of their total; raises ZeroDivisionError for an empty histogram."""
    total = float(counts.sum())
    if total == 0:
        raise ZeroDivisionError("an empty histogram has no shares")
    return counts.astype(np.float64) / total


def pooled(h: Histograms) -> Histograms:
    """All pairs with all bins of fewer than ``EXPECTED_ROWS`` expected rows (in the smaller sample) added up in one bin
    more; where there are fewer than two such bins, nothing is."""
    n, m = (side.astype(np.float64) for side in h.independent)
    scale = np.minimum(n, m) / (n + m)
    baseline = np.broadcast_to(h.baseline, h.current.shape)
    rows_b, rows_c = baseline.astype(np.float64), h.current.astype(np.float64)
    if h.per_count is not None:
        rows_b, rows_c = rows_b * h.per_count[0][:, None], rows_c * h.per_count[1][:, None]
    rare = (rows_b + rows_c) * scale[:, None] < EXPECTED_ROWS
    how_many = rare.sum(axis=1)
    extra = h.extra
    if extra is not None:
        both: Ints | Floats = extra.baseline + extra.current
        if h.per_count is not None:
            per = [np.broadcast_to(p, len(h.current))[extra.group] for p in h.per_count]
            both = extra.baseline * per[0] + extra.current * per[1]
        rare_extra = both * scale[extra.group] < EXPECTED_ROWS
        how_many = how_many + sum_by_group(rare_extra.astype(np.int64), extra.begin)
    rare &= (how_many >= 2)[:, None]
    sides = [np.where(rare, 0, side) for side in (baseline, h.current)]
    together = [np.where(rare, side, 0).sum(axis=1) for side in (baseline, h.current)]
    if extra is not None:
        rare_extra &= (how_many >= 2)[extra.group]
        for i, side in enumerate((extra.baseline, extra.current)):
            together[i] = together[i] + sum_by_group(np.where(rare_extra, side, 0), extra.begin)
        left = [np.where(rare_extra, 0, side) for side in (extra.baseline, extra.current)]
        extra = replace(extra, baseline=left[0], current=left[1])
    joined = [np.concatenate([side, pool[:, None]], axis=1) for side, pool in zip(sides, together, strict=True)]
    return Histograms(joined[0], joined[1], extra, h.per_count)


def pool_rare(baseline: Counts, current: Counts) -> tuple[Counts, Counts]:
    """``pooled`` for one pair: the bins that are left, and after them the pool where there is one."""
    both = pooled(Histograms(_row(baseline), _row(current)))
    p, q = both.baseline[0], both.current[0]
    left = (p > 0) | (q > 0)
    return (p[left], q[left]) if left[-1] else (baseline, current)


def used_bins(h: Histograms) -> Ints:
    """(groups,) bins that have rows on either side."""
    used: Ints = np.count_nonzero(h.baseline.astype(np.float64) + h.current, axis=1).astype(np.int64)
    if h.extra is not None:
        there = (h.extra.baseline > 0) | (h.extra.current > 0)
        used = used + sum_by_group(there.astype(np.int64), h.extra.begin)
    return used


def js_floor(bins: Any, n: Any, m: Any) -> Any:
    """What the divergence is on average between two samples of one distribution: (B-1)(1/n+1/m)/(8 ln 2) bits."""
    return psi_floor(bins, n, m) / (8 * float(np.log(2)))


def psi_floor(bins: Any, n: Any, m: Any) -> Any:
    """What psi is on average between two samples of one distribution: (B-1)(1/n+1/m)."""
    return (bins - 1) * (1 / n + 1 / m)


def chance_excess(bins: Any) -> Any:
    """How far chi-square with B-1 degrees of freedom lies above its mean at the 99% point, as a share of the mean.

    Wilson and Hilferty's approximation (1931): k (1 - 2/(9k) + 2.3263 sqrt(2/(9k)))^3.
    """
    k = np.maximum(1, np.asarray(bins, dtype=np.float64) - 1)
    found = (1 - 2 / (9 * k) + 2.3263478740408408 * np.sqrt(2 / (9 * k))) ** 3 - 1
    return found if found.ndim else float(found)


def cramers_v(chi_square: Any, bins: Any, rows: Any) -> Any:
    """Cramer's V of a 2 x bins table from its chi-square, less what chance adds (Bergsma 2013): 0 to 1.

    sqrt(max(0, chi2 / N - (B - 1) / (N - 1)) / min(B' - 1, r' - 1)) with B' = B - (B - 1)^2 / (N - 1) and r' = 2 -
    1 / (N - 1).
    """
    freedom = bins - 1
    beyond = np.maximum(0.0, chi_square / rows - freedom / (rows - 1))
    smaller = np.minimum(freedom - freedom * freedom / (rows - 1), 1 - 1 / (rows - 1))
    return np.where(smaller > 0, np.minimum(1.0, np.sqrt(beyond / np.where(smaller > 0, smaller, 1.0))), 0.0)


#: Measures of two histograms, by id.
BIN_MEASURES: Final[dict[str, Callable[[Counts, Counts], float]]] = {
    "psi": psi,
    "js_distance": js_distance,
    "js_divergence": js_divergence,
    "kl": kl,
    "hellinger": hellinger,
    "tv": tv,
    "chi_square": chi_square,
    "l_infinity": l_infinity,
}
