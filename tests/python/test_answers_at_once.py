"""Answers are counted apart for each label in the same pass as all columns: the same as in a pass of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modelwatch_gpu import _core, keys
from modelwatch_gpu.errors import InputError

ROWS = 50_000
ALL = [
    _core.SetPlan(coarse=False, moments=True, sketches=True),
    _core.SetPlan(coarse=True, moments=True),
]
ANSWERS = [_core.SetPlan(coarse=False, moments=False), _core.SetPlan(coarse=True, moments=False)]


def _numbers(knots: Any) -> _core.NumericPlan:
    own = keys.keys_of(np.unique(np.asarray(knots, dtype=np.float32)), "float32")
    grid = _core.Grid(keys.DOMAINS["float32"], np.union1d(own, keys.infinities("float32")))
    coarse = np.minimum(np.arange(grid.slots, dtype=np.uint32) // 9, 7).astype(np.uint32)
    none = np.empty(0, dtype=np.uint32)
    return _core.NumericPlan(
        grid=grid, to_fine=none, fine_slots=grid.slots, to_coarse=coarse, coarse_slots=8, gap_shift=0, pivot=0
    )


def _classes() -> _core.CategoryPlan:
    to = np.array([3], dtype=np.uint32)
    return _core.CategoryPlan(known=[b"0"], to_coarse=to, coarse_slots=4, unseen_cap=10, known_cap=None)


def _log(rng: np.random.Generator, rows: int) -> pa.RecordBatch:
    score = rng.random(rows).astype(np.float32)
    score[rng.random(rows) < 0.1] = 0.5  # on a knot
    score[rng.random(rows) < 0.01] *= 40  # beyond the knots
    score[rng.random(rows) < 0.001] = np.nan
    feature = pa.array(rng.standard_normal(rows).astype(np.float32), mask=rng.random(rows) < 0.2)
    classes = pa.array(rng.integers(0, 2, rows).astype(str)).dictionary_encode()
    return pa.record_batch({"feature": feature, "score": score, "class": classes})


def _groups(rng: np.random.Generator, first: int, rows: int, every: int) -> tuple[list[Any], list[Any]]:
    """By window and day, and by these and one of two labels or none."""
    day = ((first + np.arange(rows)) // every).astype(np.int32)
    window = (day // 3).astype(np.int32)
    label = rng.choice(3, rows, p=[0.6, 0.39, 0.01])
    crossed = [(3 * own + label).astype(np.int32) for own in (window, day)]
    crossed[0][rng.random(rows) < 0.001] = -1
    return [window, day], crossed


def _same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name, found in a.items():
        if isinstance(found, np.ndarray):
            assert found.dtype == b[name].dtype, name
            assert found.tobytes() == b[name].tobytes(), name
        else:
            assert found == b[name], name


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("every", [700, 9_000, 10**6])
@pytest.mark.parametrize("knots", [9, 900])
def test_answers_counted_with_all_columns_are_those_counted_by_themselves(
    knots: int, every: int, weighted: bool
) -> None:
    rng = np.random.default_rng(knots + every)
    # As far as scores do, so that some values are on a knot.
    plans = [_numbers(rng.standard_normal(knots)), _numbers([0.5, *rng.random(knots)]), _classes()]
    together = _core.Counter(plans, ALL, ANSWERS, [1, 2])
    columns = _core.Counter(plans, ALL)
    answers = _core.Counter(plans[1:], ANSWERS)
    first = 0
    for rows in (ROWS, 10, 4_000):
        batch = _log(rng, rows)
        own, crossed = _groups(rng, first, rows, every)
        weights = rng.integers(1, 4, rows).astype(np.uint32) if weighted else None
        together.add(batch, own + crossed, 2, weights)
        columns.add(batch, own, 1, weights)
        answers.add(batch.select([1, 2]), crossed, 1, weights)
        first += rows
    assert together.rows == columns.rows == first
    for s in range(2):
        for c in range(2):
            _same(together.numeric(c, s), columns.numeric(c, s))
        _same(together.category(2, s), columns.category(2, s))
        _same(together.numeric(1, 2 + s), answers.numeric(0, s))
        _same(together.category(2, 2 + s), answers.category(1, s))


def test_columns_that_are_not_there_and_groups_of_other_sets_are_refused() -> None:
    with pytest.raises(InputError, match="more sets is not there"):
        _core.Counter([_classes()], ALL, ANSWERS, [1])
    counter = _core.Counter([_numbers([0.5])], ALL, ANSWERS, [0])
    batch = pa.record_batch({"x": pa.array([0.5], pa.float32())})
    with pytest.raises(InputError, match="every counter set"):
        counter.add(batch, [None, None])
    counter.add(batch, [None] * 4)
    with pytest.raises(IndexError):
        _core.Counter([_numbers([0.5])], ALL, ANSWERS, []).numeric(0, 2)
