"""All measures of one numeric column, of many groups at once, from state alone."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import keys
from modelwatch_gpu.measures import bins, moments, rank, refined, tails, transport
from modelwatch_gpu.measures.cells import Cells, Floats, Ints
from modelwatch_gpu.measures.flat import NumericRows, slice_of
from modelwatch_gpu.measures.quantiles import SHOWN, located, quantile_bounds
from modelwatch_gpu.measures.value import HAS_NUMBER, Values
from modelwatch_gpu.measures.weighted import GroupWeights
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.segmentation import interval_labels
from modelwatch_gpu.profile.tables import WIDE_UNIT_BIT, Counts

_UNIT: Final = Fraction(1, 1 << WIDE_UNIT_BIT)
_OF_VALUES: Final = (
    *("ks", "cvm", "wasserstein", "wasserstein_sd"),
    *bins.BIN_MEASURES,
    *("mean_shift", "sd_ratio", "out_of_range"),
)


@dataclass(frozen=True, eq=False)
class NumericGroups:
    """Groups of one column: cell counts on a grid, missing rows, and what else was kept; (groups,) arrays.

    ``grid``: "fine" or "coarse". ``ranked``: whether a group has values, so that ``low`` and ``high`` say the keys of
    its smallest and largest. ``tails``: by group, sums of the values beyond the finite knots, in units of 2^-1074.
    ``weights``: where rows have some; then all counts are sums of stored weights.
    """

    grid: str
    cells: Cells
    nan: Ints
    null: Ints
    ranked: npt.NDArray[np.bool_]
    low: Counts
    high: Counts
    tails: dict[int, tuple[int, int]]
    moments: moments.GroupMoments
    weights: GroupWeights | None = None

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return self.cells.groups

    @property
    def count(self) -> Ints:
        """Rows with a value, infinities included."""
        return self.cells.total

    @property
    def missing(self) -> Ints:
        """Null rows and NaN rows."""
        return self.nan + self.null

    @property
    def rows(self) -> Ints:
        """All rows, missing ones included."""
        return self.count + self.missing

    @property
    def slots(self) -> Ints:
        """(groups, slots) all counts, those of NaN and null last."""
        return np.concatenate([self.cells.counts, self.nan[:, None], self.null[:, None]], axis=1)

    def take(self, begin: int, end: int) -> NumericGroups:
        """The groups from ``begin`` to ``end``, not included."""
        own = {g - begin: sums for g, sums in self.tails.items() if begin <= g < end}
        at = slice(begin, end)
        return NumericGroups(
            grid=self.grid,
            cells=self.cells.take(begin, end),
            nan=self.nan[at],
            null=self.null[at],
            ranked=self.ranked[at],
            low=self.low[at],
            high=self.high[at],
            tails=own,
            moments=self.moments.take(begin, end),
            weights=None if self.weights is None else self.weights.take(begin, end),
        )


def numeric_groups(
    column: NumericColumn, rows: NumericRows, begin: int, end: int, grid: str, weights: GroupWeights | None = None
) -> NumericGroups:
    """Reads the groups from ``begin`` to ``end`` of a table counted on ``grid``. ``weights``: of all groups."""
    fine, groups = grid == "fine", end - begin
    size = (column.slots if fine else column.coarse_slots) - 2
    at = slice_of(rows.cell_group, begin, end)
    group, slot = rows.cell_group[at].astype(np.int64) - begin, rows.cell[at].astype(np.int64)
    count = rows.count[at].astype(np.int64)
    nan, null = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
    for out, special in ((nan, size), (null, size + 1)):
        out[group[slot == special]] = count[slot == special]
    ranked = slot < size
    group, slot, count = group[ranked], slot[ranked], count[ranked]
    offset = _offsets(rows, begin, end, group, slot) if fine else None
    starts = np.searchsorted(group, np.arange(groups + 1)).astype(np.int64)
    low, high = np.zeros(groups, dtype=np.uint64), np.zeros(groups, dtype=np.uint64)
    known = np.zeros(groups, dtype=bool)
    at = slice_of(rows.range_group, begin, end)
    there = rows.low[at] <= rows.high[at]
    here = rows.range_group[at][there].astype(np.int64) - begin
    low[here], high[here], known[here] = rows.low[at][there], rows.high[at][there], True
    own = {g - begin: sums for g, sums in rows.tails.items() if begin <= g < end} if fine else {}
    cells = Cells(starts, slot, count, size, offset)
    weighed = None if weights is None else weights.take(begin, end)
    return NumericGroups(grid, cells, nan, null, known, low, high, own, moments.folded(rows, begin, end), weighed)


def _offsets(rows: NumericRows, begin: int, end: int, group: Ints, cell: Ints) -> Counts:
    """The sums of offsets of occupied cells, 0 for knots."""
    at = slice_of(rows.gap_group, begin, end)
    there = ((rows.gap_group[at].astype(np.int64) - begin) << 32) | rows.gap[at].astype(np.int64)
    gaps = np.flatnonzero((cell & 1) == 0)
    wanted = (group[gaps] << 32) | (cell[gaps] >> 1)
    out = np.zeros(len(cell), dtype=np.uint64)
    if np.array_equal(there, wanted):
        out[gaps] = rows.gap_sum[at]
    elif len(there):
        place = np.searchsorted(there, wanted).clip(max=len(there) - 1)
        found = there[place] == wanted
        out[gaps[found]] = rows.gap_sum[at][place[found]]
    return out


def coarsened(column: NumericColumn, fine: NumericGroups) -> NumericGroups:
    """The same groups on the coarse grid: what the baseline is compared as where a window was counted coarsely."""
    size = column.coarse_slots - 2
    dense = np.zeros((fine.groups, size), dtype=np.int64)
    np.add.at(dense, (fine.cells.group, column.to_coarse[fine.cells.cell]), fine.cells.count)
    return NumericGroups(
        "coarse",
        Cells.dense(dense),
        fine.nan,
        fine.null,
        fine.ranked,
        fine.low,
        fine.high,
        {},
        fine.moments,
        fine.weights,
    )


def between(upto: Counts, total: int) -> Counts:
    """Rows of each bin from the rows at or below each edge, and all rows."""
    ends = np.concatenate([upto.astype(np.int64), [total]])
    return np.concatenate([ends[:1], ends[1:] - ends[:-1]]).astype(np.uint64)


def bin_counts(column: NumericColumn, group: NumericGroups) -> Ints:
    """(groups, edges + 1) rows in the default bins (a, b]; missing rows left out."""
    edges = column.edges if group.grid == "fine" else column.coarse_edges
    return group.cells.binned(2 * edges.astype(np.int64) + 1)


def binned(column: NumericColumn, slots: Counts, grid: str) -> Counts:
    """(edges + 1,) rows in the default bins of one group, from its (slots,) counts on ``grid``."""
    edges = column.edges if grid == "fine" else column.coarse_edges
    return between(np.cumsum(slots[:-2])[2 * edges.astype(np.int64) + 1], int(slots[:-2].sum()))


def histograms(column: NumericColumn, baseline: NumericGroups, current: NumericGroups) -> bins.Histograms:
    """Both sides over the baseline's bins."""
    per_count = None
    if baseline.weights is not None and current.weights is not None:
        per_count = baseline.weights.per_count, current.weights.per_count
    return bins.Histograms(bin_counts(column, baseline), bin_counts(column, current), per_count=per_count)


def values_of(column: NumericColumn, found: Counts) -> npt.NDArray[Any]:
    """Values of keys in the column's own dtype."""
    return keys.values_of(found, column.domain)


def numeric_measures(
    column: NumericColumn, baseline: NumericGroups, current: NumericGroups, paired: bins.Histograms
) -> dict[str, Values]:
    """Every numeric measure of DESIGN 7 by id. Both sides must be on one grid; the baseline is one group, or as many.

    ``paired``: what ``histograms`` says.
    """
    m = current.count
    out = missing_measures(baseline, current)
    if not keys.is_float(column.domain):
        del out["nan"]
    found = {"ks": rank.ks_of(baseline.cells, current.cells)}
    weighted = current.weights is not None
    found["cvm"] = Values.absent("weighted", m) if weighted else rank.cvm_of(baseline.cells, current.cells)
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = bins.bin_measures(paired)
    found.update({name: Values.exact(value, m) for name, value in measured.items()})
    found["wasserstein"] = _wasserstein(column, baseline, current)
    sd = np.broadcast_to(baseline.moments.sd, current.groups)
    found["wasserstein_sd"] = _scaled(found["wasserstein"], sd)
    found["wasserstein"] = _distances_in_units(column, found["wasserstein"])
    found["mean_shift"], found["sd_ratio"] = _moment_measures(baseline.moments, current.moments, sd, m)
    found["out_of_range"] = _out_of_range(column, baseline, current)
    # Whatever else may be wrong: without values on one side there is nothing to compare.
    empty = bool((m == 0).any() or (baseline.count == 0).any())
    for name in _OF_VALUES:
        out[name] = transport.without_rows(found[name], baseline.cells, current.cells) if empty else found[name]
    out["distinct"] = rank.distinct_of(current.cells).replaced(m == 0, "all_missing")
    return out


def missing_measures(baseline: Any, current: Any) -> dict[str, Values]:
    """Shares of missing (null or NaN) and of NaN rows, the change in points, and the row count, of groups that have
    ``rows``, ``missing`` and ``nan``."""
    rows = current.rows
    base_rows = np.broadcast_to(baseline.rows, len(rows))
    with np.errstate(divide="ignore", invalid="ignore"):
        share, before = current.missing / rows, baseline.missing / baseline.rows
        change = Values.exact(np.where(base_rows > 0, share - before, 0.0), rows)
        return {
            "row_count": Values.exact(rows.astype(np.float64), rows),
            "missing": Values.exact(share, rows),
            "missing_change": change.replaced(base_rows == 0, "baseline_all_missing"),
            "nan": Values.exact(current.nan / rows, rows),
        }


def _wasserstein(column: NumericColumn, baseline: NumericGroups, current: NumericGroups) -> Values:
    knots = column.values if current.grid == "fine" else column.values[column.coarse]
    found = transport.wasserstein_of(_sample(column, baseline, knots), _sample(column, current, knots), knots)
    if keys.is_float(column.domain):
        return found
    # Whole numbers that came back as floats, some infinite: on an integer grid they stand in the outer gaps.
    for side in (baseline, current):
        if side.moments.kept:
            found = found.replaced(np.broadcast_to(side.moments.count < side.count, current.groups), "infinite")
    return found


def _sample(column: NumericColumn, group: NumericGroups, knots: npt.NDArray[Any]) -> transport.Transported:
    made = group.cells.made
    if "sample" not in made:  # a baseline's is asked for again and again
        made["sample"] = _sample_of(column, group, knots)
    found: transport.Transported = made["sample"]
    return found


def _sample_of(column: NumericColumn, group: NumericGroups, knots: npt.NDArray[Any]) -> transport.Transported:
    first, last = transport.finite_span(knots)
    both = []
    for end, extreme, below in ((0, group.low, True), (1, group.high, False)):
        if last <= first:
            both.append(tails.Tail(*(np.zeros(group.groups) for _ in range(3))))
            continue
        edge = knots[first : first + 1] if below else knots[last - 1 : last]
        cell = np.full(group.groups, 2 * first if below else 2 * last, dtype=np.int64)
        rows = group.cells.at(np.arange(group.groups), cell)[0]
        reach = tails.reach_of(values_of(column, extreme), edge, rows, below=below)
        sums = None
        if group.grid == "fine":
            sums = {g: group.tails[g][end] * _UNIT for g in np.flatnonzero(rows).tolist() if g in group.tails}
        both.append(tails.tail_of(rows, reach, sums, Fraction(edge[0].item()), below=below))
    return transport.Transported(group.cells, both[0], both[1])


def _scaled(value: Values, sd: Floats) -> Values:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = Values.between(value.lower / sd, value.upper / sd, value.n, value=value.value / sd)
    reason = np.where(value.reason == HAS_NUMBER, found.reason, value.reason)
    found = Values(found.value, found.lower, found.upper, found.n, reason)
    return found.replaced(~(sd > 0) & (value.reason == HAS_NUMBER), "constant_baseline")


def _moment_measures(
    baseline: moments.GroupMoments, current: moments.GroupMoments, sd: Floats, m: Ints
) -> tuple[Values, Values]:
    """(mean - mean_0) / sd_0 and sd / sd_0, over finite values; population standard deviations."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = (Values.exact((current.mean - baseline.mean) / sd, m), Values.exact(current.sd / sd, m))
    a, b = (v.replaced(~(sd > 0), "constant_baseline").replaced(current.count == 0, "all_missing") for v in found)
    return a, b


def _out_of_range(column: NumericColumn, baseline: NumericGroups, current: NumericGroups) -> Values:
    """Share of values below the other side's smallest or above its largest.

    These stand in the outermost occupied cells: rows beyond these cells are outside, rows in them are not where the
    cell is a knot, as it is with the baseline's own extremes, and may be where it is a gap.
    """
    cells, groups = current.cells, np.arange(current.groups)
    first, last = (np.broadcast_to(end, cells.groups) for end in (baseline.cells.first(), baseline.cells.last()))
    # Rows in both of the outermost cells, and up to the ends of these.
    (low, low_upto), (high, high_upto) = (cells.at(groups, end.clip(0, cells.cells - 1)) for end in (first, last))
    outside = np.where(last < 0, current.count, low_upto - low + current.count - high_upto)
    open_low, open_high = first % 2 == 0, last % 2 == 0
    if keys.is_float(column.domain):
        # Ranges are exact here, and tell of a gap that both sides share whether anything can be outside.
        open_low, open_high = open_low & (baseline.low > current.low), open_high & (baseline.high < current.high)
    maybe = np.where(open_low, low, 0) + np.where(open_high & ~(open_low & (first == last)), high, 0)
    maybe[last < 0] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        lower, upper = outside / current.count, (outside + maybe) / current.count
    if not maybe.any():
        return Values.exact(lower, current.count)
    return Values.between(lower, upper, current.count, value=np.where(maybe == 0, lower, np.nan))


def on_knots(group: NumericGroups) -> Ints:
    """(groups,) knots that occur: values with a count of their own."""
    return group.cells.sum(group.cells.on_knot.astype(np.int64))


def profile_numbers(
    column: NumericColumn, group: NumericGroups, sketches: refined.GroupSketches
) -> tuple[dict[str, Floats], dict[str, Values]]:
    """A column's own numbers: range, mean, sd, skewness and kurtosis of finite values by
    name, NaN where there is none, and the quantiles of ``SHOWN``."""
    low, high = values_of(column, group.low), values_of(column, group.high)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = {
            "minimum": np.where(group.ranked, in_units(column, low), np.nan),
            "maximum": np.where(group.ranked, in_units(column, high), np.nan),
            "mean": np.where(group.moments.count > 0, in_units(column, group.moments.mean + pivot_of(column)), np.nan),
            "sd": in_units(column, group.moments.sd),
            "skewness": group.moments.skewness,
            "kurtosis": group.moments.kurtosis,
        }
    numbers = {name: np.where(np.isfinite(value), value, np.nan) for name, value in numbers.items()}
    knots = column.values if group.grid == "fine" else column.values[column.coarse]
    asked = list(SHOWN.values())
    where = located(group.cells, asked) if len(group.cells.cell) else None
    found = quantile_bounds(group.cells, knots, asked, low, high, where)
    if group.grid == "fine" and where is not None:
        found = refined.quantiles(found, where, knots, group.cells, (low, high), sketches)
    return numbers, {name: _distances_in_units(column, q) for name, q in zip(SHOWN, found, strict=True)}


def in_units(column: NumericColumn, numbers: npt.NDArray[Any]) -> Floats:
    """Values of the domain, or means and distances of such values, in the column's units."""
    if not column.scale:
        return numbers.astype(np.float64)
    return np.array([column.in_units(v) for v in numbers.tolist()], dtype=np.float64)


def _distances_in_units(column: NumericColumn, found: Values) -> Values:
    if not column.scale:
        return found
    value, lower, upper = (in_units(column, a) for a in (found.value, found.lower, found.upper))
    return Values(value, lower, upper, found.n, found.reason)


def pivot_of(column: NumericColumn) -> float:
    """What was taken off the values before their moments."""
    if keys.is_float(column.domain):
        return 0.0
    return float(keys.values_of(np.array([column.pivot], dtype=np.uint64), column.domain)[0])


def bin_labels(column: NumericColumn) -> list[str]:
    """The default bins as a person reads them."""
    edges = [number_text(e) for e in column.deciles]
    if len(edges) != len(column.edges):  # two deciles that no value of the column's type separates
        edges = [number_text(column.in_units(v)) for v in column.values[column.edges].tolist()]
    return interval_labels(edges)


def number_text(value: float) -> str:
    """A number in at most six significant digits."""
    return f"{value:.6g}"
