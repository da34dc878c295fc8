"""Counts of dictionary codes, one thread, against NumPy, pyarrow and a loop into one table.

The engine validates every code before it counts, and reads the codes twice for that; the loop does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from kernel_columns import MANY

from modelwatch_gpu import _core


def _codes(share: float, categories: int) -> Any:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, categories, MANY, dtype=np.int32)
    codes[rng.random(MANY) < share] = 3
    return codes


def _plan(categories: int) -> _core.CategoryPlan:
    slots = categories + 2
    return _core.CategoryPlan(
        known=[f"{i:06d}".encode() for i in range(categories)],
        to_coarse=np.arange(slots, dtype=np.uint32),
        coarse_slots=slots,
        unseen_cap=100,
        known_cap=None,
    )


def _one_table() -> Callable[[Any, int], Any]:
    """A compiled loop that counts into one table."""
    numba = pytest.importorskip("numba")

    def count(codes: Any, categories: int) -> Any:
        counts = np.zeros(categories, np.uint32)
        for code in codes:
            counts[code] += 1
        return counts

    return numba.njit(count)


@pytest.mark.parametrize("peer", ["numpy.bincount", "pyarrow.compute.value_counts", "one table"])
@pytest.mark.parametrize("share", [0.0, 0.95], ids=["even", "skewed"])
@pytest.mark.parametrize("categories", [10, 200, 20_000])
def test_counts_of_codes(categories: int, share: float, peer: str, race: Callable[..., Any]) -> None:
    codes = _codes(share, categories)
    names = [f"{i:06d}" for i in range(categories)]
    column = pa.DictionaryArray.from_arrays(codes, names)
    batch = pa.record_batch({"c": column})
    plan = _plan(categories)

    def ours() -> Any:
        counter = _core.Counter([plan], [_core.SetPlan(coarse=False, moments=False)])
        counter.add(batch, [None], 1)
        return counter.category(0, 0)

    one_table = _one_table() if peer == "one table" else None

    def theirs() -> Any:
        if one_table is not None:
            return one_table(codes, categories)
        if peer == "numpy.bincount":
            return np.bincount(codes, minlength=categories)
        return pc.value_counts(column)

    mine, other = race(ours, theirs, peer, MANY, codes.nbytes)
    if peer != "pyarrow.compute.value_counts":
        assert sorted(_counts(mine)) == sorted(int(c) for c in other if c)
    assert sum(_counts(mine)) == MANY


@pytest.mark.parametrize("categories", [200, 20_000])
def test_a_counter_that_lives_on_counts_codes(categories: int, race: Callable[..., Any]) -> None:
    """As a log's batches are counted: the counter and what it knows of their dictionary were there before."""
    codes = _codes(0.95, categories)
    column = pa.DictionaryArray.from_arrays(codes, [f"{i:06d}" for i in range(categories)])
    batch = pa.record_batch({"c": column})
    counter = _core.Counter([_plan(categories)], [_core.SetPlan(coarse=False, moments=False)])
    count = _one_table()
    times = 0

    def ours() -> None:
        nonlocal times
        counter.add(batch, [None], 1)
        times += 1

    _, other = race(ours, lambda: count(codes, categories), "one table", MANY, codes.nbytes)
    assert sorted(_counts(counter.category(0, 0))) == sorted(int(c) * times for c in other if c)


def _counts(result: dict[str, Any]) -> list[int]:
    arrays = [np.asarray(v).ravel() for k, v in result.items() if "count" in k]
    return [int(c) for a in arrays for c in a if c]
