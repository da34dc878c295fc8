"""What the log-linear histogram and the registers of a group say: finer grids, and distinct values."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core, keys
from modelwatch_gpu.profile.sketches import MOST_RANK, REGISTERS, UInt8, UInt32, UInt64

Buckets = tuple[UInt32, UInt64]
Counts = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

#: The bits of a key that its bucket leaves out.
BUCKET_SHIFT: Final = np.uint64(45)
_ALPHA: Final = 1 / (2 * np.log(2))


def refine(
    knots: npt.NDArray[Any], cells: list[Counts], buckets: list[Buckets]
) -> tuple[npt.NDArray[np.float64], list[Counts]]:
    """Cuts a grid finer at the edges of the log-linear buckets that its groups use.

    Args:
        knots: (M,) values of the knots in the column's dtype.
        cells: (2M+1,) cell counts of each group.
        buckets: For each group, buckets of its values *between* knots, ascending, with their counts.

    Returns:
        (M',) knots as float64 with the edges among them, and each group's (2M'+1,) cells. Values at an edge stand in
        the gap behind it, so an edge's own cell is empty; cumulative counts at every point are exact. An integer beyond
        2^53 stands on that side of an edge on which its float64 neighbour stands, for all groups alike.
    """
    place = keys.keys_of(knots.astype(np.float64), "float64")
    used = np.unique(np.concatenate([b for b, _ in buckets]).astype(np.uint64)) if buckets else np.empty(0, np.uint64)
    cuts = np.unique(np.concatenate([used, used + np.uint64(1)])) << BUCKET_SHIFT
    # A bucket's end may lie beyond every value a key can be of: there is nothing to cut.
    cuts = cuts[(cuts > keys.infinities("float64")[0]) & (cuts < keys.infinities("float64")[1])]
    if not len(cuts):
        return knots.astype(np.float64), cells
    at = np.searchsorted(place, cuts, side="left")
    out = []
    for own, (bucket, count) in zip(cells, buckets, strict=True):
        ends = np.cumsum(own, dtype=np.uint64)
        on_knots = np.concatenate([[np.uint64(0)], np.cumsum(own[1::2], dtype=np.uint64)])
        within = np.concatenate([[np.uint64(0)], np.cumsum(count, dtype=np.uint64)])
        below = on_knots[at] + within[np.searchsorted(bucket.astype(np.uint64) << BUCKET_SHIFT, cuts, side="left")]
        finer = np.insert(ends, np.repeat(2 * at, 2), np.repeat(below, 2))
        out.append(np.diff(finer, prepend=np.uint64(0)))
    return np.insert(knots.astype(np.float64), at, keys.values_of(cuts, "float64")), out


def distinct_estimate(registers: UInt8) -> float:
    """How many different values the registers have seen; standard error 1.6%."""
    return float(distinct_estimates(registers[None, :])[0])


def distinct_estimates(registers: UInt8) -> Floats:
    """``distinct_estimate`` of every row of (groups, 4096) registers.

    The improved raw estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017): no
    thresholds and no tables of corrections.
    """
    counts = _core.register_counts(registers, MOST_RANK + 1).T.astype(np.float64)
    total = REGISTERS * _tau(1 - counts[MOST_RANK] / REGISTERS)
    for rank in range(MOST_RANK - 1, 0, -1):
        total = 0.5 * (total + counts[rank])
    total = total + REGISTERS * _sigma(counts[0] / REGISTERS)
    return np.where(np.isfinite(total), _ALPHA * REGISTERS * REGISTERS / total, 0.0)


def _sigma(x: Floats) -> Floats:
    """x + SUM over k >= 1 of x^(2^k) 2^(k - 1); inf at 1."""
    x, power, total = x.copy(), 1.0, np.where(x == 1.0, np.inf, x)
    going = total < np.inf
    while going.any():
        x = x * x
        last = total
        total = np.where(going, total + x * power, total)
        power += power
        going &= total != last
    return total


def _tau(x: Floats) -> Floats:
    """(1 - x - SUM over k >= 1 of (1 - x^(2^-k))^2 2^-k) / 3; 0 at 0 and 1."""
    going = (x != 0.0) & (x != 1.0)
    power, total = 1.0, np.where(going, 1 - x, 0.0)
    while going.any():
        x = np.sqrt(x)
        last = total
        power *= 0.5
        total = np.where(going, total - (1 - x) ** 2 * power, total)
        going &= total != last
    return total / 3
