"""Which slices of a log changed more than the rest of it: a search over slices of one and two columns, from counts.

A slice is the rows with one value in each of one or two columns. Its change is held against the change of all other
rows (a difference of differences), so a shift that the whole log shares is no slice's. What is found is taken out of
every other slice before the next one is looked for: exactly where two slices share at most two columns, else as if
the third column did not depend on the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.pvalues import chi_square_pvalue

Floats = npt.NDArray[np.float64]
Values = tuple[str | None, ...]

#: Bins of a smaller share than this are counted as one.
_LEAST_SHARE: Final = 0.05
#: Every bin needs so many expected rows in a slice, before and after, for the approximation by chi-square.
_LEAST_EXPECTED: Final = 5.0


@dataclass(frozen=True, eq=False)
class SliceTable:
    """Counts of one segmentation. ``values``: of each group, one for each column of ``by``. ``reference``,
    ``current``: (groups, bins) rows; ``reference`` is None where the slices of one log are compared with its rest."""

    by: tuple[str, ...]
    values: Sequence[Values]
    current: Floats
    reference: Floats | None = None


@dataclass(frozen=True)
class SearchOptions:
    """``min_rows``: of a slice, on both sides. ``min_share``: of all current rows. ``min_effect``: half the sum of the
    bins' differences of differences. ``alpha``: how likely any slice at all is found where none differs. ``most``:
    slices to find. ``bad``: the bin whose share is bad when it grows, against which all others
    are one; None: any change counts."""

    min_rows: int = 100
    min_share: float = 0.005
    min_effect: float = 0.02
    alpha: float = 0.01
    most: int = 20
    bad: int | None = None


@dataclass(frozen=True)
class Slice:
    """A slice that changed. ``by``, ``values``: what it is. ``rows``, ``reference_rows``: its rows. ``share``: of all
    current rows. ``effect``: how much more its distribution changed than that of the rest, 0 to 1. ``score``: effect
    times share, by which slices are ranked. ``p``: corrected for all slices of all columns that were looked at.
    ``before``, ``after``: share of the slice in the bin that moved most, or in the bad one."""

    by: tuple[str, ...]
    values: Values
    rows: int
    reference_rows: int
    share: float
    effect: float
    score: float
    p: float
    before: float
    after: float
    column: str = ""

    @property
    def name(self) -> str:
        """As a person reads it: carrier=AA, origin=JFK."""
        return ", ".join(f"{b}={'null' if v is None else v}" for b, v in zip(self.by, self.values, strict=True))


@dataclass(eq=False)
class _Left:
    """What is left of a table: rows that no slice found so far has. ``noise``, ``noise_before``: (groups, bins)
    variance of these numbers of rows, where those that were taken out had to be estimated."""

    table: SliceTable
    current: Floats
    reference: Floats
    place: dict[Values, int] = field(init=False)
    noise: Floats = field(init=False)
    noise_before: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.noise, self.noise_before = np.zeros_like(self.current), np.zeros_like(self.current)
        self.place = {values: i for i, values in enumerate(self.table.values)}


@dataclass(frozen=True, eq=False)
class _Tested:
    statistic: Floats
    effect: Floats
    able: npt.NDArray[np.bool_]
    moved: Floats


def worst_slices(tables: Sequence[SliceTable], options: SearchOptions, *, tests: int | None = None) -> list[Slice]:
    """The slices that changed most, by effect times share; each adds to what those before it explain.

    Args:
        tables: Segmentations of the same rows, over the same bins: every column alone, and pairs.
        options: Support, effect and error rate.
        tests: Slices looked at in all, over every column judged (the correction is Holm's first step, Bonferroni);
            default: those of these tables.
    """
    tables = [t for t in tables if len(t.values)]
    if not tables:
        return []
    tables = _pooled(tables, options.bad)
    compared = tables[0].reference is not None
    left = [_Left(t, t.current.copy(), t.reference.copy() if t.reference is not None else t.current) for t in tables]
    one_way = next((t for t in tables if len(t.by) == 1), tables[0])
    whole = one_way.current.sum(axis=0)
    whole_before = one_way.reference.sum(axis=0) if one_way.reference is not None else whole
    total = float(whole.sum())
    looked_at = sum(len(t.values) for t in tables) if tests is None else tests
    found: list[Slice] = []
    freedom = tables[0].current.shape[1] - 1
    passed = 0
    while passed < options.most and freedom > 0:
        best: tuple[float, int, int] | None = None
        tested = []
        for t, own in enumerate(left):
            before, rest_before = (own.reference, whole_before - own.reference) if compared else (None, None)
            result = _tested(own, whole - own.current, before, rest_before, options, total)
            tested.append(result)
            if result.able.any():
                at = int(np.argmax(np.where(result.able, result.statistic, -1.0)))
                if best is None or result.statistic[at] > best[0]:
                    best = float(result.statistic[at]), t, at
        if best is None:
            break
        p = min(1.0, chi_square_pvalue(best[0], freedom) * looked_at)
        if p > options.alpha:
            break
        table, at = left[best[1]], best[2]
        one = _slice(table, at, tested[best[1]], total, p, compared=compared, bad=options.bad is not None)
        # One that grew better is taken out too, or all others would seem to grow worse beside it.
        if options.bad is None or tested[best[1]].moved[at, 0] > 0:
            found.append(one)
        passed += 1
        taken, taken_before = table.current[at].copy(), table.reference[at].copy()
        _take_out(left, table.table.by, table.table.values[at], taken, taken_before, tables, compared)
        whole = whole - taken
        whole_before = whole_before - taken_before
    return sorted(found, key=lambda s: -s.score)


def _pooled(tables: Sequence[SliceTable], bad: int | None) -> list[SliceTable]:
    """The tables with rare bins as one; with a bad bin, that bin and all others."""
    whole = sum((t.current.sum(axis=0) for t in tables[:1]), np.zeros(tables[0].current.shape[1]))
    if tables[0].reference is not None:
        whole = whole / max(1.0, whole.sum()) + tables[0].reference.sum(axis=0) / max(1.0, tables[0].reference.sum())
    share = whole / whole.sum() if whole.sum() else whole
    if bad is not None:
        to = np.where(np.arange(len(share)) == bad, 0, 1)
    else:
        common = np.flatnonzero(share >= _LEAST_SHARE)
        rare = share[share < _LEAST_SHARE].sum()
        to = np.full(len(share), len(common))
        to[common] = np.arange(len(common))
        if len(common) and rare < _LEAST_SHARE / 2:
            to[to == len(common)] = int(np.argmin(share[common]))
    bins = int(to.max()) + 1

    def joined(counts: Floats) -> Floats:
        out = np.zeros((len(counts), bins))
        for old, new in enumerate(to.tolist()):
            out[:, new] += counts[:, old]
        return out

    return [
        SliceTable(t.by, t.values, joined(t.current), None if t.reference is None else joined(t.reference))
        for t in tables
    ]


def _tested(
    own: _Left,
    rest: Floats,
    before: Floats | None,
    rest_before: Floats | None,
    options: SearchOptions,
    total: float,
) -> _Tested:
    """Wald's test that a slice and the rest changed alike, for every group at once: (groups, bins) counts of both."""
    current = own.current
    sides = [(current, 1.0), (rest, -1.0)]
    if before is not None and rest_before is not None:
        sides += [(before, -1.0), (rest_before, 1.0)]
    rows = [side.sum(axis=1) for side, _ in sides]
    bins = current.shape[1]
    shares = [side / np.maximum(n, 1)[:, None] for (side, _), n in zip(sides, rows, strict=True)]
    apart = sum((sign * p for (_, sign), p in zip(sides, shares, strict=True)), np.zeros_like(current))
    typical = sum(shares, np.zeros_like(current)) / len(shares)
    fewest = np.min([r for r in rows], axis=0)
    able = (rows[0] >= options.min_rows) & (rows[0] >= options.min_share * total) & (rows[1] >= options.min_rows)
    if before is not None:
        able &= (rows[2] >= options.min_rows) & (rows[3] >= options.min_rows)
    able &= fewest * typical.min(axis=1) >= _LEAST_EXPECTED
    effect = np.abs(apart).sum(axis=1) / 2
    if np.count_nonzero(rows[0]) == 2:  # of two halves, the one that moved more itself, or the smaller one
        if before is not None:
            mine, other = shares[0] - shares[2], shares[1] - shares[3]
            able &= np.abs(mine).sum(axis=1) >= np.abs(other).sum(axis=1)
        else:
            able &= rows[0] <= rows[1]
    able &= effect >= options.min_effect
    statistic = np.zeros(len(current))
    at = np.flatnonzero(able)
    if len(at) and bins > 1:
        spread = np.zeros((len(at), bins, bins))
        for (side, _), n in zip(sides, rows, strict=True):
            p = (side[at] + 0.5) / (n[at] + 0.5 * bins)[:, None]
            spread -= p[:, :, None] * p[:, None, :] / n[at][:, None, None]
            spread[:, np.arange(bins), np.arange(bins)] += p / n[at][:, None]
        for noise, n in ((own.noise, rows[0]), (own.noise_before, rows[2] if before is not None else rows[0])):
            spread[:, np.arange(bins), np.arange(bins)] += noise[at] / (n[at] ** 2)[:, None]
        d = apart[at][:, :-1]
        solved = np.linalg.solve(spread[:, :-1, :-1], d[:, :, None])[:, :, 0]
        statistic[at] = np.einsum("gb,gb->g", d, solved)
    return _Tested(statistic, effect, able, apart)


def _slice(own: _Left, at: int, tested: _Tested, total: float, p: float, *, compared: bool, bad: bool) -> Slice:
    current, reference = own.current[at], own.reference[at]
    share, effect = float(current.sum() / total), float(tested.effect[at])
    moved = 0 if bad else int(np.argmax(np.abs(tested.moved[at])))
    after = float(current[moved] / current.sum())
    before = float(reference[moved] / reference.sum()) if compared else after - float(tested.moved[at][moved])
    return Slice(
        by=own.table.by,
        values=own.table.values[at],
        rows=int(own.table.current[at].sum()),
        reference_rows=int(own.table.reference[at].sum()) if own.table.reference is not None else 0,
        share=share,
        effect=effect,
        score=effect * share,
        p=p,
        before=before,
        after=after,
    )


def _take_out(
    left: Sequence[_Left],
    by: tuple[str, ...],
    values: Values,
    taken: Floats,
    taken_before: Floats,
    tables: Sequence[SliceTable],
    compared: bool,
) -> None:
    """Takes a slice's rows out of every other slice."""
    gone = dict(zip(by, values, strict=True))
    shares = _shares_within(gone, tables)
    # What is left of the common rows, before any of them is taken out.
    by_columns = {frozenset(own.table.by): (own, own.current.copy(), own.reference.copy()) for own in left}
    for own in left:
        for i, mine in enumerate(own.table.values):
            both = {**dict(zip(own.table.by, mine, strict=True)), **gone}
            if any(both[b] != v for b, v in zip(own.table.by, mine, strict=True)):
                continue
            common = by_columns.get(frozenset(both))
            if common is not None:
                place = common[0].place.get(tuple(both[b] for b in common[0].table.by))
                if place is None:
                    continue
                part, part_before = common[1][place], common[2][place]
            else:
                share = float(np.prod([shares.get((b, both[b]), 0.0) for b in own.table.by if b not in gone]))
                part, part_before = taken * share, taken_before * share
                own.noise[i] += part * (1 - share)
                own.noise_before[i] += part_before * (1 - share)
            own.current[i] = np.maximum(0.0, own.current[i] - part)
            if compared:
                own.reference[i] = np.maximum(0.0, own.reference[i] - part_before)


def _shares_within(gone: Mapping[str, Any], tables: Sequence[SliceTable]) -> dict[tuple[str, Any], float]:
    """(column, value) -> its share of a slice's rows, as if the columns of the slice said nothing together that each
    does not say alone: P(v | a, b) = P(v | a) P(v | b) / P(v)."""
    overall: dict[tuple[str, Any], float] = {}
    for t in (t for t in tables if len(t.by) == 1 and t.by[0] not in gone):
        rows = t.current.sum(axis=1)
        overall |= {(t.by[0], v[0]): float(n) for v, n in zip(t.values, (rows / rows.sum()).tolist(), strict=True)}
    found = dict(overall)
    for t in (t for t in tables if len(t.by) == 2):
        inside = [b for b in t.by if b in gone]
        if len(inside) != 1:
            continue
        mine, other = t.by.index(inside[0]), 1 - t.by.index(inside[0])
        rows = t.current.sum(axis=1)
        of_slice = {t.values[i][other]: float(rows[i]) for i, v in enumerate(t.values) if v[mine] == gone[inside[0]]}
        total = sum(of_slice.values())
        for (column, value), share in overall.items():
            if column == t.by[other] and total and share:
                found[column, value] *= of_slice.get(value, 0.0) / total / share
    return {key: min(1.0, share) for key, share in found.items()}
