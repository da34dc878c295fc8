"""All measures of one categorical column in one group, from state alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwatch_gpu.measures import bins
from modelwatch_gpu.measures.numeric import missing_measures
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.profile.columns import (
    COARSE_UNSEEN,
    FIRST_CATEGORY,
    NULL_SLOT,
    OTHER_SLOT,
    CategoricalColumn,
)
from modelwatch_gpu.profile.tables import CategoryTable, Counts


@dataclass(frozen=True)
class CategoryGroup:
    """One group of one column. ``slots``: counts by slot of the grid. ``unseen``: values the baseline lacks."""

    grid: str
    slots: Counts
    unseen: dict[bytes, int]

    @property
    def rows(self) -> int:
        """All rows, nulls included."""
        return int(self.slots.sum()) + sum(self.unseen.values())

    @property
    def missing(self) -> int:
        """Null rows."""
        return int(self.slots[NULL_SLOT])


def category_group(column: CategoricalColumn, table: CategoryTable, group: int, grid: str) -> CategoryGroup:
    """Reads one group of a table that was counted on ``grid``."""
    fine = grid == "fine"
    slots = table.of_group(group, column.slots if fine else column.coarse_slots)
    return CategoryGroup(grid, slots, table.unseen_of(group) if fine else {})


def coarsened(column: CategoricalColumn, fine: CategoryGroup) -> CategoryGroup:
    """The same group on the coarse grid."""
    slots = np.zeros(column.coarse_slots, dtype=np.uint64)
    slots[:FIRST_CATEGORY] = fine.slots[:FIRST_CATEGORY]
    slots[COARSE_UNSEEN] = sum(fine.unseen.values())
    if column.cap is None:  # then `other` holds unseen values beyond the cap, and nothing else
        slots[COARSE_UNSEEN] += slots[OTHER_SLOT]
        slots[OTHER_SLOT] = 0
    np.add.at(slots, column.to_coarse, fine.slots[FIRST_CATEGORY:])
    return CategoryGroup("coarse", slots, {})


def paired_counts(baseline: CategoryGroup, current: CategoryGroup) -> tuple[Counts, Counts]:
    """Both groups as histograms over every value of either; null is a value of its own."""
    values = sorted(set(baseline.unseen) | set(current.unseen))
    if not values:
        return baseline.slots, current.slots
    extra = [np.array([g.unseen.get(v, 0) for v in values], dtype=np.uint64) for g in (baseline, current)]
    return np.concatenate([baseline.slots, extra[0]]), np.concatenate([current.slots, extra[1]])


def category_measures(column: CategoricalColumn, baseline: CategoryGroup, current: CategoryGroup) -> dict[str, Value]:
    """Every categorical measure of DESIGN 7 by id. Both groups must be on one grid."""
    m = current.rows
    out = missing_measures(0, baseline.missing, baseline.rows, 0, current.missing, m)
    del out["nan"]
    if m == 0 or baseline.rows == 0:
        reason = "empty" if m == 0 else "baseline_all_missing"
        return {**{name: Value.absent(reason, m) for name in (*bins.BIN_MEASURES, "unseen", "distinct")}, **out}
    p, q = paired_counts(baseline, current)
    for name, measure in bins.BIN_MEASURES.items():
        out[name] = Value.exact(measure(p, q), m)
    pooled = [OTHER_SLOT, COARSE_UNSEEN] if current.grid == "coarse" else [OTHER_SLOT]
    if int(p[pooled].sum()) or int(q[pooled].sum()):
        _bound_pooled(out, p, q, m, pooled)
    present = m - current.missing
    out["unseen"] = _unseen(column, current, present) if present else Value.absent("all_missing", m)
    out["distinct"] = _distinct(column, current, present)
    return out


def _bound_pooled(out: dict[str, Value], p: Counts, q: Counts, m: int, hidden: list[int]) -> None:
    """Several values share a cell, so what they did to each other is unseen.

    Pooling can only shrink a divergence of the f family, so the number is a lower bound; the upper one takes the two
    shares of the cell as disjoint. Floored sums (psi, kl) can move either way and have no bounds.
    """
    both = bins.shares(p), bins.shares(q)
    a, b = float(both[0][OTHER_SLOT]), float(both[1][OTHER_SLOT])
    most = float(max(np.max(s[hidden]) for s in both))
    apart = [np.append(np.delete(s, OTHER_SLOT), extra) for s, extra in zip(both, ([a, 0.0], [0.0, b]), strict=True)]
    for name in ("js_divergence", "js_distance", "tv", "hellinger"):
        value, upper = out[name].value or 0.0, bins.BIN_MEASURES[name](*apart)
        out[name] = Value.between(value, upper, m, value=value)
    certain = float(np.max(np.abs(np.delete(both[0] - both[1], hidden)), initial=0.0))
    out["l_infinity"] = Value.between(certain, max(certain, most), m, value=out["l_infinity"].value)
    if a and b:
        out["chi_square"] = Value(out["chi_square"].value, out["chi_square"].value, None, m)
    for name in ("psi", "kl"):
        out[name] = Value(out[name].value, None, None, m)


def _unseen(column: CategoricalColumn, current: CategoryGroup, present: int) -> Value:
    """Share of rows whose value the baseline does not have. On the fine grid `other` holds unseen values beyond the
    cap; where the baseline kept only some of its own categories, `other` may be known values or unseen ones."""
    rows = int(current.slots[COARSE_UNSEEN]) if current.grid == "coarse" else sum(current.unseen.values())
    other = int(current.slots[OTHER_SLOT])
    if column.cap is not None:
        return Value.between(rows / present, (rows + other) / present, present, value=rows / present)
    return Value.exact((rows if current.grid == "coarse" else rows + other) / present, present)


def _distinct(column: CategoricalColumn, current: CategoryGroup, present: int) -> Value:
    """Distinct values; a pooled cell with c rows holds between 1 and c."""
    pooled = [int(current.slots[OTHER_SLOT])]
    first = FIRST_CATEGORY
    if current.grid == "coarse":
        pooled.append(int(current.slots[COARSE_UNSEEN]))
        first = COARSE_UNSEEN + 1
    known = int(np.count_nonzero(current.slots[first:])) + len(current.unseen)
    lower, upper = known + sum(1 for c in pooled if c), known + sum(pooled)
    return Value.between(float(lower), float(upper), present, value=float(lower) if lower == upper else None)
