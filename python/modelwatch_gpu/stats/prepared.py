"""A reference that is sorted once and compared with many samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import as_columns, in_domain, present_values
from modelwatch_gpu.stats.cells import distinct_keys, knots_of


@dataclass(frozen=True, eq=False)
class Ranked:
    """``grid``: the distinct values of a column, sorted; ``upto``: (2M+1,) int64, its rows at or below each cell's
    end; ``rows``: those with a value."""

    grid: _core.Grid
    upto: npt.NDArray[np.int64]
    rows: int


def ranked(array: pa.Array, domain: str) -> Ranked:
    """A column of the domain, sorted."""
    own, counts = distinct_keys(present_values(array), domain)
    knots = knots_of(domain, own)
    cells = np.zeros(2 * len(knots) + 1, dtype=np.int64)
    cells[2 * np.searchsorted(knots, own) + 1] = counts
    upto = np.cumsum(cells)
    return Ranked(_core.Grid(keys.DOMAINS[domain], knots), upto, int(upto[-1]))


class Prepared:
    """A reference that many samples are compared with: pass it as ``reference`` to any function of two samples. The
    numbers are the same; ``ks`` is the faster for it, since it neither sorts the reference nor builds the index again.

    Args:
        reference: (n,) or (n, columns). Its memory is shared and must not change afterwards.
    """

    def __init__(self, reference: Any) -> None:
        columns, self.batched = as_columns(reference, "reference")
        self.columns = list(columns)
        self._ranked: dict[tuple[int, str], Ranked] = {}
        for column in self.columns:
            domain = keys.domain_of(column.type)
            if domain is not None:
                self.ranked(column, domain)

    def ranked(self, column: pa.Array, domain: str) -> Ranked | None:
        """The sorted values of one of the columns, None if it is not one of them."""
        for place, own in enumerate(self.columns):
            if own is column:
                if (place, domain) not in self._ranked:
                    self._ranked[place, domain] = ranked(in_domain(column, domain, "reference"), domain)
                return self._ranked[place, domain]
        return None
