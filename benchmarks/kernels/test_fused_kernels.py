"""One pass that counts all a column's role asks for, against its most expensive part alone. One thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kernel_columns import Kind

from modelwatch_gpu import _core, keys


def _grid(x: Any, knots: int) -> _core.Grid:
    cuts = np.unique(np.quantile(x[:500_000], np.linspace(0, 1, knots)).astype("f4"))
    return _core.Grid(keys.DOMAINS["float32"], np.union1d(keys.infinities("float32"), keys.keys_of(cuts, "float32")))


def _counted(batch: pa.RecordBatch, grid: _core.Grid, *, moments: bool, sketches: bool) -> dict[str, Any]:
    plan = _core.NumericPlan(
        grid=grid,
        to_fine=np.empty(0, dtype=np.uint32),
        fine_slots=grid.slots,
        to_coarse=np.empty(0, dtype=np.uint32),
        coarse_slots=0,
        gap_shift=0,
        pivot=0,
    )
    counter = _core.Counter([plan], [_core.SetPlan(coarse=False, moments=moments, sketches=sketches)])
    counter.add(batch, [None], 1)
    return counter.numeric(0, 0)


@pytest.mark.parametrize("knots", [256, 4096])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_one_pass_against_its_dearest_part(shape: str, knots: int, race: Callable[..., Any]) -> None:
    x = Kind(shape=shape).values()
    array = pa.array(x)
    batch = pa.record_batch({"x": array})
    grid = _grid(x, knots)
    whole, part = race(
        lambda: _counted(batch, grid, moments=True, sketches=True),
        lambda: _counted(batch, grid, moments=False, sketches=False),
        "rank counts and gap sums alone",
        len(x),
        x.nbytes,
    )
    for name in ("cell", "count", "gap_sum", "low", "high"):
        assert np.array_equal(whole[name], part[name])
    assert whole["moments"][0, 0] == _core.column_moments(array, None, 1)["mean"]


@pytest.mark.parametrize("knots", [256, 4096])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_one_pass_against_its_parts_one_after_the_other(shape: str, knots: int, race: Callable[..., Any]) -> None:
    x = Kind(shape=shape).values()
    array = pa.array(x)
    batch = pa.record_batch({"x": array})
    grid = _grid(x, knots)

    def apart() -> Any:
        _core.log_linear_counts(array, 1)
        _core.column_registers(array, 1)
        moments = _core.column_moments(array, None, 1)
        return _counted(batch, grid, moments=False, sketches=False), moments

    whole, (part, moments) = race(
        lambda: _counted(batch, grid, moments=True, sketches=True), apart, "four reads", len(x), x.nbytes
    )
    assert np.array_equal(whole["count"], part["count"])
    assert whole["moments"][0, 0] == moments["mean"]
