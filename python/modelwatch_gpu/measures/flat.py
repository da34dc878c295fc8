"""The tables of a profile as flat arrays, one entry a row, sorted by group: read once, sliced by groups many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.cells import Counts, Floats
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable, UInt32


def slice_of(group: npt.NDArray[Any], begin: int, end: int) -> slice:
    """The entries of the groups from ``begin`` to ``end``."""
    a, b = np.searchsorted(group, [begin, end]).tolist()
    return slice(a, b)


@dataclass(frozen=True, eq=False)
class NumericRows:
    """The fields of a ``NumericTable``."""

    cell_group: UInt32
    cell: UInt32
    count: Counts
    gap_group: UInt32
    gap: UInt32
    gap_sum: Counts
    range_group: UInt32
    low: Counts
    high: Counts
    tails: dict[int, tuple[int, int]]
    moment_group: UInt32
    moment_count: Counts
    moments: Floats

    @classmethod
    def of(cls, table: NumericTable) -> NumericRows:
        """From a table."""
        return cls(**{name: getattr(table, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class CategoryRows:
    """The fields of a ``CategoryTable``."""

    cell_group: UInt32
    cell: UInt32
    count: Counts
    unseen_group: UInt32
    unseen_index: UInt32
    unseen_count: Counts

    @classmethod
    def of(cls, table: CategoryTable) -> CategoryRows:
        """From a table."""
        return cls(**{name: getattr(table, name) for name in cls.__dataclass_fields__})


Rows = NumericRows | CategoryRows


def rows_of(table: NumericTable | CategoryTable) -> Rows:
    """The flat arrays of either kind of table."""
    return NumericRows.of(table) if isinstance(table, NumericTable) else CategoryRows.of(table)
