"""All measures of numeric columns, of many groups at once, from state alone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import keys
from modelwatch_gpu.measures import bins, moments, rank, refined, tails, transport
from modelwatch_gpu.measures.batch import Batch, NumericGroups, edges_on, same_bins
from modelwatch_gpu.measures.cells import Floats, Ints
from modelwatch_gpu.measures.quantiles import SHOWN, Knots, located, quantile_bounds
from modelwatch_gpu.measures.value import HAS_NUMBER, Values
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.segmentation import interval_labels
from modelwatch_gpu.profile.tables import WIDE_UNIT_BIT, Counts

_UNIT: Final = Fraction(1, 1 << WIDE_UNIT_BIT)
_OF_VALUES: Final = (
    *("ks", "cvm", "wasserstein", "wasserstein_sd"),
    *bins.BIN_MEASURES,
    *("mean_shift", "sd_ratio", "out_of_range"),
)


def between(upto: Counts, total: int) -> Counts:
    """Rows of each bin from the rows at or below each edge, and all rows."""
    ends = np.concatenate([upto.astype(np.int64), [total]])
    return np.concatenate([ends[:1], ends[1:] - ends[:-1]]).astype(np.uint64)


def binned(column: NumericColumn, slots: Counts, grid: str) -> Counts:
    """(edges + 1,) rows in the default bins (a, b] of one group, from its (slots,) counts on ``grid``; missing rows
    left out."""
    edges = edges_on(column, grid)
    return between(np.cumsum(slots[:-2])[2 * edges.astype(np.int64) + 1], int(slots[:-2].sum()))


#: Histograms of columns that have as many bins, and (groups,) the groups of a batch that they are of.
Binned = Sequence[tuple[Ints, bins.Histograms]]


def histograms(batch: Batch) -> Binned:
    """Both sides over the baseline's bins (a, b]; missing rows left out."""
    baseline, current, of = batch.baseline, batch.current, batch.of_baseline
    per_count = None
    if baseline.weights is not None and current.weights is not None:
        per_count = baseline.weights.per_count, current.weights.per_count
    out = []
    for edges, groups in same_bins(batch):
        ends = 2 * edges + 1
        # Each of a baseline's groups is binned once, however many are held against it.
        own, first = np.unique(of[groups], return_index=True)
        before = baseline.cells.binned(ends[first], own)
        if len(own) > 1:
            before = before[np.searchsorted(own, of[groups])]
        out.append((groups, bins.Histograms(before, current.cells.binned(ends, groups), per_count=per_count)))
    return out


def values_of(column: NumericColumn, found: Counts) -> npt.NDArray[Any]:
    """Values of keys in the column's own dtype."""
    return keys.values_of(found, column.domain)


def numeric_measures(batch: Batch, binned: Binned) -> dict[str, Values]:
    """Every numeric measure of DESIGN 7 by id. Both sides must be on one grid. ``binned``: what ``histograms`` says."""
    column, baseline, current, of = batch.column, batch.baseline, batch.current, batch.of_baseline
    m = current.count
    out = missing_measures(baseline, current, of)
    if not keys.is_float(column.domain):
        del out["nan"]
    found = {"ks": rank.ks_of(baseline.cells, current.cells, of)}
    weighted = current.weights is not None
    found["cvm"] = Values.absent("weighted", m) if weighted else rank.cvm_of(baseline.cells, current.cells, of)
    found.update({name: Values.exact(value, m) for name, value in _bin_measures(binned, current.groups).items()})
    distance = _wasserstein(batch)
    sd = baseline.moments.sd[of]
    found["wasserstein_sd"] = _scaled(distance, sd)
    found["wasserstein"] = _distances_in_units(column, distance)
    found["mean_shift"], found["sd_ratio"] = _moment_measures(baseline.moments, current.moments, of, m)
    found["out_of_range"] = _out_of_range(batch)
    # Whatever else may be wrong: without values on one side there is nothing to compare.
    empty = bool((m == 0).any() or (baseline.count == 0).any())
    for name in _OF_VALUES:
        own = found[name]
        out[name] = transport.without_rows(own, baseline.cells, current.cells, of) if empty else own
    out["distinct"] = rank.distinct_of(current.cells).replaced(m == 0, "all_missing")
    return out


def _bin_measures(binned: Binned, groups: int) -> dict[str, Floats]:
    """Every measure of two histograms by id: (groups,) each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = [(at, bins.bin_measures(h)) for at, h in binned]
    if len(each) == 1:
        return each[0][1]
    out = {name: np.empty(groups) for name in each[0][1]}
    for at, measured in each:
        for name, value in measured.items():
            out[name][at] = value
    return out


def missing_measures(baseline: Any, current: Any, of: Ints) -> dict[str, Values]:
    """Shares of missing (null or NaN) and of NaN rows, the change in points, and the row count, of groups that have
    ``rows``, ``missing`` and ``nan``. ``of``: (groups,) the group of the baseline that each is held against."""
    rows, base_rows = current.rows, baseline.rows[of]
    with np.errstate(divide="ignore", invalid="ignore"):
        share, before = current.missing / rows, (baseline.missing / baseline.rows)[of]
        change = Values.exact(np.where(base_rows > 0, share - before, 0.0), rows)
        return {
            "row_count": Values.exact(rows.astype(np.float64), rows),
            "missing": Values.exact(share, rows),
            "missing_change": change.replaced(base_rows == 0, "baseline_all_missing"),
            "nan": Values.exact(current.nan / rows, rows),
        }


def _wasserstein(batch: Batch) -> Values:
    column, baseline, current, of = batch.column, batch.baseline, batch.current, batch.of_baseline
    first, last = transport.finite_span(batch.columns[0].knots)
    if last <= first:  # such a column is alone in its batch
        found = Values.absent("baseline_all_missing", current.count)
    else:
        both = _sample(batch, baseline, batch.baseline_knots), _sample(batch, current, batch.knots)
        found = transport.distances(*both, of, batch.inner(), infinities=keys.is_float(column.domain))
    if keys.is_float(column.domain):
        return found
    # Whole numbers that came back as floats, some infinite: on an integer grid they stand in the outer gaps.
    if baseline.moments.kept:
        found = found.replaced((baseline.moments.count < baseline.count)[of], "infinite")
    if current.moments.kept:
        found = found.replaced(current.moments.count < current.count, "infinite")
    return found


def _sample(batch: Batch, group: NumericGroups, knots: Knots) -> transport.Transported:
    made = group.cells.made
    if "tails" not in made:  # a baseline's are asked for again and again
        made["tails"] = _tails_of(batch.column, group, knots)
    below, above = made["tails"]
    return transport.Transported(group.cells, below, above)  # kept there it would keep its cells alive


def _tails_of(column: NumericColumn, group: NumericGroups, knots: Knots) -> tuple[tails.Tail, tails.Tail]:
    infinite = 1 if keys.is_float(column.domain) else 0
    ends = []
    for end, extreme, below in ((0, group.low, True), (1, group.high, False)):
        edge = knots.outermost(below=below)
        # The gap below the first finite knot, and that above the last.
        cell = np.full(group.groups, 2 * infinite) if below else 2 * (knots.sizes - infinite)
        rows = group.cells.at(np.arange(group.groups), cell)[0]
        reach = tails.reach_of(values_of(column, extreme), edge, rows, below=below)
        sums = None
        if group.grid == "fine":
            sums = {g: group.tails[g][end] * _UNIT for g in np.flatnonzero(rows).tolist() if g in group.tails}
        ends.append(tails.tail_of(rows, reach, sums, edge, below=below))
    return ends[0], ends[1]


def _scaled(value: Values, sd: Floats) -> Values:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = Values.between(value.lower / sd, value.upper / sd, value.n, value=value.value / sd)
    reason = np.where(value.reason == HAS_NUMBER, found.reason, value.reason)
    found = Values(found.value, found.lower, found.upper, found.n, reason)
    return found.replaced(~(sd > 0) & (value.reason == HAS_NUMBER), "constant_baseline")


def _moment_measures(
    baseline: moments.GroupMoments, current: moments.GroupMoments, of: Ints, m: Ints
) -> tuple[Values, Values]:
    """(mean - mean_0) / sd_0 and sd / sd_0, over finite values; population standard deviations."""
    sd = baseline.sd[of]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = (Values.exact((current.mean - baseline.mean[of]) / sd, m), Values.exact(current.sd / sd, m))
    a, b = (v.replaced(~(sd > 0), "constant_baseline").replaced(current.count == 0, "all_missing") for v in found)
    return a, b


def _out_of_range(batch: Batch) -> Values:
    """Share of values below the other side's smallest or above its largest.

    These stand in the outermost occupied cells: rows beyond these cells are outside, rows in them are not where the
    cell is a knot, as it is with the baseline's own extremes, and may be where it is a gap.
    """
    baseline, current, of = batch.baseline, batch.current, batch.of_baseline
    cells, groups = current.cells, np.arange(current.groups)
    first, last = baseline.cells.first()[of], baseline.cells.last()[of]
    # Rows in both of the outermost cells, and up to the ends of these.
    (low, low_upto), (high, high_upto) = (cells.at(groups, end.clip(0, cells.cells - 1)) for end in (first, last))
    outside = np.where(last < 0, current.count, low_upto - low + current.count - high_upto)
    open_low, open_high = first % 2 == 0, last % 2 == 0
    if keys.is_float(batch.column.domain):
        # Ranges are exact here, and tell of a gap that both sides share whether anything can be outside.
        open_low, open_high = (
            open_low & (baseline.low[of] > current.low),
            open_high & (baseline.high[of] < current.high),
        )
    maybe = np.where(open_low, low, 0) + np.where(open_high & ~(open_low & (first == last)), high, 0)
    maybe[last < 0] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        lower, upper = outside / current.count, (outside + maybe) / current.count
    if not maybe.any():
        return Values.exact(lower, current.count)
    return Values.between(lower, upper, current.count, value=np.where(maybe == 0, lower, np.nan))


def on_knots(group: NumericGroups) -> Ints:
    """(groups,) knots that occur: values with a count of their own."""
    return group.cells.knots[0]


def profile_numbers(batch: Batch) -> tuple[dict[str, Floats], dict[str, Values]]:
    """The groups' own numbers: range, mean, sd, skewness and kurtosis of finite values by
    name, NaN where there is none, and the quantiles of ``SHOWN``."""
    column, group = batch.column, batch.current
    low, high = values_of(column, group.low), values_of(column, group.high)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = {
            "minimum": np.where(group.ranked, in_units(column, low), np.nan),
            "maximum": np.where(group.ranked, in_units(column, high), np.nan),
            "mean": np.where(group.moments.count > 0, in_units(column, group.moments.mean + pivots_of(batch)), np.nan),
            "sd": in_units(column, group.moments.sd),
            "skewness": group.moments.skewness,
            "kurtosis": group.moments.kurtosis,
        }
    numbers = {name: np.where(np.isfinite(value), value, np.nan) for name, value in numbers.items()}
    asked = list(SHOWN.values())
    where = located(group.cells, asked) if len(group.cells.cell) else None
    found = quantile_bounds(group.cells, batch.knots, asked, low, high, where)
    if group.grid == "fine" and where is not None:
        found = refined.quantiles(found, where, batch.knots, group.cells, (low, high), batch.sketches)
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


def pivots_of(batch: Batch) -> Floats:
    """(groups,) ``pivot_of`` the column of each."""
    return np.array([pivot_of(c.column) for c in batch.columns])[batch.which]


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
