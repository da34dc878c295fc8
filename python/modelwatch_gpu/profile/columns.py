"""What a baseline knows of each column: its kind, its two nested grids, its default bin edges."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core, keys
from modelwatch_gpu.keys import UInt64
from modelwatch_gpu.units import in_units, unit_of

UInt32 = npt.NDArray[np.uint32]

#: Slots of a categorical column, see ``cpp/engine/category_state.hpp``.
NULL_SLOT, OTHER_SLOT, FIRST_CATEGORY = 0, 1, 2
#: Slots of its coarse grid: null, other, unseen, then the categories kept apart.
COARSE_UNSEEN, COARSE_FIRST = 2, 3
#: Knots (or categories) of a coarse grid, at most (DESIGN 3.4).
COARSE_KNOTS = 128


@dataclass(frozen=True, eq=False)
class NumericColumn:
    """A numeric column of a baseline.

    ``knots``: uint64 keys, strictly increasing; a float column begins with -inf and ends with +inf.
    ``coarse``: indices of the knots that make the coarse grid. ``edges``: indices of the knots at which the bins (a, b]
    are cut; ``deciles``: the same edges before they were moved to a value of the column's type, in the column's units:
    the baseline's deciles, or what the user gave instead. ``exact``: every distinct baseline value is a knot.
    ``pivot``: key taken off before moments (integers only). ``scale``: of a decimal column, whose values are counted as
    whole numbers of 10^-scale; 0 of every other.
    """

    name: str
    role: str
    type: str
    domain: str
    knots: UInt64
    coarse: UInt32
    edges: UInt32
    deciles: tuple[float, ...]
    exact: bool
    pivot: int
    scale: int = 0

    kind = "numeric"

    @property
    def slots(self) -> int:
        """Cells of the fine grid and the slots for NaN and null."""
        return 2 * len(self.knots) + 3

    @property
    def coarse_slots(self) -> int:
        """Cells of the coarse grid and the slots for NaN and null."""
        return 2 * len(self.coarse) + 3

    @cached_property
    def grid(self) -> _core.Grid:
        """The engine's grid in the column's own domain."""
        return _core.Grid(keys.DOMAINS[self.domain], self.knots)

    def __getstate__(self) -> dict[str, Any]:
        # The engine's grid stays in its process; a copy makes its own.
        return {name: value for name, value in vars(self).items() if name != "grid"}

    @cached_property
    def to_coarse(self) -> UInt32:
        """Coarse slot of every fine slot."""
        fine = np.arange(2 * len(self.knots) + 1)
        at = np.searchsorted(self.coarse, fine // 2)
        padded = np.append(self.coarse.astype(np.int64), -1)
        cells = 2 * at + ((fine % 2 == 1) & (padded[at] == fine // 2))
        special = [2 * len(self.coarse) + 1, 2 * len(self.coarse) + 2]
        return np.concatenate([cells, special]).astype(np.uint32)

    @cached_property
    def values(self) -> npt.NDArray[Any]:
        """Knots as values of the domain's dtype."""
        return keys.values_of(self.knots, self.domain)

    @property
    def unit(self) -> Fraction:
        """What one step of the domain is worth in the column's units."""
        return unit_of(self.scale)

    def in_units(self, value: Any) -> float:
        """A value of the domain, or a mean or a distance of such values, in the column's units."""
        return in_units(value, self.scale)

    @cached_property
    def coarse_edges(self) -> UInt32:
        """The default edges as indices of the coarse grid's knots."""
        return np.searchsorted(self.coarse, self.edges).astype(np.uint32)


@dataclass(frozen=True, eq=False)
class CategoricalColumn:
    """A categorical column of a baseline: its categories as bytes, sorted.

    ``cap``: None, or the largest (hash, bytes) that was kept where the baseline had more categories than it may keep.
    ``kept``: indices of the categories that the coarse grid keeps apart, the most frequent ones.
    """

    name: str
    role: str
    type: str
    categories: tuple[bytes, ...]
    cap: tuple[int, bytes] | None
    kept: UInt32

    kind = "categorical"

    @property
    def slots(self) -> int:
        """Slots of the fine grid without unseen values."""
        return FIRST_CATEGORY + len(self.categories)

    @property
    def coarse_slots(self) -> int:
        """Slots of the coarse grid."""
        return COARSE_FIRST + len(self.kept)

    @cached_property
    def to_coarse(self) -> UInt32:
        """Coarse slot of every category."""
        slots = np.full(len(self.categories), OTHER_SLOT, dtype=np.uint32)
        slots[self.kept] = COARSE_FIRST + np.arange(len(self.kept), dtype=np.uint32)
        return slots

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Categories as text; bytes that are not UTF-8 are shown escaped."""
        return tuple(label_of(c) for c in self.categories)


Column = NumericColumn | CategoricalColumn


def label_of(value: bytes) -> str:
    """A category as text; bytes that are not UTF-8 are shown escaped."""
    return value.decode("utf-8", errors="backslashreplace")
