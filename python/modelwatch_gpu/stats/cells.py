"""Two columns counted on the grid of all their distinct values: where every measure by rank is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import keys
from modelwatch_gpu.arrays import common_domain, in_domain, present_values
from modelwatch_gpu.device import engine
from modelwatch_gpu.measures import rank
from modelwatch_gpu.measures.value import Value

Counts = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class JointCells:
    """``knots``: (M,) values in the columns' common type, sorted; of floats the first is -inf and the last +inf.
    ``reference``, ``current``: (2M+1,) cell counts; nothing lies in a gap. ``missing``: of the current side."""

    knots: npt.NDArray[Any]
    reference: Counts
    current: Counts
    missing: int

    @property
    def n(self) -> int:
        """Rows with a value in the reference."""
        return int(self.reference.sum())

    @property
    def m(self) -> int:
        """Rows with a value in the current sample."""
        return int(self.current.sum())


def comparable(a: pa.Array, b: pa.Array, names: tuple[str, str] = ("reference", "current")) -> tuple[Any, Any, str]:
    """Both columns in the one domain where their values are exact, and its name."""
    domain = common_domain(a, b, names)
    return in_domain(a, domain, names[0]), in_domain(b, domain, names[1]), domain


def distinct_keys(values: npt.NDArray[Any], domain: str) -> tuple[Counts, npt.NDArray[np.int64]]:
    """(D,) keys of the distinct values, sorted, and how often each occurs."""
    distinct, counts = np.unique(values, return_counts=True)
    # -0.0 and 0.0 are one value to NumPy too, so distinct values have distinct keys.
    return keys.keys_of(distinct, domain), counts


def knots_of(domain: str, *sides: Counts) -> Counts:
    """The sorted keys of all sides, each sorted on its own, and of the infinities of a float domain.

    ``numpy.unique`` would hash them first, which takes several times as long as merging sorted runs.
    """
    every = np.sort(np.concatenate([keys.infinities(domain), *sides]), kind="stable")
    return every[np.concatenate([[True], every[1:] != every[:-1]])] if len(every) else every


def distinct_of(column: Any, domain: str, device: str = "cpu") -> tuple[Counts, npt.NDArray[np.int64]]:
    """``distinct_keys`` of a column of the domain, which is sorted on the device. Null and NaN are left out."""
    if device == "cpu":
        return distinct_keys(present_values(column), domain)
    counting: Any = engine(device)
    found = counting.distinct_keys(column, keys.DOMAINS[domain])
    return found["keys"], found["counts"].astype(np.int64)


def joint_cells(a: pa.Array, b: pa.Array, device: str = "cpu") -> JointCells:
    """Counts of both columns, each sorted once in its own type. Null and NaN are left out."""
    a, b, domain = comparable(a, b)
    sides = [distinct_of(column, domain, device) for column in (a, b)]
    knots = knots_of(domain, sides[0][0], sides[1][0])
    cells = []
    for own, counts in sides:
        of_side = np.zeros(2 * len(knots) + 1, dtype=np.uint64)
        of_side[2 * np.searchsorted(knots, own) + 1] = counts
        cells.append(of_side)
    missing = len(b) - int(sides[1][1].sum())
    return JointCells(keys.values_of(knots, domain), cells[0], cells[1], missing)


def exact_wasserstein(cells: JointCells) -> Value:
    """Wasserstein-1 where nothing lies in a gap: the bounds are as wide as rounding."""
    sides = [rank.RankedSample(c, None) for c in (cells.reference, cells.current)]
    return rank.wasserstein(sides[0], sides[1], cells.knots)
