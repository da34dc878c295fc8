"""Counts of plain text, one thread, against pyarrow: the whole way from an Arrow column to counts in order of value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from modelwatch_gpu import _core

ROWS = 2_000_000
#: Unseen values that a column of a profile keeps, categories that a fit keeps, and more than there are.
CAPS = {"profile": 10_000, "fit": 131_072, "all": 4_000_000}


def _column(distinct: int, shape: str, width: int) -> pa.Array:
    rng = np.random.default_rng(4)
    names = pa.array([f"{i * 7919 % 1_000_003:0{width}d}" for i in range(distinct)])
    if shape == "skewed":
        codes = np.minimum((3 * rng.pareto(1.1, ROWS)).astype(np.int64), distinct - 1)
    else:
        codes = rng.integers(0, distinct, ROWS)
    return names.take(pa.array(codes))


@pytest.mark.parametrize("keep", CAPS)
@pytest.mark.parametrize("width", [7, 40], ids=["short", "long"])
@pytest.mark.parametrize("shape", ["even", "skewed"])
@pytest.mark.parametrize("distinct", [200, 10_000, 1_000_000])
def test_counts_of_text(distinct: int, shape: str, width: int, keep: str, race: Callable[..., Any]) -> None:
    column = _column(distinct, shape, width)
    plan = _core.CategoryPlan(
        known=[], to_coarse=np.empty(0, np.uint32), coarse_slots=3, unseen_cap=CAPS[keep], known_cap=None
    )
    batch = pa.record_batch({"c": column})

    def ours() -> Any:
        counter = _core.Counter([plan], [_core.SetPlan(coarse=False, moments=False)])
        counter.add(batch, [None], 1)
        return counter.category(0, 0)

    before = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        mine, other = race(ours, lambda: pc.value_counts(column), "pyarrow.compute.value_counts", ROWS, column.nbytes)
    finally:
        pa.set_cpu_count(before)
    expected = {
        value.encode(): count
        for value, count in zip(other.field("values").to_pylist(), other.field("counts").to_pylist(), strict=True)
    }
    found = {
        mine["unseen"][i]: n for i, n in zip(mine["unseen_index"].tolist(), mine["unseen_count"].tolist(), strict=True)
    }
    assert sum(mine["count"].tolist()) + sum(found.values()) == ROWS
    assert all(expected[value] == count for value, count in found.items())
    assert len(found) == min(len(expected), CAPS[keep])
