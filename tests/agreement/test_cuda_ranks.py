"""Ranking on every device against the reference, on arrays as users slice them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from columns import ARROW, DOMAINS, grid_and_knots, seeded

from modelwatch_gpu import _core
from modelwatch_gpu.device import Engine

#: Knots for which a block counts in its own memory, and more than fit there (RankTuning::kMostPrivateSlots).
KNOTS = (3, 5000)
SIZES = (0, 1, 31, 32, 33, 1023, 1024, 1025, 3000)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("knots", KNOTS)
def test_cells_are_the_references_on_every_device(engine: Engine, domain: str, knots: int) -> None:
    values = seeded(domain, 4000, knots)
    chosen = seeded(domain, 2 * knots, knots + 1)
    grid, on_knots = grid_and_knots(domain, np.unique(chosen[chosen == chosen]).tolist())
    assert (grid.slots > 8192) == (knots > 3)
    for rows in SIZES:
        for offset in (0, 3):
            array = pa.array(values, ARROW[domain], mask=np.arange(4000) % 7 == 2).slice(offset, rows)
            expected = _core.reference.count_cells(array, on_knots)
            np.testing.assert_array_equal(engine.count_cells(array, grid), expected)
            cells = engine.rank_cells(array, grid)
            np.testing.assert_array_equal(cells, _core.rank_cells(array, grid))
            np.testing.assert_array_equal(np.bincount(cells, minlength=grid.slots), expected)
