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

#: Measures that only grow when cells are split, so a pooled cell gives a lower bound; and the most that two shares
#: p and q pooled in one cell can add (all of it disjoint).
_POOLED_UPPER = {
    "js_divergence": lambda p, q: (p + q) / 2,
    "tv": lambda p, q: (p + q) / 2,
}


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

    @property
    def unseen_rows(self) -> int:
        """Rows whose value the baseline does not have (those beyond the cap included)."""
        if self.grid == "coarse":
            return int(self.slots[COARSE_UNSEEN])
        return sum(self.unseen.values())


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
    pooled = int(p[OTHER_SLOT]) > 0 and int(q[OTHER_SLOT]) > 0
    if current.grid == "coarse":
        pooled = pooled or int(q[COARSE_UNSEEN]) > 0
    for name, measure in bins.BIN_MEASURES.items():
        out[name] = Value.exact(measure(p, q), m)
    if pooled:
        _bound_pooled(out, p, q, m)
    present = m - current.missing
    out["unseen"] = Value.exact(current.unseen_rows / present, present) if present else Value.absent("all_missing", m)
    out["distinct"] = _distinct(column, current, present)
    return out


def _bound_pooled(out: dict[str, Value], p: Counts, q: Counts, m: int) -> None:
    """Several values share the cell `other`: what they hide is at most what disjoint values would add."""
    a, b = bins.shares(p)[OTHER_SLOT], bins.shares(q)[OTHER_SLOT]
    middle = (a + b) / 2
    seen = {
        "js_divergence": (a * np.log2(a / middle) + b * np.log2(b / middle)) / 2 if a and b else 0.0,
        "tv": abs(a - b) / 2,
    }
    for name, most in _POOLED_UPPER.items():
        value = out[name].value or 0.0
        out[name] = Value(value, value, min(1.0, value - float(seen[name]) + float(most(a, b))), m)
    upper = out["js_divergence"].upper or 0.0
    distance = out["js_distance"].value or 0.0
    out["js_distance"] = Value(distance, distance, float(np.sqrt(upper)), m)


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
