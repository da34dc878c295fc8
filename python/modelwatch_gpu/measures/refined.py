"""Measures made sharper by what a group keeps of the values between its knots (decision 0006)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures import rank, sketch
from modelwatch_gpu.measures.cells import Cells, Floats
from modelwatch_gpu.measures.quantiles import quantile_bounds
from modelwatch_gpu.measures.value import Values
from modelwatch_gpu.profile.sketches import Sketches


@dataclass(frozen=True, eq=False)
class GroupSketches:
    """The sketches of a run of groups: group g of the run is group ``first`` + g of the table."""

    sketches: Sketches
    first: int

    def buckets(self, group: int) -> sketch.Buckets:
        """Buckets of the group's values between knots, and their counts."""
        return self.sketches.buckets_of(self.first + group)

    def estimate(self, group: int) -> float:
        """Distinct values without a count of their own; NaN where there is none, or nobody kept registers."""
        registers = self.sketches.registers_of(self.first + group)
        return np.nan if registers is None else sketch.distinct_estimate(registers)


def distinct(found: Values, own: GroupSketches, counted: npt.NDArray[Any]) -> Values:
    """Distinct values: ``counted`` (groups,) have counts of their own, the registers estimate the rest. The certified
    bounds of ``found`` stay."""
    estimates = np.array([own.estimate(g) for g in range(len(found))])
    if np.isnan(estimates).all():
        return found
    value = np.where(np.isnan(estimates), found.value, counted + np.rint(estimates))
    value = np.minimum(np.maximum(value, found.lower), found.upper)
    return Values(np.where(np.isnan(found.lower), found.value, value), found.lower, found.upper, found.n, found.reason)


def pairs(
    found: dict[str, Values], knots: npt.NDArray[Any], earlier: Cells, current: Cells, own: GroupSketches
) -> dict[str, Values]:
    """KS and CvM of every group against the one before it, on the grid that the knots and the buckets of both make.

    ``earlier``, ``current``: groups 0, 1, ... and 1, 2, ... of ``own``.
    """
    measures = {"ks": rank.ks, "cvm": rank.cvm}
    out = {name: [np.array(a) for a in (v.value, v.lower, v.upper)] for name, v in found.items() if name in measures}
    for g in range(current.groups):
        buckets = [own.buckets(g), own.buckets(g + 1)]
        if not all(len(b) for b, _ in buckets):
            continue  # no gap holds rows of both
        cells = [side.take(g, g + 1).counts[0].astype(np.uint64) for side in (earlier, current)]
        _, finer = sketch.refine(knots, cells, buckets)
        for name, (value, lower, upper) in out.items():
            sharper = measures[name](*finer)
            if sharper.lower is None or sharper.upper is None or not np.isfinite(lower[g] + upper[g]):
                continue
            lower[g], upper[g] = max(lower[g], sharper.lower), min(upper[g], sharper.upper)
            value[g] = sharper.value if sharper.value is not None else lower[g] + (upper[g] - lower[g]) / 2
    sharpened = {
        name: Values(value, lower, upper, found[name].n, found[name].reason)
        for name, (value, lower, upper) in out.items()
    }
    return {**found, **sharpened}


def quantiles(
    found: Sequence[Values],
    probabilities: Sequence[float],
    knots: npt.NDArray[Any],
    cells: Cells,
    ends: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    own: GroupSketches,
) -> list[Values]:
    """Quantiles that lie in a gap, between the edges of buckets instead of the knots around the gap."""
    out: list[list[Floats]] = [[np.array(a) for a in (v.value, v.lower, v.upper)] for v in found]
    for g in range(cells.groups):
        open_ended = [i for i, (_, lower, upper) in enumerate(out) if lower[g] < upper[g]]
        buckets = own.buckets(g)
        if not open_ended or not len(buckets[0]):
            continue
        counts = cells.take(g, g + 1).counts[0].astype(np.uint64)
        finer_knots, (finer,) = sketch.refine(knots, [counts], [buckets])
        low, high = (end[g : g + 1] for end in ends)
        asked = [probabilities[i] for i in open_ended]
        sharper = quantile_bounds(Cells.dense(finer), finer_knots, asked, low, high)
        for i, new in zip(open_ended, sharper, strict=True):
            value, lower, upper = out[i]
            lower[g], upper[g] = max(lower[g], new.lower[0]), min(upper[g], new.upper[0])
            value[g] = min(max(new.value[0], lower[g]), upper[g])
    return [Values(value, lower, upper, v.n, v.reason) for (value, lower, upper), v in zip(out, found, strict=True)]
