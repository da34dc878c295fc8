"""From a baseline and a counted log to the measures of every group and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import keys
from modelwatch_gpu.measures import bins, categorical, numeric, rank
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import FIRST_CATEGORY, CategoricalColumn, Column, NumericColumn
from modelwatch_gpu.profile.parts import SEGMENT_NULL, SEGMENT_OTHER, GroupKey, Part, SetSpec
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable

#: How the segment of all values beyond the cap is shown.
OTHER_LABEL = "(other)"


@dataclass(frozen=True)
class Effect:
    """A divergence freed of what noise adds on average (DESIGN 3.9): ``value`` is judged, ``raw`` stands beside it.

    ``chance``: what ``value`` exceeds in 1% of pairs of samples of one distribution. ``lower``: what is left of it when
    chance has added that much. Both take rows as independent.
    """

    value: float
    raw: float
    noise_floor: float
    chance: float = 0.0
    lower: float = 0.0


@dataclass(frozen=True)
class Shift:
    """What moved, for the reason a person reads: the baseline's number and the window's.

    ``what``: "mean", or the category whose share moved most; ``share``: both numbers are shares.
    """

    what: str
    before: float
    after: float
    share: bool


@dataclass(frozen=True)
class Summary:
    """A column's own numbers in one group: rows with a value, missing rows, and of numbers the range, mean and
    population standard deviation of the finite ones."""

    count: int = 0
    missing: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    sd: float | None = None


@dataclass(frozen=True)
class Result:
    """All measures of one column in one group.

    ``start``: of the window, epoch seconds (or ``WHOLE``). ``segment``: the segment's (kind, text) in each of the
    columns ``by``, None where the group is not a segment. ``present``: share of the group's rows for which the column
    was there and comparable.
    ``histogram``: counts of the window over the baseline's bins or categories, None for segments.
    ``summary``: what the profile says without the baseline.
    """

    start: int
    segment: tuple[tuple[int, str], ...] | None
    column: Column
    rows: int
    present: float
    absent_reason: str
    values: dict[str, Value]
    effects: dict[str, Effect]
    shift: Shift | None
    histogram: npt.NDArray[np.uint64] | None
    summary: Summary
    by: tuple[str, ...] = ()


def segment_text(value: tuple[int, str]) -> str | None:
    """A segment's value in one column as it is reported: text, None for null."""
    kind, text = value
    return None if kind == SEGMENT_NULL else OTHER_LABEL if kind == SEGMENT_OTHER else text


class _Reference:
    """The baseline's own groups, on both grids, made once."""

    def __init__(self, baseline: Baseline) -> None:
        self._numeric: dict[tuple[str, str], numeric.NumericGroup] = {}
        self._category: dict[tuple[str, str], categorical.CategoryGroup] = {}
        for column in baseline.columns:
            table = baseline.part.tables[("window", column.name)]
            if isinstance(column, NumericColumn):
                assert isinstance(table, NumericTable)
                fine = numeric.numeric_group(column, table, 0, "fine")
                self._numeric[(column.name, "fine")] = fine
                self._numeric[(column.name, "coarse")] = numeric.coarsened(column, fine)
            else:
                assert isinstance(table, CategoryTable)
                own = categorical.category_group(column, table, 0, "fine")
                self._category[(column.name, "fine")] = own
                self._category[(column.name, "coarse")] = categorical.coarsened(column, own)

    def numeric(self, column: NumericColumn, grid: str) -> numeric.NumericGroup:
        return self._numeric[(column.name, grid)]

    def category(self, column: CategoricalColumn, grid: str) -> categorical.CategoryGroup:
        return self._category[(column.name, grid)]


def baseline_histogram(baseline: Baseline, column: Column) -> npt.NDArray[np.uint64]:
    """The baseline's counts over the bins of a numeric column, or over null, other and the categories."""
    table = baseline.part.tables[("window", column.name)]
    if isinstance(column, NumericColumn):
        assert isinstance(table, NumericTable)
        return numeric.bin_counts(column, numeric.numeric_group(column, table, 0, "fine", moments=False))
    assert isinstance(table, CategoryTable)
    return table.of_group(0, column.slots)


def evaluate(baseline: Baseline, profile: Profile, merged: Part) -> Iterator[Result]:
    """Every group of windows and segments against the baseline, windows first, columns in schema order."""
    reference = _Reference(baseline)
    for spec in profile.sets:
        if spec.name != "window" and not spec.columns:
            continue
        groups = merged.groups.get(spec.name, [])
        rows = merged.group_rows.get(spec.name, np.zeros(len(groups), dtype=np.uint64))
        for column in baseline.columns:
            table = merged.tables.get((spec.name, column.name))
            for at, key in enumerate(groups):
                yield _result(column, table, at, key, int(rows[at]), spec, reference, merged)


def _result(
    column: Column,
    table: NumericTable | CategoryTable | None,
    at: int,
    key: GroupKey,
    rows: int,
    spec: SetSpec,
    reference: _Reference,
    merged: Part,
) -> Result:
    grid = spec.grid
    segment = tuple((int(k), str(t)) for k, t in zip(key[1::2], key[2::2], strict=True)) if spec.columns else None
    absent = "incomparable" if column.name in merged.incomparable else "gone"
    effects: dict[str, Effect] = {}
    shift: Shift | None = None
    histogram: npt.NDArray[np.uint64] | None = None
    counted = 0
    summary = Summary()
    values: dict[str, Value] = {"row_count": Value.exact(float(rows), rows)}
    if table is not None and isinstance(column, NumericColumn):
        assert isinstance(table, NumericTable)
        ours = numeric.numeric_group(column, table, at, grid)
        counted = ours.rows
        if counted:
            base = reference.numeric(column, grid)
            values = numeric.numeric_measures(column, base, ours)
            effects, shift = _numeric_effects(column, base, ours, values)
            histogram = numeric.bin_counts(column, ours)
            summary = _numeric_summary(column, ours)
    elif table is not None and isinstance(column, CategoricalColumn):
        assert isinstance(table, CategoryTable)
        own = categorical.category_group(column, table, at, grid)
        counted = own.rows
        if counted:
            base_own = reference.category(column, grid)
            values = categorical.category_measures(column, base_own, own)
            effects, shift = _category_effects(column, base_own, own)
            summary = Summary(own.rows - own.missing, own.missing)
            if grid == "fine":
                histogram = np.append(own.slots, np.uint64(sum(own.unseen.values())))
    return Result(
        start=int(key[0]),
        segment=segment,
        column=column,
        rows=rows,
        present=counted / rows if rows else 1.0,
        absent_reason=absent,
        values=values,
        effects=effects,
        shift=shift,
        histogram=histogram if segment is None else None,
        summary=summary,
        by=spec.columns,
    )


def _numeric_summary(column: NumericColumn, group: numeric.NumericGroup) -> Summary:
    low = high = mean = sd = None
    if group.range is not None:
        ends = keys.values_of(np.array(group.range, dtype=np.uint64), column.domain)
        low, high = (column.in_units(v) if np.isfinite(v) else None for v in ends.tolist())
    if group.moments is not None and group.moments[0]:
        count, shifted, m2 = group.moments[:3]
        center = column.in_units(shifted + _pivot(column))
        spread = column.in_units(float(np.sqrt(max(0.0, m2) / count)))
        mean, sd = center if np.isfinite(center) else None, spread if np.isfinite(spread) else None
    return Summary(group.count, group.missing, low, high, mean, sd)


def _numeric_effects(
    column: NumericColumn, base: numeric.NumericGroup, ours: numeric.NumericGroup, values: dict[str, Value]
) -> tuple[dict[str, Effect], Shift | None]:
    n, m = base.count, ours.count
    if n == 0 or m == 0:
        return {}, None
    effects = _bin_effects(numeric.bin_counts(column, base), numeric.bin_counts(column, ours))
    ks = values["ks"].value
    if ks is not None:
        chance = rank.ks_chance(n, m)
        effects["ks"] = Effect(ks, ks, rank.ks_noise(n, m), chance, max(0.0, ks - chance))
    shift = None
    if base.moments is not None and ours.moments is not None and base.moments[0] and ours.moments[0]:
        pivot = _pivot(column)
        before, after = (column.in_units(m[1] + pivot) for m in (base.moments, ours.moments))
        shift = Shift("mean", before, after, share=False)
    return effects, shift


def _pivot(column: NumericColumn) -> float:
    """What was taken off the values before their moments."""
    if keys.is_float(column.domain):
        return 0.0
    return float(keys.values_of(np.array([column.pivot], dtype=np.uint64), column.domain)[0])


def _bin_effects(p: bins.Counts, q: bins.Counts) -> dict[str, Effect]:
    """Jensen-Shannon and PSI without what noise adds on average, rare values pooled."""
    p, q = bins.pool_rare(p, q)
    used = int(np.count_nonzero(p.astype(np.float64) + q.astype(np.float64)))
    n, m = int(p.sum()), int(q.sum())
    js, js_floor = bins.js_divergence(p, q), bins.js_floor(used, n, m)
    psi, psi_floor = bins.psi(p, q), bins.psi_floor(used, n, m)
    excess = bins.chance_excess(used)
    divergence = _freed(js, js_floor, excess)
    numbers = (divergence.value, divergence.raw, divergence.noise_floor, divergence.chance, divergence.lower)
    return {
        "js_divergence": divergence,
        "js_distance": Effect(*(float(np.sqrt(x)) for x in numbers)),
        "psi": _freed(psi, psi_floor, excess),
    }


def _freed(raw: float, floor: float, excess: float) -> Effect:
    """A divergence that is like chi-square under chance: ``floor`` on average, ``floor * excess`` beyond it in 1%."""
    value = max(0.0, raw - floor)
    return Effect(value, raw, floor, floor * excess, max(0.0, value - floor * excess))


def _category_effects(
    column: CategoricalColumn, base: categorical.CategoryGroup, ours: categorical.CategoryGroup
) -> tuple[dict[str, Effect], Shift | None]:
    if base.rows == 0 or ours.rows == 0:
        return {}, None
    p, q = categorical.paired_counts(base, ours)
    a, b = bins.shares(p), bins.shares(q)
    at = int(np.argmax(np.abs(a - b)))
    names = ["missing", "other values"]
    if base.grid == "fine":
        names += [f"'{label}'" for label in column.labels]
        names += [
            f"'{v.decode('utf-8', errors='backslashreplace')}'" for v in sorted(set(base.unseen) | set(ours.unseen))
        ]
        assert len(base.slots) == FIRST_CATEGORY + len(column.categories)
    else:
        names += ["new values", *(f"'{column.labels[i]}'" for i in column.kept)]
    return _bin_effects(p, q), Shift(names[at], float(a[at]), float(b[at]), share=True)
