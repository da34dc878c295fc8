"""All measures of one numeric column in one group, from state alone."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from modelwatch_gpu import keys
from modelwatch_gpu.measures import bins, rank
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.segmentation import interval_labels
from modelwatch_gpu.profile.tables import WIDE_UNIT_BIT, Counts, Moments, NumericTable


@dataclass(frozen=True)
class NumericGroup:
    """One group of one column: cell counts on a grid, missing rows, and what else was kept.

    ``grid``: "fine" or "coarse". ``cells``: (2M+1,) of that grid. ``range``: smallest and largest key or None.
    ``moments``: (count, mean, m2, m3, m4) of the finite values, the mean relative to the column's pivot; None where
    the set keeps none.
    """

    grid: str
    cells: Counts
    nan: int
    null: int
    gap_sums: Counts | None
    tails: tuple[int, int]
    range: tuple[int, int] | None
    moments: Moments | None

    @property
    def rows(self) -> int:
        """All rows, missing ones included."""
        return self.count + self.missing

    @property
    def count(self) -> int:
        """Rows with a value, infinities included."""
        return int(self.cells.sum())

    @property
    def missing(self) -> int:
        """Null rows and NaN rows."""
        return self.nan + self.null


def numeric_group(
    column: NumericColumn, table: NumericTable, group: int, grid: str, *, moments: bool = True
) -> NumericGroup:
    """Reads one group of a table that was counted on ``grid``."""
    fine = grid == "fine"
    slots = table.of_group(group, column.slots if fine else column.coarse_slots)
    return NumericGroup(
        grid=grid,
        cells=slots[:-2],
        nan=int(slots[-2]),
        null=int(slots[-1]),
        gap_sums=table.gap_sums(group, len(column.knots) + 1) if fine else None,
        tails=table.tails.get(group, (0, 0)),
        range=table.range_of(group),
        moments=table.fold_moments(group) if moments else None,
    )


def coarsened(column: NumericColumn, fine: NumericGroup) -> NumericGroup:
    """The same group on the coarse grid: what the baseline is compared as where a window was counted coarsely."""
    cells = np.zeros(column.coarse_slots, dtype=np.uint64)
    np.add.at(cells, column.to_coarse[: len(fine.cells)], fine.cells)
    return NumericGroup("coarse", cells[:-2], fine.nan, fine.null, None, (0, 0), fine.range, fine.moments)


def between(upto: Counts, total: int) -> Counts:
    """Rows of each bin from the rows at or below each edge, and all rows."""
    ends = np.concatenate([upto.astype(np.int64), [total]])
    return np.concatenate([ends[:1], ends[1:] - ends[:-1]]).astype(np.uint64)


def bin_counts(column: NumericColumn, group: NumericGroup) -> Counts:
    """(edges + 1,) rows in the default bins (a, b]; missing rows left out."""
    edges = column.edges if group.grid == "fine" else column.coarse_edges
    upto = np.cumsum(group.cells)[2 * edges.astype(np.int64) + 1]
    return between(upto, int(group.cells.sum()))


def numeric_measures(column: NumericColumn, baseline: NumericGroup, current: NumericGroup) -> dict[str, Value]:
    """Every numeric measure of DESIGN 7 by id. Both groups must be on one grid."""
    n, m = baseline.count, current.count
    out = missing_measures(baseline.nan, baseline.missing, baseline.rows, current.nan, current.missing, current.rows)
    if not keys.is_float(column.domain):
        del out["nan"]
    if current.rows == 0 or n == 0 or m == 0:
        reason = "baseline_all_missing" if n == 0 else "empty" if current.rows == 0 else "all_missing"
        names = (
            "ks",
            "cvm",
            "wasserstein",
            "wasserstein_sd",
            *bins.BIN_MEASURES,
            "mean_shift",
            "sd_ratio",
            "out_of_range",
        )
        return {**{name: Value.absent(reason, m) for name in names}, **out}
    out["ks"] = rank.ks(baseline.cells, current.cells)
    out["cvm"] = rank.cvm(baseline.cells, current.cells)
    p, q = bin_counts(column, baseline), bin_counts(column, current)
    for name, measure in bins.BIN_MEASURES.items():
        out[name] = Value.exact(measure(p, q), m)
    knots = column.values if baseline.grid == "fine" else column.values[column.coarse]
    if not keys.is_float(column.domain) and current.moments is not None and current.moments[0] < m:
        # Whole numbers that came back as floats, some infinite: on an integer grid they stand in the outer gaps.
        out["wasserstein"] = Value.absent("infinite", m)
    else:
        out["wasserstein"] = rank.wasserstein(_sample(column, baseline), _sample(column, current), knots)
    sd = _sd(baseline.moments)
    out["wasserstein_sd"] = _scaled(out["wasserstein"], sd)
    out["wasserstein"] = _in_units(column, out["wasserstein"])
    out["mean_shift"], out["sd_ratio"] = _moment_measures(baseline.moments, current.moments, sd, m)
    out["out_of_range"] = _out_of_range(column, baseline, current)
    out["distinct"] = _distinct(current)
    return out


def missing_measures(
    base_nan: int, base_missing: int, base_rows: int, nan: int, missing: int, rows: int
) -> dict[str, Value]:
    """Shares of missing (null or NaN) and of NaN rows, the change in points, and the row count."""
    out = {"row_count": Value.exact(float(rows), rows)}
    if rows == 0:
        return {**out, **{name: Value.absent("empty") for name in ("missing", "missing_change", "nan")}}
    out["missing"] = Value.exact(missing / rows, rows)
    out["missing_change"] = (
        Value.exact(missing / rows - base_missing / base_rows, rows)
        if base_rows
        else Value.absent("baseline_all_missing", rows)
    )
    out["nan"] = Value.exact(nan / rows, rows)
    return out


def _sample(column: NumericColumn, group: NumericGroup) -> rank.RankedSample:
    unit = Fraction(1, 1 << WIDE_UNIT_BIT)
    low = high = None
    if group.range is not None:
        low, high = (float(v) for v in keys.values_of(np.array(group.range, dtype=np.uint64), column.domain))
    return rank.RankedSample(group.cells, group.gap_sums, group.tails[0] * unit, group.tails[1] * unit, low, high)


def _sd(moments: Moments | None) -> float | None:
    """Population standard deviation; None where there is none."""
    if moments is None or moments[0] == 0:
        return None
    return float(np.sqrt(max(0.0, moments[2]) / moments[0]))


def _scaled(value: Value, sd: float | None) -> Value:
    if value.value is None or value.lower is None or value.upper is None:
        return value
    if not sd:
        return Value.absent("constant_baseline", value.n)
    return Value.between(value.lower / sd, value.upper / sd, value.n, value=value.value / sd)


def _in_units(column: NumericColumn, value: Value) -> Value:
    """A distance between values of the domain in the column's units."""
    if not column.scale or value.value is None or value.lower is None or value.upper is None:
        return value
    lower, upper, middle = (column.in_units(v) for v in (value.lower, value.upper, value.value))
    return Value.between(lower, upper, value.n, value=middle)


def _moment_measures(
    baseline: Moments | None, current: Moments | None, sd: float | None, m: int
) -> tuple[Value, Value]:
    """(mean - mean_0) / sd_0 and sd / sd_0, over finite values; population standard deviations."""
    if baseline is None or current is None or current[0] == 0:
        absent = Value.absent("all_missing", m)
        return absent, absent
    if not sd:
        absent = Value.absent("constant_baseline", m)
        return absent, absent
    own = _sd(current)
    return Value.exact((current[1] - baseline[1]) / sd, m), Value.exact((own or 0.0) / sd, m)


def _out_of_range(column: NumericColumn, baseline: NumericGroup, current: NumericGroup) -> Value:
    """Share of window values below the baseline's smallest or above its largest (both are knots of every grid)."""
    assert baseline.range is not None
    knots = column.knots if current.grid == "fine" else column.knots[column.coarse]
    low, high = np.searchsorted(knots, np.array(baseline.range, dtype=np.uint64))
    outside = int(current.cells[: 2 * low + 1].sum()) + int(current.cells[2 * high + 2 :].sum())
    return Value.exact(outside / current.count, current.count)


def _distinct(current: NumericGroup) -> Value:
    """Distinct values: one for every knot that occurs; a gap with c rows holds between 1 and c."""
    on_knots = int(np.count_nonzero(current.cells[1::2]))
    in_gaps = current.cells[0::2]
    lower = on_knots + int(np.count_nonzero(in_gaps))
    upper = on_knots + int(in_gaps.sum())
    return Value.between(float(lower), float(upper), current.count, value=float(lower) if lower == upper else None)


def bin_labels(column: NumericColumn) -> list[str]:
    """The default bins as a person reads them."""
    edges = [number_text(e) for e in column.deciles]
    if len(edges) != len(column.edges):  # two deciles that no value of the column's type separates
        edges = [number_text(column.in_units(v)) for v in column.values[column.edges].tolist()]
    return interval_labels(edges)


def number_text(value: float) -> str:
    """A number in at most six significant digits."""
    return f"{value:.6g}"
